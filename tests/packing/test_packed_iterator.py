"""Sequences that are packed as they come, from any position on."""

import json
from itertools import islice

import jax
import numpy as np
import pytest

from recurrent.packing import PackedIterator, Sequences

LENGTHS = np.random.default_rng(0).integers(1, 9, 200)


class Source:
    """Sequences with a position, like Grain's."""

    def __init__(self):
        self.next = 0

    def __next__(self):
        if self.next == len(LENGTHS):
            raise StopIteration
        self.next += 1
        number = self.next - 1
        return Sequences({"x": np.full((LENGTHS[number], 2), number, np.int16)}, np.float32(number))

    def get_state(self):
        return {"next": self.next}

    def set_state(self, state):
        self.next = state["next"]


def without_position():
    source = Source()
    return iter(source.__next__, None)


def packed(source, most_waiting=3):
    return PackedIterator(source, 12, 4, max_sequences=5, most_waiting=most_waiting)


@pytest.mark.parametrize("most_waiting", [1, 3, 40])
def test_each_sequence_is_packed_whole_and_once(most_waiting):
    batches = list(packed(Source(), most_waiting))
    numbers = []
    for batch in batches:
        assert (batch.steps["x"].shape, batch.length.shape, batch.each.shape) == ((4, 12, 2), (4, 5), (4, 5))
        for row, length, number, label in zip(batch.steps["x"], batch.length, batch.number, batch.each, strict=True):
            used = length > 0
            expected = np.repeat(number[used], length[used])
            np.testing.assert_array_equal(row[: len(expected)], np.stack([expected, expected], axis=1))
            np.testing.assert_array_equal(row[len(expected) :], 0)
            np.testing.assert_array_equal(label, np.where(used, number, 0))
            np.testing.assert_array_equal(length[used], LENGTHS[number[used]])
            numbers += number[used].tolist()
    assert sorted(numbers) == list(range(len(LENGTHS)))
    assert len(batches) <= {1: 1.25, 3: 1.2, 40: 1.15}[most_waiting] * LENGTHS.sum() / 48
    assert batches[0].number[0, 0] == 0


@pytest.mark.parametrize("make", [Source, without_position])
@pytest.mark.parametrize("most_waiting", [1, 7])
def test_it_goes_on_from_any_position(make, most_waiting):
    whole = list(packed(make(), most_waiting))
    for num_batches in range(len(whole) + 1):
        before, after = packed(make(), most_waiting), packed(make(), most_waiting)
        for _ in islice(before, num_batches):
            pass
        after.set_state(json.loads(json.dumps(before.get_state())))
        rest = list(after)
        assert len(rest) == len(whole) - num_batches
        jax.tree.map(np.testing.assert_array_equal, rest, whole[num_batches:])


STEPS = np.zeros((2, 3), np.float32)
WRONG = {
    "an array": (STEPS, "Sequence 1 of the iterator must be a Sequences, not a ndarray"),
    "fewer features": (
        Sequences(STEPS[:, :1]),
        r"Sequence 1 .* has the form .*\(1,\).*, and those before had .*\(3,\)",
    ),
    "another dtype": (Sequences(STEPS.astype(np.float64)), "Sequence 1 .* has the form .*float64"),
    "a label": (Sequences(STEPS, np.float32(1)), "Sequence 1 .* has the form"),
    "a number": (Sequences(np.float32(1)), r"must have steps in arrays \[steps, ...\], all of as many steps, not \(\)"),
    "no array": (Sequences(()), "must have steps in arrays"),
    "other lengths": (Sequences((STEPS, STEPS[:1])), r"as many steps, not \(\(2, 3\), \(1, 3\)\)"),
}


@pytest.mark.parametrize("wrong, message", WRONG.values(), ids=WRONG.keys())
def test_a_sequence_of_another_form_is_refused_and_not_broadcast(wrong, message):
    with pytest.raises(ValueError, match=message):
        next(packed(iter([Sequences(STEPS), wrong])))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"must be an iterator, not a list: iter\(...\) makes one"):
        packed([Sequences(STEPS)])
    with pytest.raises(ValueError, match="num_rows must be an integer of at least 1, not 0"):
        PackedIterator(Source(), 12, 0, max_sequences=1)
    with pytest.raises(ValueError, match="Sequence 0 of the iterator has 13 steps; a row has room for 1 to 12"):
        next(packed(iter([Sequences(np.zeros(13))])))
    used = packed(without_position())
    next(used)
    with pytest.raises(ValueError, match="can't go back"):
        used.set_state({"iterator": None, "first": 0, "drawn": 0, "waiting": []})
    shorter = PackedIterator(Source(), 11, 2, max_sequences=1)
    with pytest.raises(ValueError, match="among rows of 12 steps, and these have 11"):
        shorter.set_state(packed(Source()).get_state())
