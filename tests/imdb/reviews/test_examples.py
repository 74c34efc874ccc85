import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.imdb.reviews.examples import keras_split, make_examples, pad


def test_cut_and_filled_up_in_front():
    tokens = pad([[1, 5, 6], [1], [], [1, 2, 3, 4, 5, 6]], 4, 10)
    assert tokens.tolist() == [[0, 1, 5, 6], [0, 0, 0, 1], [0, 0, 0, 0], [3, 4, 5, 6]]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 99), max_size=12), max_size=5), st.integers(1, 10))
def test_padding_is_that_of_keras(ids, sequence_length):
    keras = pytest.importorskip("keras")
    expected = keras.utils.pad_sequences(ids, maxlen=sequence_length) if ids else np.zeros((0, sequence_length))
    np.testing.assert_array_equal(pad(ids, sequence_length, 100), expected)


@pytest.mark.parametrize("size, dtype", [(10_000, np.uint16), (65_536, np.uint16), (65_537, np.int32)])
def test_largest_id_fits_the_dtype(size, dtype):
    tokens = pad([[size - 1, 0]], 2, size)
    assert tokens.dtype == dtype
    assert tokens.tolist() == [[size - 1, 0]]


@pytest.mark.fault(16)
@pytest.mark.parametrize(
    "ids, message",
    [
        ([[1, 2], [3, 10]], "Id 10 at position 1 of review 1 is outside 0 to 9"),
        ([[-1]], "Id -1 at position 0 of review 0"),
        ([[2**40]], "Id 1099511627776 at position 0"),
        ([[10] + [1] * 50], "Id 10 at position 0"),  # also where it would be cut off
        ([np.array([1.0, 2.0])], "Review 0 must be integer ids, not float64"),
        ([np.array([True, False])], "must be integer ids, not bool"),
        ([["1"]], "must be integer ids"),
        ([[2**70]], "must be integer ids, not object"),
        ([np.array([[1, 2]])], r"Review 0 must be a vector of ids, not an array of shape \(1, 2\)"),
        ([3], r"must be a vector of ids, not an array of shape \(\)"),
    ],
)
def test_ids_out_of_range_are_named(ids, message):
    with pytest.raises(ValueError, match=message):
        pad(ids, 4, 10)


@pytest.mark.parametrize("sequence_length", [0, -1])
def test_sequence_length_below_one_is_refused(sequence_length):
    with pytest.raises(ValueError, match=f"at least 1, not {sequence_length}"):
        pad([[1]], sequence_length, 10)


def test_examples_have_labels_as_floats():
    examples = make_examples([[1], [2]], np.array([1, 0], np.uint8), 3, 10)
    assert examples.labels.dtype == np.float32
    assert examples.labels.tolist() == [1.0, 0.0]
    assert examples.tokens.shape == (2, 3)


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    "labels, message",
    [
        ([1, 2], "Label 2 of review 1 is neither 0 nor 1"),
        ([-1, 0], "Label -1 of review 0"),
        ([0.0, float("nan")], "Label nan of review 1"),
        ([0.5, 1.0], "Label 0.5 of review 0"),
        ([[1], [0]], r"labels of shape \(2, 1\) instead of \(2,\)"),
        ([1], r"2 reviews, but labels of shape \(1,\)"),
        (["1", "0"], "must be the numbers 0 and 1"),
    ],
)
def test_labels_out_of_range_are_named(labels, message):
    with pytest.raises(ValueError, match=message):
        make_examples([[1], [2]], np.array(labels), 3, 10)


def test_split_is_that_of_keras():
    generator = np.random.RandomState(113)
    train, test = list(range(25_000)), list(range(25_000))
    generator.shuffle(train)
    generator.shuffle(test)
    split = keras_split(25_000, 25_000)
    assert split.train.tolist() == train[:20_000]
    assert split.validation.tolist() == train[-5_000:]
    assert split.test.tolist() == test
    assert keras_split(25_000).validation.tolist() == train[-5_000:]
    assert len(keras_split(25_000).test) == 0
