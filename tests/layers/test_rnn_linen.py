"""`recurrent.layers.linen.RNN` beside Flax' `nn.RNN`: params, values, gradients, and the faults that it mends."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import serialization

from recurrent.layers.linen import RNN
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


def pair(name, **options):
    """Returns our layer, Flax' layer, and variables with random values."""
    ours, theirs = RNN(getattr(nn, name)(HIDDEN), **options), nn.RNN(getattr(nn, name)(HIDDEN), **options)
    return ours, theirs, filled(theirs.init(jax.random.key(0), inputs()))


def test_the_signatures_are_those_of_flax():
    ours, theirs = (inspect.signature(each.__call__).parameters for each in (RNN, nn.RNN))
    assert [(each.name, each.default) for each in ours.values()] == [(e.name, e.default) for e in theirs.values()]
    fields = [list(inspect.signature(each).parameters) for each in (RNN, nn.RNN)]
    assert set(fields[0]) - set(fields[1]) == {"backend"}


@every_cell
def test_it_draws_the_params_that_flax_draws(name):
    ours, theirs, _ = pair(name)
    reference.check_bitwise(ours.init(jax.random.key(3), inputs()), theirs.init(jax.random.key(3), inputs()))


@pytest.mark.parametrize("flags", FLAGS, ids=str)
@every_cell
def test_it_equals_flax(name, flags):
    ours, theirs, variables = pair(name, return_carry=True, **flags)
    for data in ({}, {"seq_lengths": LENGTHS}, {"seq_lengths": LENGTHS, "initial_carry": carry_of(name)}):
        actual = ours.apply(variables, inputs(flags["time_major"]), **data)
        expected = theirs.apply(variables, inputs(flags["time_major"]), **data)
        reference.check(actual[0], expected[0], 1e-6)
        lengths = data.get("seq_lengths", [TIME] * ROWS)
        reference.check(*(within(each[1], flags, lengths) for each in (actual, expected)), 1e-6)
    alone = ours.apply(variables, inputs(flags["time_major"]), return_carry=False)
    reference.check_bitwise(alone, ours.apply(variables, inputs(flags["time_major"]))[1])


@every_cell
def test_flags_of_the_call_precede_those_of_the_layer(name):
    ours, _, variables = pair(name, reverse=True, keep_order=True)
    plain, _, _ = pair(name)
    reference.check_bitwise(ours.apply(variables, inputs(), reverse=False), plain.apply(variables, inputs()))
    carry, _ = ours.apply(variables, inputs(), return_carry=True)
    assert jax.tree.leaves(carry)[0].shape == (ROWS, HIDDEN)


@every_cell
def test_gradients_equal_those_of_flax(name):
    ours, theirs, variables = pair(name, return_carry=True)

    def loss(layer, variables, inputs, carry):
        carry, outputs = layer.apply(variables, inputs, initial_carry=carry, seq_lengths=LENGTHS)
        is_token = np.arange(TIME) < LENGTHS[:, None]
        return jnp.where(is_token[..., None], outputs, 0).var() + sum(
            (leaf**2).sum() for leaf in jax.tree.leaves(carry)
        )

    def gradients(layer):
        return jax.jit(jax.grad(partial(loss, layer), argnums=(0, 1, 2)))(variables, inputs(), carry_of(name))

    reference.check(gradients(ours), gradients(theirs), 1e-5)


@every_cell
def test_bidirectional_takes_it(name):
    def both(rnn):
        cells = [getattr(nn, name)(HIDDEN) for _ in range(2)]
        return nn.Bidirectional(rnn(cells[0]), rnn(cells[1]), return_carry=True)

    variables = filled(both(nn.RNN).init(jax.random.key(0), inputs()))
    assert jax.tree.structure(both(RNN).init(jax.random.key(0), inputs())) == jax.tree.structure(variables)
    actual, expected = (both(rnn).apply(variables, inputs(), seq_lengths=LENGTHS) for rnn in (RNN, nn.RNN))
    reference.check(actual[0], expected[0], 1e-6)
    reference.check(*(within(each[1], {"time_major": False}) for each in (actual, expected)), 1e-6)


def test_a_model_changes_one_name_and_loads_its_checkpoint():
    class Model(nn.Module):
        rnn: type

        @nn.compact
        def __call__(self, inputs):
            return nn.Dense(1)(self.rnn(nn.OptimizedLSTMCell(HIDDEN), name="encoder")(self.rnn(nn.GRUCell(5))(inputs)))

    theirs, ours = Model(nn.RNN), Model(RNN)
    variables = filled(theirs.init(jax.random.key(0), inputs()))
    restored = serialization.from_bytes(ours.init(jax.random.key(1), inputs()), serialization.to_bytes(variables))
    reference.check_bitwise(restored, variables)
    reference.check(ours.apply(restored, inputs()), theirs.apply(variables, inputs()), 1e-6)


def test_partitioned_params_are_found():
    init = nn.with_partitioning(nn.initializers.lecun_normal(), (None, "model"))
    layer = RNN(nn.GRUCell(HIDDEN, kernel_init=init))
    variables = layer.init(jax.random.key(0), inputs())
    assert isinstance(variables["params"]["cell"]["in"]["kernel"], nn.Partitioned)
    reference.check(layer.apply(variables, inputs()), layer.apply(nn.meta.unbox(variables), inputs()), 0)


