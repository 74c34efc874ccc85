"""Own data that stay on disk are the same data."""

import jax
import numpy as np
import pytest

from experiments.imdb.reviews import dataset, summary
from experiments.imdb.reviews.dataset import load
from experiments.imdb.reviews.stored import StoredTokens
from experiments.imdb.training import naive_bayes
from experiments.imdb.training.model import init_params
from experiments.imdb.training.recipes import Recipe
from tests.imdb.reviews.own.test_own_data import as_lists, make_rows, write_csv, write_folders, write_jsonl


@pytest.mark.parametrize("vocabulary_size", [9, 70_000])
@pytest.mark.parametrize("classes", [("neg", "pos"), ("a", "b", "c")])
def test_rows_that_are_asked_for_are_those_in_memory(tmp_path, vocabulary_size, classes):
    write_csv(tmp_path / "own" / "train.csv", make_rows(90, classes))
    write_csv(tmp_path / "own" / "test.csv", make_rows(30, classes, seed=1))
    arguments = str(tmp_path / "own"), tmp_path / "data", vocabulary_size, 5
    whole, streamed = load(*arguments), load(*arguments, stream=True)
    for split in ("train", "validation", "test"):
        (expected, labels), (tokens, found) = getattr(whole, split), getattr(streamed, split)
        assert isinstance(tokens, StoredTokens)
        assert (tokens.shape, tokens.dtype, len(tokens)) == (expected.shape, expected.dtype, len(expected))
        some = np.array([7, 3, 3, 0])
        for rows in (some, slice(2, 9), slice(0, 0)):
            np.testing.assert_array_equal(tokens[rows], expected[rows])
        np.testing.assert_array_equal(np.asarray(tokens), expected)
        np.testing.assert_array_equal(tokens.num_tokens, np.sum(expected != 0, axis=1))
        assert (found.dtype, found.tolist()) == (labels.dtype, labels.tolist())
    assert streamed._replace(train=None, validation=None, test=None) == whole._replace(
        train=None, validation=None, test=None
    )


def test_what_all_ids_say_is_computed_once(tmp_path, monkeypatch):
    path = str(write_csv(tmp_path / "a.csv", make_rows(50)))
    first = load(path, tmp_path / "data", 10, 6, stream=True)
    monkeypatch.setattr(dataset, "summarise", lambda *arguments: pytest.fail("computed again"))
    assert load(path, tmp_path / "data", 10, 7, stream=True).fingerprint == first.fingerprint
    (file,) = (tmp_path / "data").rglob("summary-*")
    file.write_text("[]")
    monkeypatch.setattr(dataset, "summarise", summary.summarise)
    assert load(path, tmp_path / "data", 10, 6, stream=True).fingerprint == first.fingerprint
    assert load(path, tmp_path / "data", 11, 6, stream=True).fingerprint != first.fingerprint


@pytest.mark.fault(33)
def test_a_shard_that_is_missing_at_the_start_is_prepared_again(tmp_path):
    path = str(write_csv(tmp_path / "a.csv", make_rows(50)))
    first = load(path, tmp_path / "data", 10, 6, stream=True)
    (shard,) = (tmp_path / "data").rglob("*.ids")
    shard.unlink()
    again = load(path, tmp_path / "data", 10, 6, stream=True)
    assert (again.fingerprint, as_lists(load(path, tmp_path / "data", 10, 6).train)[1]) == (
        first.fingerprint,
        first.train.labels.tolist(),
    )
    assert shard.exists()


def test_many_files_of_one_split_are_read_in_the_order_of_their_names(tmp_path):
    rows = make_rows(60)
    write_csv(tmp_path / "one" / "train.csv", rows)
    write_csv(tmp_path / "many" / "train" / "part-0.csv", rows[:20])
    write_jsonl(tmp_path / "many" / "train" / "part-1.jsonl", rows[20:])
    (tmp_path / "many" / "train" / "notes.md").write_text("other files are left out")
    found = [load(str(tmp_path / name), tmp_path / "data", 10, 6) for name in ("one", "many")]
    assert found[0].fingerprint == found[1].fingerprint
    (tmp_path / "many" / "train" / "part-2.csv").write_bytes(b"text,label\ncaf\xe9,neg\n")
    with pytest.raises(ValueError, match=r"train/part-2\.csv, line 2, byte 14: .* is not UTF-8"):
        load(str(tmp_path / "many"), tmp_path / "data", 10, 6)
    write_folders(tmp_path / "many" / "train", rows)  # sub-folders are classes, and files beside them are left out
    assert load(str(tmp_path / "many"), tmp_path / "data", 10, 6).facts.reviews == {"train": 48, "validation": 12}


def test_what_can_not_be_streamed_is_refused(tmp_path):
    with pytest.raises(ValueError, match="stream applies to own data; the reviews of wheel fit into memory"):
        load("wheel", tmp_path, 10, 6, stream=True)


def test_pairs_and_ratios_are_those_in_memory_and_counted_once(tmp_path, monkeypatch):
    path = str(write_csv(tmp_path / "a.csv", make_rows(90, ("a", "b", "c"))))
    arguments = path, tmp_path / "data", 10, 6
    recipe = Recipe(vocabulary_size=10, sequence_length=6, bigrams=9, naive_bayes=0.5, num_classes=3)
    monkeypatch.setattr(naive_bayes, "_CHUNK", 16)
    start = init_params(recipe)

    def loaded(stream):
        data = load(*arguments, num_pairs=recipe.num_pairs, stream=stream)
        return data, naive_bayes.with_ratios(start, recipe, naive_bayes.count_rows(recipe, data.train, data.vocabulary))

    (whole, expected), (streamed, found) = loaded(False), loaded(True)
    assert len(streamed.vocabulary.pairs) == 8
    assert streamed.vocabulary == whole.vocabulary
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    for module, name in ((dataset, "known_pairs"), (naive_bayes, "_count_all")):
        monkeypatch.setattr(module, name, lambda *arguments: pytest.fail("computed again"))
    again, found = loaded(True)
    assert again.vocabulary == whole.vocabulary
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    monkeypatch.undo()
    for file in (tmp_path / "data").rglob("*.npz"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    again, found = loaded(True)
    assert again.vocabulary == whole.vocabulary
    jax.tree.map(np.testing.assert_array_equal, found, expected)
