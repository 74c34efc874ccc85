"""Reviews in shards: read by number, and one clear message for each thing that can be wrong with a shard."""

import re

import numpy as np
import pytest

from experiments.imdb.reviews.own import shards, store


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Reviews in many shards, of which only two may be open."""
    monkeypatch.setattr(shards, "SHARD_IDS", 50)
    monkeypatch.setattr(shards, "_MAX_OPEN", 2)
    monkeypatch.setattr(store, "_BLOCK_ROWS", 10)
    draw = np.random.default_rng(0)
    reviews = [draw.integers(1, 1 << 20, draw.integers(1, 12)).tolist() for _ in range(105)]
    store.write_ids(tmp_path, "train", reviews)
    store.write_array(tmp_path, "train", "labels", np.zeros(105))
    store.write_array(tmp_path, "train", "digests", np.zeros(105))
    store.write_description(tmp_path, ["a"], ["x", "y"], ["train"])
    return tmp_path, reviews


def opened(folder):
    return store.load(folder, is_whole=False).splits["train"].ids


def test_reviews_are_read_by_number_in_any_order(stored):
    folder, reviews = stored
    ids, order = opened(folder), np.random.default_rng(1).permutation(105)
    assert len(list(folder.glob("*.ids"))) == len(ids.sizes) > 5
    assert [each.tolist() for each in ids.read(order)] == [reviews[row] for row in order]
    assert (len(ids), ids[104].tolist(), ids.read([])) == (105, reviews[104], [])
    assert ids.lengths.tolist() == list(map(len, reviews))
    assert len(ids._open) <= 2


def flip(path):
    content = bytearray(path.read_bytes())
    content[8] ^= 1
    path.write_bytes(content)


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


DAMAGE = {
    "flipped": (flip, r"review \d+ of it is corrupt"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:10]), r"review \d+ of it is corrupt"),
    "missing": (lambda path: path.unlink(), r"it can't be read \(No such file or directory\)"),
    "unreadable": (replace_by_folder, r"it can't be read \(Is a directory\)"),
}


@pytest.mark.fault(33)
@pytest.mark.parametrize("damage, message", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_to_a_shard_is_one_message_that_names_it(stored, damage, message):
    folder, reviews = stored
    ids = opened(folder)
    damage(folder / "train-00003.ids")
    expected = rf"train-00003\.ids: {message}\. Delete {re.escape(str(folder))} and start again"
    with pytest.raises(ValueError, match=expected):
        ids.read(range(105))
    first = int(ids._first[3])
    assert [each.tolist() for each in ids.read(range(first))] == reviews[:first]


@pytest.mark.fault(33)
@pytest.mark.parametrize("name", ["cut", "missing", "unreadable"])
def test_a_start_finds_a_shard_that_is_gone_or_short(stored, name):
    DAMAGE[name][0](stored[0] / "train-00003.ids")
    assert store.load(stored[0], is_whole=False) is None


def test_a_start_that_verifies_all_finds_a_bit(stored):
    flip(stored[0] / "train-00003.ids")
    assert store.load(stored[0], is_whole=False) is not None
    assert store.load(stored[0]) is None
