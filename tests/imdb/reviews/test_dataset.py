import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from experiments.imdb import vocabulary
from experiments.imdb.reviews.archive import Archive
from experiments.imdb.reviews.dataset import find_source, load, load_source, split, splits
from experiments.imdb.reviews.folder import Folder
from experiments.imdb.reviews.keras_npz import KerasFile
from experiments.imdb.reviews.source import Review, ignore_progress
from experiments.imdb.reviews.wheel import Wheel

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Given:
    """A source that holds what it is given, and counts in a file how often it is read."""

    log: Path
    reviews: tuple[Review, ...]
    name: str = "given"

    def read(self, on_progress=ignore_progress):
        with self.log.open("a") as file:
            file.write("read\n")
        return {"train": list(self.reviews)}


REVIEWS = tuple(Review(f"{'good' if number % 2 else 'bad'} film " * (number + 1), number % 2) for number in range(10))


@pytest.fixture
def given(tmp_path):
    return Given(tmp_path / "log", REVIEWS)


def as_lists(examples):
    return examples.tokens.tolist(), examples.labels.tolist()


def test_wheel_has_the_numbers_of_the_published_run(wheel_dataset):
    facts = wheel_dataset.facts
    assert wheel_dataset.train.tokens.shape == (20_000, 500)
    assert wheel_dataset.validation.tokens.shape == (5_000, 500)
    assert wheel_dataset.test is None
    assert wheel_dataset.train.tokens.dtype == wheel_dataset.validation.tokens.dtype == np.uint16
    assert facts.mean_length == pytest.approx(238.71364, abs=1e-9)
    assert facts.mean_length * 25_000 == pytest.approx(5_967_841)
    assert facts.positive_share == pytest.approx(0.4938, abs=1e-9)
    assert wheel_dataset.validation.labels.sum() == 2469
    assert facts.unknown_share == pytest.approx(0.0572, abs=5e-5)
    assert facts.distinct_words == len(wheel_dataset.vocabulary.words) == 88_584
    assert facts.cut_share == pytest.approx(0.084, abs=5e-4)
    assert facts.padding_share == pytest.approx((wheel_dataset.train.tokens == 0).mean())
    assert facts.padding_share == pytest.approx(0.56, abs=5e-3)
    assert facts.reviews == {"train": 20_000, "validation": 5_000}


def test_wheel_has_the_ids_of_its_texts(wheel_dataset, wheel_reviews):
    """Follows each text through words, ranks, shuffle and padding, written out once more."""
    order = np.arange(25_000)
    np.random.RandomState(113).shuffle(order)
    ranks = {word: number for number, word in enumerate(wheel_dataset.vocabulary.words, start=1)}
    for examples, start in ((wheel_dataset.train, 0), (wheel_dataset.validation, 20_000)):
        for row in range(0, len(examples.labels), 97):
            review = wheel_reviews[order[start + row]]
            ids = [1, *[ranks[word] + 3 for word in vocabulary.keras_words(review.text)]]
            expected = [each if each < 10_000 else 2 for each in ids][-500:]
            assert examples.tokens[row].tolist() == [0] * (500 - len(expected)) + expected
            assert examples.labels[row] == review.label
            if vocabulary.split_words(review.text) == vocabulary.keras_words(review.text):
                assert vocabulary.encode(wheel_dataset.vocabulary, review.text)[-500:].tolist() == expected


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory, wheel_reviews, wheel_counts):
    """A file as Keras' own, made of the wheel's texts with another order of equally frequent words."""
    words = sorted(wheel_counts, key=lambda word: (-wheel_counts[word], word[::-1]))
    ranks = {word: number for number, word in enumerate(words, start=1)}
    x = np.empty(25_000, object)
    x[:] = [[ranks[word] for word in vocabulary.keras_words(review.text)] for review in wheel_reviews]
    y = np.array([review.label for review in wheel_reviews])
    path = tmp_path_factory.mktemp("keras") / "imdb.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x[::-1][:1000], y_test=y[::-1][:1000])
    return KerasFile(path), tuple(words)