def test_an_initial_carry_that_is_drawn_is_that_of_flax():
    options = {"carry_init": nn.initializers.normal(1.0)}
    ours, theirs = (rnn(nn.LSTMCell(HIDDEN, **options)) for rnn in (RNN, nn.RNN))
    variables = filled(theirs.init(jax.random.key(0), inputs()))
    for draw_key in (lambda: None, lambda: jax.random.key(7)):
        reference.check(*(each.apply(variables, inputs(), init_key=draw_key()) for each in (ours, theirs)), 1e-6)


@pytest.mark.fault(17)
@every_cell
def test_length_zero_returns_the_initial_carry(name):
    ours, _, variables = pair(name, return_carry=True)
    carry = carry_of(name)
    for reverse in (False, True):
        final, _ = ours.apply(
            variables, inputs(), initial_carry=carry, seq_lengths=np.array([0, 2, 6]), reverse=reverse
        )
        reference.check_bitwise(*(jax.tree.map(lambda leaf: leaf[0], each) for each in (final, carry)))


@pytest.mark.fault(19)
@pytest.mark.parametrize("reverse", [False, True])
@every_cell
def test_nan_in_padding_reaches_neither_values_nor_gradients(name, reverse):
    ours, _, variables = pair(name, return_carry=True, reverse=reverse)
    is_token = np.arange(TIME) < LENGTHS[:, None]

    def loss(variables, inputs):
        carry, outputs = ours.apply(variables, inputs, seq_lengths=LENGTHS)
        return (outputs**2).sum() + sum((leaf**2).sum() for leaf in jax.tree.leaves(carry))

    both = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    spoiled = jnp.where(is_token[..., None], inputs(), jnp.nan)
    reference.check_bitwise(both(variables, spoiled), both(variables, inputs()))


@every_cell
def test_bfloat16_gives_bfloat16_and_carries_float32(name):
    layer = RNN(getattr(nn, name)(HIDDEN, dtype=jnp.bfloat16), return_carry=True)
    _, _, variables = pair(name)
    carry, outputs = layer.apply(variables, inputs())
    assert outputs.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(carry)} == {jnp.dtype(jnp.float32)}
    _, expected = RNN(getattr(nn, name)(HIDDEN), return_carry=True).apply(variables, inputs())
    reference.check(outputs.astype(jnp.float32), expected, 0.05)


def test_many_batch_axes_take_lengths():
    ours, theirs, variables = pair("LSTMCell", return_carry=True)
    many, lengths = draw(2, ROWS, TIME, INPUT), np.stack([LENGTHS, LENGTHS[::-1]])
    carry, outputs = ours.apply(variables, many, seq_lengths=lengths)
    expected = theirs.apply(variables, many[1], seq_lengths=lengths[1])
    reference.check(jax.tree.map(lambda leaf: leaf[1], carry), expected[0], 1e-6)
    flat = within(outputs[1], {"time_major": False}, lengths[1])
    reference.check(flat, within(expected[1], {"time_major": False}, lengths[1]), 1e-6)


@pytest.mark.parametrize(
    "cell, options, reason",
    [
        (nn.MGUCell(HIDDEN), {}, "MGUCell is none of LSTMCell"),
        (nn.GRUCell(HIDDEN, gate_fn=nn.hard_sigmoid), {}, "GRUCell has another gate_fn"),
        (nn.LSTMCell(HIDDEN, activation_fn=nn.relu), {}, "LSTMCell has another activation_fn"),
        (nn.SimpleCell(HIDDEN, residual=True), {}, "SimpleCell has residual=True"),
        (nn.GRUCell(HIDDEN), {"variable_axes": {"noise": 0}}, "variable_axes is"),
    ],
)
def test_what_has_no_equal_is_computed_by_flax_and_told(cell, options, reason):
    ours, theirs = RNN(cell, return_carry=True, **options), nn.RNN(cell, return_carry=True, **options)
    variables = filled(theirs.init(jax.random.key(0), inputs()))
    with pytest.warns(UserWarning, match=reason):
        actual = ours.apply(variables, inputs(), reverse=True, seq_lengths=LENGTHS)
    reference.check_bitwise(actual, theirs.apply(variables, inputs(), reverse=True, seq_lengths=LENGTHS))


def test_unroll_changes_nothing():
    ours, _, variables = pair("GRUCell")
    reference.check_bitwise(
        RNN(nn.GRUCell(HIDDEN), unroll=3).apply(variables, inputs()), ours.apply(variables, inputs())
    )


@pytest.mark.parametrize(
    "data, message",
    [
        ({"seq_lengths": LENGTHS[:2]}, r"seq_lengths must have shape \(3,\), one for each sequence, not \(2,\)"),
        ({"seq_lengths": LENGTHS / 2}, "seq_lengths must be integers"),
        ({"initial_carry": carry_of("LSTMCell")[0][:2]}, r"initial has an array of shape \(2, 4\)"),
    ],
)
def test_what_does_not_fit_is_refused(data, message):
    ours, _, variables = pair("GRUCell")
    with pytest.raises(ValueError, match=message):
        ours.apply(variables, inputs(), **data)


def test_params_of_another_size_are_refused():
    ours, _, variables = pair("GRUCell")
    with pytest.raises(ValueError, match="features"):
        ours.apply(variables, draw(ROWS, TIME, INPUT + 1))
