import dataclasses

import numpy as np
import pytest

from experiments.imdb.reviews.folder import Folder
from experiments.speed.review_lengths import measure
from experiments.speed.task import Task, block, pad_behind, sequence_lengths

SMALL = Task(batch=5, time=12, width=3, vocabulary=20)


def test_padding_stands_in_front_or_behind_and_words_keep_their_order():
    data = block(SMALL, 0)
    for tokens, words_first, length in zip(
        data.tokens.reshape(-1, 12), data.words_first.reshape(-1, 12), data.lengths.reshape(-1), strict=True
    ):
        words = tokens[12 - length :].tolist()
        assert 0 not in words
        assert tokens.tolist() == [0] * (12 - length) + words
        assert words_first.tolist() == words + [0] * (12 - length)
    assert len(set(data.lengths.flat)) > 3


def test_pad_behind_moves_a_row_by_its_own_padding():
    rows = np.array([[0, 0, 7], [0, 8, 9], [4, 5, 6]])
    np.testing.assert_array_equal(pad_behind(rows, np.array([1, 2, 3])), [[7, 0, 0], [8, 9, 0], [4, 5, 6]])


def test_full_sequences_have_no_padding():
    data = block(dataclasses.replace(SMALL, lengths="full"), 0)
    assert data.tokens.min() == 1
    assert set(data.lengths.flat) == {12}
    np.testing.assert_array_equal(data.tokens, data.words_first)


def test_a_turn_is_the_same_whenever_it_is_drawn_and_another_one_differs():
    first, again, second = block(SMALL, 0), block(SMALL, 0), block(SMALL, 1)
    for name in first._fields:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert (getattr(first, name) != getattr(second, name)).any()


def test_lengths_are_those_of_the_real_reviews():
    lengths = sequence_lengths(Task())
    assert (len(lengths), lengths.min(), lengths.max()) == (25_000, 11, 500)
    # What the prepared data's facts say of the 20,000 training and 5,000 validation reviews.
    assert lengths[:20_000].mean() == pytest.approx(221.8372)
    assert lengths[20_000:].mean() == pytest.approx(224.4556)


@pytest.mark.parametrize("time", [1, 20, 100, 16_000])
def test_lengths_scale_with_time_so_that_the_share_of_words_stays(time):
    lengths = sequence_lengths(Task(time=time))
    assert lengths.min() >= 1
    assert lengths.max() == time
    assert lengths.mean() / time == pytest.approx(222.36 / 500, abs=1 / time)  # rounded up to whole words


def test_lengths_are_measured_on_a_source_of_any_kind(tmp_path):
    words = {"pos": (3, 600, 8), "neg": (1, 40, 499)}
    for split in ("train", "test"):
        for label, counts in words.items():
            folder = tmp_path / "aclImdb" / split / label
            folder.mkdir(parents=True)
            for number, count in enumerate(counts):
                (folder / f"{number}_{7 if label == 'pos' else 3}.txt").write_text("word " * count)
    lengths = measure(Folder(tmp_path / "aclImdb", num_per_label=3), tmp_path / "data")
    assert lengths.dtype == np.uint16
    assert sorted(lengths.tolist()) == [2, 4, 9, 41, 500, 500]  # each with its start sign


@pytest.mark.parametrize("change", [{"batch": 0}, {"time": 0}, {"width": -1}, {"steps": 0}, {"vocabulary": 1}])
def test_sizes_that_leave_nothing_to_do_are_refused(change):
    with pytest.raises(ValueError, match="at least 1"):
        Task(**change)
