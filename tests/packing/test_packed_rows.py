"""Rows of a data set: planned once from the lengths, filled when they are asked for, and packed as `pack` packs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent.packing import PackedRows, Sequences, fill_rows, pack_inputs, plan_rows, run_packed

LENGTHS = np.random.default_rng(0).integers(1, 9, 2500)
STARTS = np.cumsum(LENGTHS) - LENGTHS
STEPS = np.arange(LENGTHS.sum(), dtype=np.int32)  # each step of the data set has a value of its own


def read(numbers):
    places = [np.arange(STARTS[number], STARTS[number] + LENGTHS[number]) for number in numbers]
    return Sequences({"x": STEPS[np.concatenate(places)]}, {"label": np.float32(numbers)})


@pytest.mark.parametrize("max_sequences", [None, 2])
def test_each_sequence_lies_whole_in_one_row(max_sequences):
    plan = plan_rows(LENGTHS, 12, max_sequences=max_sequences)
    assert sorted(plan.sequence.tolist()) == list(range(2500))
    counts = np.diff(plan.first)
    assert counts.min() >= 1
    assert plan.max_sequences == counts.max() <= (max_sequences or 12)
    assert np.add.reduceat(plan.length, plan.first[:-1]).max() <= 12
    np.testing.assert_array_equal(plan.length, LENGTHS[plan.sequence])
    assert plan.padding_share == pytest.approx(1 - LENGTHS.sum() / (12 * len(plan)))
    assert plan.padding_share < (0.01 if max_sequences is None else 0.35)


def test_a_plan_is_a_function_of_lengths_and_seed():
    first, again, other = (plan_rows(LENGTHS, 12, seed=seed) for seed in (3, 3, 4))
    assert first.sequence.tolist() == again.sequence.tolist() != other.sequence.tolist()
    of_fixed_lengths = plan_rows(np.arange(2500) % 8 + 1, 12, seed=3)
    assert of_fixed_lengths.sequence[:5].tolist() == [1247, 2251, 2167, 2211, 1679]  # also in other versions of NumPy


def test_rows_hold_the_steps_and_labels_of_their_sequences():
    plan = plan_rows(LENGTHS, 12)
    some = np.array([7, 0, 7, len(plan) - 1])
    rows = fill_rows(plan, some, read)
    for index, row in enumerate(some):
        numbers = plan.sequence[plan.first[row] : plan.first[row + 1]]
        expected = np.concatenate([STEPS[STARTS[each] :][: LENGTHS[each]] for each in numbers])
        np.testing.assert_array_equal(rows.steps["x"][index], np.pad(expected, (0, 12 - len(expected))))
        for found, wanted in ((rows.number, numbers), (rows.length, LENGTHS[numbers]), (rows.each["label"], numbers)):
            np.testing.assert_array_equal(found[index], np.pad(wanted, (0, plan.max_sequences - len(numbers))))
    whole = fill_rows(plan, np.arange(len(plan)), read)
    jax.tree.map(np.testing.assert_array_equal, rows, jax.tree.map(lambda leaf: leaf[some], whole))
    assert rows.length.dtype == rows.number.dtype == np.int32


def test_the_packing_of_rows_runs_as_that_of_pack():
    lengths = np.array([3, 1, 4, 2, 2])
    inputs = np.random.default_rng(1).normal(size=(5, 4, 2)).astype(np.float32)
    plan = plan_rows(lengths, 5, seed=2)
    rows = fill_rows(
        plan,
        range(len(plan)),
        lambda numbers: Sequences(np.concatenate([inputs[each, : lengths[each]] for each in numbers])),
    )
    packing, other = jax.jit(PackedRows.packing)(rows), recurrent.pack(lengths, 5)
    assert packing.length.shape == (len(plan) * plan.max_sequences,)
    assert int(packing.is_start.sum()) == 5
    params = recurrent.lstm.init(jax.random.key(0), 2, 3)
    _, final = run_packed(recurrent.lstm, params, rows.steps, packing, backend="plain")
    _, expected = run_packed(recurrent.lstm, params, pack_inputs(other, inputs), other, backend="plain")
    used = np.flatnonzero(rows.length.ravel())
    for found, wanted in zip(final, expected, strict=True):
        np.testing.assert_allclose(found[used], wanted[rows.number.ravel()[used]], rtol=1e-6)
        np.testing.assert_array_equal(np.delete(found, used, axis=0), 0)
    weight = rows.weight(jnp.arange(1.0, len(plan) + 1))
    np.testing.assert_array_equal(weight[used], np.repeat(np.arange(1.0, len(plan) + 1), np.diff(plan.first)))
    assert float(weight.sum()) == float(weight[used].sum())


@pytest.mark.parametrize(
    "lengths, options, message",
    [
        ([3, 0], {}, "at least one step, and sequence 1 has none"),
        ([], {}, "there is no sequence"),
        ([3, 9], {}, r"from 0 to row_length 6, not \[9\]"),
        ([3], {"max_sequences": 0}, "max_sequences must be at least 1, not 0"),
    ],
)
def test_what_can_not_be_planned_is_refused(lengths, options, message):
    with pytest.raises(ValueError, match=message):
        plan_rows(np.array(lengths, int), 6, **options)


def test_what_was_read_must_fit_the_plan():
    with pytest.raises(ValueError, match=r"must return steps of 5 rows in all, not \(4,\)"):
        fill_rows(plan_rows([2, 3], 6), [0], lambda numbers: Sequences(np.arange(4)))
    with pytest.raises(ValueError, match=r"must return each of 2 rows in all, not \(3,\)"):
        fill_rows(plan_rows([2, 3], 6), [0], lambda numbers: Sequences(np.arange(5), np.arange(3)))
    for row in (-1, 1):
        with pytest.raises(ValueError, match=rf"rows must be from 0 to 0, the last one of the plan, not \[{row}\]"):
            fill_rows(plan_rows([2, 3], 6), [row], lambda numbers: Sequences(np.arange(5)))