def test_keras_file_gives_what_keras_gives(keras_file, wheel_data_dir, wheel_dataset, monkeypatch):
    imdb = pytest.importorskip("keras.src.datasets.imdb")
    file, words = keras_file
    data = load(str(file.path), wheel_data_dir, 10_000, 500)
    monkeypatch.setattr(imdb, "get_file", lambda *arguments, **options: str(file.path))
    (x_train, y_train), (x_test, y_test) = imdb.load_data(num_words=10_000)
    from keras.utils import pad_sequences

    np.testing.assert_array_equal(data.train.tokens, pad_sequences(x_train[:20_000], 500))
    np.testing.assert_array_equal(data.validation.tokens, pad_sequences(x_train[-5_000:], 500))
    np.testing.assert_array_equal(data.test.tokens, pad_sequences(x_test, 500))
    np.testing.assert_array_equal(np.concatenate([data.train.labels, data.validation.labels]), y_train)
    np.testing.assert_array_equal(data.test.labels, y_test)
    assert data.vocabulary.words == words
    assert data.fingerprint != wheel_dataset.fingerprint
    np.testing.assert_array_equal(data.validation.labels, wheel_dataset.validation.labels)


def test_keras_file_of_other_reviews_is_refused(tmp_path, small_wheel):
    lengths = [len(vocabulary.keras_words(review.text)) for review in small_wheel.read()["train"]]
    x, y = np.empty(10, object), np.array([1] * 5 + [0] * 5)
    x[:] = [[number + 1] * length for number, length in enumerate(lengths)]
    np.savez(tmp_path / "imdb.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    with pytest.raises(ValueError, match="they do not match"):
        load_source(KerasFile(tmp_path / "imdb.npz", small_wheel), tmp_path / "data", 10, 5)


def test_keras_file_with_other_labels_is_refused(tmp_path, small_wheel):
    reviews = small_wheel.read()["train"]
    ranks = {word: n for n, word in enumerate(vocabulary.rank(vocabulary.count(r.text for r in reviews)), start=1)}
    x, y = np.empty(10, object), np.array([1] * 4 + [0] * 6)
    x[:] = [[ranks[word] for word in vocabulary.keras_words(review.text)] for review in reviews]
    np.savez(tmp_path / "imdb.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    with pytest.raises(ValueError, match="other labels than the same reviews as text"):
        load_source(KerasFile(tmp_path / "imdb.npz", small_wheel), tmp_path / "data", 10, 5)


def test_archive_folder_and_wheel_give_the_same_training_data(tmp_path, make_archive, members, folder, small_wheel):
    archive, folder, wheel = (
        load_source(source, tmp_path / "data", 12, 8) for source in (make_archive(members), folder, small_wheel)
    )
    for each in (folder, wheel):
        assert as_lists(each.train) == as_lists(archive.train)
        assert as_lists(each.validation) == as_lists(archive.validation)
        assert each.vocabulary == archive.vocabulary
    assert as_lists(folder.test) == as_lists(archive.test)
    assert wheel.test is None
    assert archive.fingerprint == folder.fingerprint != wheel.fingerprint
    assert archive.facts.reviews == {"train": 8, "validation": 2, "test": 10}


def test_words_of_the_test_split_alone_are_dropped(tmp_path, folder):
    data = load_source(folder, tmp_path / "data", 100, 50)
    assert "train" in data.vocabulary.words
    assert "test" not in data.vocabulary.words
    rows = {tuple(row[row > 0].tolist()) for row in data.test.tokens}
    texts = [path.read_text() for path in (folder.path / "test").rglob("*.txt")]
    assert rows == {tuple(vocabulary.encode(data.vocabulary, text)[-50:].tolist()) for text in texts}


def test_splits_are_named_and_a_missing_one_too(wheel_dataset):
    assert splits(wheel_dataset) == ["train", "validation"]
    assert split(wheel_dataset, "validation") is wheel_dataset.validation
    for name in ("test", "facts", "vocabulary"):
        with pytest.raises(ValueError, match=f"source wheel has no split '{name}'; it has train, validation"):
            split(wheel_dataset, name)


def test_test_split_is_there_where_the_source_has_it(tmp_path, folder):
    data = load_source(folder, tmp_path / "data", 10, 5)
    assert split(data, "test") is data.test


def test_sources_are_found_by_name_and_path(tmp_path):
    assert find_source("wheel") == Wheel()
    assert find_source("archive") == Archive()
    for name in ("aclImdb_v1.tar.gz", "imdb.npz", "notes.txt", "imdb.vocab"):
        (tmp_path / name).touch()
    assert find_source(str(tmp_path)) == Folder(tmp_path)
    assert find_source(str(tmp_path / "aclImdb_v1.tar.gz")) == Archive(tmp_path / "aclImdb_v1.tar.gz")
    assert find_source(str(tmp_path / "imdb.npz")) == KerasFile(tmp_path / "imdb.npz")
    with pytest.raises(
        ValueError, match=r"notes\.txt' has none of the forms that are read\. Use wheel, .*\.csv, \.jsonl"
    ):
        find_source(str(tmp_path / "notes.txt"))
    with pytest.raises(
        FileNotFoundError,
        match=r"no source 'whel': /.*whel does not exist; --source names another\. Use wheel, archive, or",
    ):
        find_source("whel")


@pytest.mark.parametrize("size, length, message", [(3, 500, "size must be at least 4"), (100, 0, "sequence_length")])
def test_sizes_are_checked_before_anything_is_prepared(tmp_path, size, length, message):
    with pytest.raises(ValueError, match=message):
        load("wheel", tmp_path / "data", size, length)
    assert not (tmp_path / "data").exists()


def test_second_load_reads_no_source_and_imports_no_tfds(wheel_data_dir, wheel_dataset):
    code = (
        "import sys; from pathlib import Path; from experiments.imdb.reviews.dataset import load;"
        "print(load('wheel', Path(sys.argv[1]), 10_000, 500).fingerprint);"
        "sys.exit(any(name in sys.modules for name in ('tensorflow_datasets', 'jax', 'pandas')))"
    )
    done = subprocess.run([sys.executable, "-c", code, wheel_data_dir], capture_output=True, check=True, cwd=ROOT)
    assert done.stdout.decode().strip() == wheel_dataset.fingerprint


def test_encoded_reviews_serve_every_size(tmp_path, given):
    small, large = (load_source(given, tmp_path / "data", size, 6) for size in (5, 100))
    assert (tmp_path / "log").read_text() == "read\n"
    assert small.vocabulary.words == large.vocabulary.words == ("film", "good", "bad")
    assert set(np.unique(small.train.tokens)) == {0, 1, 2, 4}
    assert set(np.unique(large.train.tokens)) == {0, 1, 4, 5, 6}
    assert small.fingerprint != large.fingerprint


def encoded_files(tmp_path) -> list[Path]:
    folder = tmp_path / "data" / "encoded"
    return [folder / "given.npz", folder / "given.json"]


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "deleted": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "torn": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "one bit": _flip,
    "another value": lambda path: path.write_bytes(b"[]"),
}


@pytest.mark.fault(21)
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_encoded_reviews_are_made_again(tmp_path, given, damage, which):
    first = load_source(given, tmp_path / "data", 10, 6)
    path = encoded_files(tmp_path)[which]
    intact = json.loads(encoded_files(tmp_path)[1].read_bytes())
    damage(path)
    second = load_source(given, tmp_path / "data", 10, 6)
    assert second.fingerprint == first.fingerprint
    assert as_lists(second.train) == as_lists(first.train)
    repaired = json.loads(encoded_files(tmp_path)[1].read_bytes())
    assert repaired["sha256"] == hashlib.sha256(encoded_files(tmp_path)[0].read_bytes()).hexdigest()
    assert repaired.keys() == intact.keys()


def test_encoded_reviews_of_another_version_are_made_again(tmp_path, given):
    load_source(given, tmp_path / "data", 10, 6)
    path = encoded_files(tmp_path)[1]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 0}))
    load_source(given, tmp_path / "data", 10, 6)
    assert json.loads(path.read_text())["version"] == 1


