"""`recurrent.layers.nnx.RNN` beside Flax' `nnx.RNN`: values, gradients, checkpoints, and the faults that it mends."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from recurrent.layers.nnx import RNN
from tests import reference
from tests.layers.flax_rnn import (
    CELLS,
    FLAGS,
    HIDDEN,
    INPUT,
    LENGTHS,
    ROWS,
    TIME,
    carry_of,
    draw,
    filled,
    inputs,
    within,
)

every_cell = pytest.mark.parametrize("name", CELLS)


def cell_of(name, **options):
    cell = getattr(nnx, name)(INPUT, HIDDEN, rngs=nnx.Rngs(0), **options)
    nnx.update(cell, filled(nnx.state(cell, nnx.Param)))
    return cell


def pair(name, **options):
    """Returns our layer and Flax' layer, which share a cell with random values."""
    cell = cell_of(name)
    return RNN(cell, **options), nnx.RNN(cell, **options)


def test_the_signatures_are_those_of_flax():
    ours, theirs = (inspect.signature(each.__call__).parameters for each in (RNN, nnx.RNN))
    assert [(each.name, each.default) for each in ours.values()] == [(e.name, e.default) for e in theirs.values()]


@pytest.mark.parametrize("flags", FLAGS, ids=str)
@every_cell
def test_it_equals_flax(name, flags, relaxed):
    ours, theirs = pair(name, return_carry=True, **flags)
    given = inputs(flags["time_major"])
    for data in ({}, {"seq_lengths": LENGTHS}, {"seq_lengths": LENGTHS, "initial_carry": carry_of(name)}):
        actual = ours(given, **data)
        with relaxed():
            expected = theirs(given, **data)
        reference.check(actual[0], expected[0], 1e-6)
        lengths = data.get("seq_lengths", [TIME] * ROWS)
        reference.check(*(within(each[1], flags, lengths) for each in (actual, expected)), 1e-6)
    reference.check_bitwise(ours(given, return_carry=False), ours(given)[1])


@every_cell
def test_gradients_equal_those_of_flax(name, relaxed):
    def loss(layer, inputs, carry):
        carry, outputs = layer(inputs, initial_carry=carry, seq_lengths=LENGTHS)
        is_token = np.arange(TIME) < LENGTHS[:, None]
        return jnp.where(is_token[..., None], outputs, 0).var() + sum(
            (leaf**2).sum() for leaf in jax.tree.leaves(carry)
        )

    with relaxed():
        both = [
            nnx.jit(nnx.grad(loss, argnums=(0, 1, 2)))(each, inputs(), carry_of(name))
            for each in pair(name, return_carry=True)
        ]
    ours, theirs = ([jax.tree.leaves(part) for part in each] for each in both)
    reference.check(ours, theirs, 1e-5)


def test_a_checkpoint_of_flax_loads():
    ours, theirs = RNN(cell_of("GRUCell")), nnx.RNN(cell_of("GRUCell"))
    assert jax.tree.structure(nnx.state(ours)) == jax.tree.structure(nnx.state(theirs))
    blank = RNN(nnx.GRUCell(INPUT, HIDDEN, rngs=nnx.Rngs(5)))
    nnx.update(blank, nnx.state(theirs))
    reference.check_bitwise(blank(inputs()), ours(inputs()))


@every_cell
def test_bidirectional_takes_it(name, relaxed):
    cells = cell_of(name), cell_of(name)
    actual, expected = (nnx.Bidirectional(rnn(cells[0]), rnn(cells[1]), return_carry=True) for rnn in (RNN, nnx.RNN))
    with relaxed():
        actual, expected = (each(inputs(), seq_lengths=LENGTHS) for each in (actual, expected))
    reference.check(actual[0], expected[0], 1e-6)
    reference.check(*(within(each[1], {"time_major": False}) for each in (actual, expected)), 1e-6)