def test_changed_folder_is_not_read_from_what_was_kept(tmp_path, folder):
    before = load_source(folder, tmp_path / "data", 100, 6)
    (folder.path / "train/pos/0_7.txt").write_text("splendid")
    after = load_source(Folder(folder.path, num_per_label=5), tmp_path / "data", 100, 6)
    assert "splendid" not in before.vocabulary.words
    assert "splendid" in after.vocabulary.words
    assert before.fingerprint != after.fingerprint


def test_archive_that_was_exchanged_is_not_read_from_what_was_kept(tmp_path, make_archive, members):
    archive = make_archive(members)
    load_source(archive, tmp_path / "data", 100, 6)
    archive.path.write_bytes(b"something else")
    with pytest.raises(ValueError, match="is not the expected file"):
        load_source(archive, tmp_path / "data", 100, 6)
    load_source(dataclasses.replace(archive, path=None), tmp_path / "data", 100, 6)  # what was kept is still right


def fingerprint(tmp_path, reviews, name):
    return load_source(Given(tmp_path / "log", tuple(reviews), name), tmp_path / "data", 10, 6).fingerprint


def test_fingerprint_tells_any_change_apart(tmp_path):
    changes = {
        "same": REVIEWS,
        "label": [REVIEWS[0]._replace(label=1), *REVIEWS[1:]],
        "word": [REVIEWS[0]._replace(text="bad bad"), *REVIEWS[1:]],
        "order": [REVIEWS[1], REVIEWS[0], *REVIEWS[2:]],
        "border": [REVIEWS[0], REVIEWS[1]._replace(text=REVIEWS[1].text + " film"), *REVIEWS[2:]],
        "fewer": REVIEWS[:-1],
    }
    prints = {name: fingerprint(tmp_path, reviews, name) for name, reviews in changes.items()}
    assert len(set(prints.values())) == len(changes)
    assert fingerprint(tmp_path, REVIEWS, "again") == prints["same"]