def test_an_initial_carry_that_is_drawn_is_that_of_flax(relaxed):
    with pytest.warns(UserWarning, match="carry_init is provided"):
        cell = cell_of("LSTMCell", carry_init=nnx.initializers.normal(1.0))
    with relaxed():
        for draw_rngs in (lambda: None, lambda: nnx.Rngs(3)):
            reference.check(*(rnn(cell)(inputs(), rngs=draw_rngs()) for rnn in (RNN, nnx.RNN)), 1e-6)


@pytest.mark.fault(17)
@every_cell
def test_length_zero_returns_the_initial_carry(name):
    ours, _ = pair(name, return_carry=True)
    carry = carry_of(name)
    for reverse in (False, True):
        final, _ = ours(inputs(), initial_carry=carry, seq_lengths=np.array([0, 2, 6]), reverse=reverse)
        reference.check_bitwise(*(jax.tree.map(lambda leaf: leaf[0], each) for each in (final, carry)))


@pytest.mark.fault(19)
@every_cell
def test_nan_in_padding_reaches_neither_values_nor_gradients(name):
    ours, _ = pair(name, return_carry=True)
    is_token = np.arange(TIME) < LENGTHS[:, None]

    def loss(layer, inputs):
        carry, outputs = layer(inputs, seq_lengths=LENGTHS)
        return (outputs**2).sum() + sum((leaf**2).sum() for leaf in jax.tree.leaves(carry))

    both = nnx.jit(nnx.value_and_grad(loss, argnums=(0, 1)))
    spoiled = jnp.where(is_token[..., None], inputs(), jnp.nan)
    reference.check_bitwise(both(ours, spoiled), both(ours, inputs()))


@every_cell
def test_bfloat16_gives_bfloat16_and_carries_float32(name):
    carry, outputs = RNN(cell_of(name, dtype=jnp.bfloat16), return_carry=True)(inputs())
    assert outputs.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(carry)} == {jnp.dtype(jnp.float32)}
    reference.check(outputs.astype(jnp.float32), RNN(cell_of(name))(inputs()), 0.05)


def test_many_batch_axes_take_lengths():
    ours, _ = pair("LSTMCell", return_carry=True)
    many, lengths = draw(2, ROWS, TIME, INPUT), np.stack([LENGTHS, LENGTHS[::-1]])
    _, outputs = ours(many, seq_lengths=lengths)
    reference.check(outputs[1], ours(many[1], seq_lengths=lengths[1])[1], 1e-6)


def with_lora():
    cell = cell_of("GRUCell")
    cell.dense_h = nnx.LoRALinear(HIDDEN, 3 * HIDDEN, lora_rank=2, use_bias=False, rngs=nnx.Rngs(0))
    return cell


@pytest.mark.parametrize(
    "cell, options, reason",
    [
        (cell_of("GRUCell", gate_fn=nnx.hard_sigmoid), {}, "GRUCell has another gate_fn"),
        (cell_of("SimpleCell", residual=True), {}, "SimpleCell has residual=True"),
        (with_lora(), {}, "the GRUCell's dense_h is a LoRALinear"),
        (cell_of("GRUCell"), {"broadcast_rngs": "noise"}, "it has state_axes or broadcast_rngs"),
    ],
)
def test_what_has_no_equal_is_computed_by_flax_and_told(cell, options, reason, relaxed):
    with relaxed(), pytest.warns(UserWarning, match=reason):
        actual = RNN(cell, return_carry=True, **options)(inputs(), reverse=True, seq_lengths=LENGTHS)
    with relaxed():
        expected = nnx.RNN(cell, return_carry=True, **options)(inputs(), reverse=True, seq_lengths=LENGTHS)
    reference.check_bitwise(actual, expected)


def test_what_does_not_fit_is_refused():
    ours, _ = pair("GRUCell")
    with pytest.raises(ValueError, match=r"seq_lengths must have shape \(3,\), one for each sequence, not \(2,\)"):
        ours(inputs(), seq_lengths=LENGTHS[:2])
    with pytest.raises(ValueError, match="features"):
        ours(draw(ROWS, TIME, INPUT + 1))