def test_fingerprint_is_that_of_the_ids_and_labels(tmp_path, given):
    """Written out once more; a run's manifest holds this value, so it must not change."""
    data = load_source(given, tmp_path / "data", 5, 100)
    sha256 = hashlib.sha256()
    for name in ("train", "validation"):
        tokens, labels = split(data, name)
        ids = [row[row > 0] for row in tokens]
        sha256.update(f"{name} {len(ids)}\n".encode())
        sha256.update(np.array([len(row) for row in ids]).astype("<i4").tobytes())
        sha256.update(np.concatenate(ids).astype("<i4").tobytes())
        sha256.update(labels.astype("u1").tobytes())
    assert data.fingerprint == sha256.hexdigest()


def test_wheel_keeps_its_fingerprint(wheel_dataset):
    assert wheel_dataset.fingerprint == "990fd7b7a64379b5caa413bdf1298c97f456d77c52c008d7d27014000d14e1ec"


@pytest.mark.fault(17)
def test_reviews_without_words_are_defined(tmp_path):
    reviews = [Review("", 0), Review("!?", 1), *REVIEWS[2:]]
    data = load_source(Given(tmp_path / "log", tuple(reviews)), tmp_path / "data", 10, 6)
    rows = [row for examples in (data.train, data.validation) for row in examples.tokens.tolist()]
    assert rows.count([0, 0, 0, 0, 0, 1]) == 2


CHILD = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_dataset import Given, REVIEWS
from experiments.imdb.reviews.dataset import load_source
folder = Path(sys.argv[1])
def on_progress(what, done, total):
    if what == "counting the words":
        with (folder / "log").open("a") as file:
            file.write("count\\n")
        time.sleep(1)
print(load_source(Given(folder / "log", REVIEWS), folder / "data", 10, 6, on_progress).fingerprint)
"""


@pytest.mark.fault(22)
def test_two_processes_encode_once(tmp_path, given):
    code = CHILD.format(tests=str(Path(__file__).parent))
    command = [sys.executable, "-c", code, str(tmp_path)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) for _ in range(2)]
    answers = {child.communicate()[0].decode().strip() for child in children}
    assert len(answers) == 1
    assert (tmp_path / "log").read_text() == "read\ncount\n"
    assert answers == {load_source(given, tmp_path / "data", 10, 6).fingerprint}


def test_failing_to_keep_the_encoded_reviews_is_an_error_and_leaves_no_litter(tmp_path, given, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    load_source(given, tmp_path / "data", 10, 6)
    for path in encoded_files(tmp_path):
        path.unlink()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        load_source(given, tmp_path / "data", 10, 6)
    assert [path.name for path in (tmp_path / "data" / "encoded").iterdir()] == ["given.lock"]
