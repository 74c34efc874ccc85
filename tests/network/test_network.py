"""Networks: held to NumPy loops that step through all layers, to PyTorch's stacked modules and to Keras."""

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import recurrent
from recurrent import interop
from recurrent.network import (
    Directions,
    Network,
    init,
    run_network,
    step_network,
    zero_states,
)
from tests import reference
from tests.cells import peers

TIME, INPUT, HIDDEN = reference.TIME, reference.INPUT, reference.HIDDEN
NAMES = ("gru", "lstm")
ALL, NONE = np.ones(TIME, bool), np.zeros(TIME, bool)
masks = st.lists(st.booleans(), min_size=TIME, max_size=TIME).map(np.array)
run_compiled = jax.jit(run_network, static_argnums=0, static_argnames=("segment_size", "dtype", "backend"))
step_compiled = jax.jit(step_network, static_argnums=0, static_argnames="dtype")


def make(names=NAMES, **options) -> Network:
    return Network(tuple(recurrent.CELLS[name] for name in names), (HIDDEN,) * len(names), **options)


def draw(names, num_directions, *, seed=0, batch=(), time=TIME, input_size=INPUT):
    """Draws a problem for each layer and direction; the inputs are the first one's."""
    return [
        [
            reference.draw(
                name,
                seed=seed + 10 * layer + direction,
                batch=batch,
                time=time,
                input_size=input_size if layer == 0 else num_directions * HIDDEN,
            )
            for direction in range(num_directions)
        ]
        for layer, name in enumerate(names)
    ]


def to_library(names, problems, dtype=np.float32):
    """Returns the network's params, inputs and initial states."""
    ours = [
        [reference.to_library(recurrent.CELLS[name], problem, dtype) for problem in of_layer]
        for name, of_layer in zip(names, problems, strict=True)
    ]
    params = tuple(Directions(*(problem.params for problem in of_layer)) for of_layer in ours)
    initial = tuple(Directions(*(problem.initial for problem in of_layer)) for of_layer in ours)
    return params, ours[0][0].inputs, initial


def loop(names, problems, is_residual, is_token, is_start):
    """Runs one sequence step by step in NumPy; returns outputs and the final states of each layer and direction."""
    x, final = problems[0][0].inputs, []
    for layer, (name, of_layer) in enumerate(zip(names, problems, strict=True)):
        is_added = is_residual and (layer > 0 or x.shape[1] == len(of_layer) * HIDDEN)
        halves = []
        for reverse, problem in enumerate(of_layer):
            own = slice(reverse * HIDDEN, (reverse + 1) * HIDDEN)
            state, held, half = problem.initial, np.zeros(HIDDEN), np.zeros((TIME, HIDDEN))
            for t in reversed(range(TIME)) if reverse else range(TIME):
                if is_start[t] if not reverse else t + 1 < TIME and is_start[t + 1]:
                    state, held = tuple(0 * array for array in state), np.zeros(HIDDEN)
                if is_token[t]:
                    state = reference.CELLS[name].step(problem.params, state, x[t])
                    held = state[0] + (x[t, own] if is_added else 0)
                half[t] = held
            halves.append(half)
            final.append(state)
        x = np.concatenate(halves, axis=1)
    return x, final


FORMS = {
    "one direction": (1, False, INPUT, {}),
    "both": (2, False, INPUT, {}),
    "residual": (1, True, INPUT, {}),
    "residual from the first layer on": (1, True, HIDDEN, {}),
    "residual, both": (2, True, 2 * HIDDEN, {"segment_size": 3, "backend": "plain"}),
}


@pytest.mark.parametrize("num_directions, is_residual, input_size, options", FORMS.values(), ids=FORMS)
@settings(max_examples=10, deadline=None, derandomize=True)
@given(is_token=masks, is_start=masks, seed=st.integers(0, 9))
@example(is_token=ALL, is_start=NONE, seed=0)
@example(is_token=ALL, is_start=ALL, seed=0)
@example(is_token=NONE, is_start=NONE, seed=0)
def test_equals_a_loop(num_directions, is_residual, input_size, options, is_token, is_start, seed):
    problems = draw(NAMES, num_directions, seed=seed, input_size=input_size)
    network = make(is_bidirectional=num_directions == 2, is_residual=is_residual)
    with jax.enable_x64(True):
        params, inputs, initial = to_library(NAMES, problems, np.float64)
        outputs, final = run_compiled(
            network, params, inputs, is_token=is_token, is_start=is_start, initial=initial, **options
        )
    expected_outputs, expected_final = loop(NAMES, problems, is_residual, is_token, is_start)
    reference.check(outputs, expected_outputs, 1e-12)
    reference.check(final, expected_final, 1e-12)


@pytest.mark.parametrize("name", peers.TORCH)
def test_equals_torch_in_two_layers_and_both_directions(name, float64):
    torch = pytest.importorskip("torch")
    names, lengths = (name, name), np.array([4, TIME, 1])
    network = make(names, is_bidirectional=True)
    problems = draw(names, 2, batch=(3,))
    is_token = np.arange(TIME) < lengths[:, None]
    # A padded step repeats the last output here and is zero there: what it holds is left out of the comparison.
    counts = np.repeat(is_token[:, :, None], 2 * HIDDEN, axis=2).astype(np.float64)
    d_outputs = counts * np.concatenate([problem.d_outputs for problem in problems[1]], axis=-1)
    d_final = [[problem.d_final for problem in of_layer] for of_layer in problems]

    def forward(params, inputs, initial):
        outputs, final = run_network(network, params, inputs, is_token=is_token, initial=initial)
        return outputs * counts, [[tuple(state) for state in of_layer] for of_layer in final]

    @jax.jit
    def solve(params, inputs, initial):
        results, pullback = jax.vjp(forward, params, inputs, initial)
        return results, pullback((d_outputs, d_final))

    results, gradients = solve(*to_library(names, problems, np.float64))

    def stack(field):
        """Stacks a field of the problems as PyTorch does: layer * 2 + direction."""
        columns = [getattr(problem, field) for of_layer in problems for problem in of_layer]
        return [torch.tensor(np.stack(pieces), requires_grad=True) for pieces in zip(*columns, strict=True)]

    module = getattr(torch.nn, peers.TORCH[name])(
        INPUT, HIDDEN, num_layers=2, bidirectional=True, batch_first=True, dtype=torch.float64
    )
    module.load_state_dict(interop.torch.network_to(network, to_library(names, problems, np.float64)[0]))
    inputs, initial = torch.tensor(problems[0][0].inputs, requires_grad=True), stack("initial")
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        inputs, torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    packed_outputs, final = module(packed, tuple(initial) if name == "lstm" else initial[0])
    outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(packed_outputs, batch_first=True, total_length=TIME)
    final = final if isinstance(final, tuple) else (final,)
    torch.autograd.backward([outputs, *final], [torch.tensor(d_outputs), *(leaf.detach() for leaf in stack("d_final"))])

    def unstack(arrays):
        return [[array[index].detach().numpy() for array in arrays] for index in range(4)]

    reference.check(results, (outputs.detach().numpy(), unstack(final)), 1e-10)
    _, expected = interop.torch.network_from(peers.gradients(name, module))
    reference.check(gradients, (expected, inputs.grad.numpy(), unstack([state.grad for state in initial])), 1e-10)


def test_equals_keras_bidirectional(relaxed):
    keras = pytest.importorskip("keras")
    [[forward, backward]] = draw(("lstm",), 2, batch=(3,))
    is_token = np.arange(TIME) < np.array([[4], [TIME], [1]])
    with relaxed():
        layer = keras.layers.Bidirectional(keras.layers.LSTM(HIDDEN, return_sequences=True))
        layer.build(forward.inputs.shape)
        fixed = [variable.value for variable in layer.non_trainable_variables]
        weights = [jnp.asarray(array, jnp.float32) for array in (*forward.params, *backward.params)]
        call = jax.jit(partial(layer.stateless_call, mask=is_token))
        expected, _ = call(weights, fixed, jnp.asarray(forward.inputs, jnp.float32))
    params, inputs, _ = to_library(("lstm",), [[forward, backward]])
    outputs, _ = run_compiled(make(("lstm",), is_bidirectional=True), params, inputs, is_token=is_token)
    # Keras' Bidirectional puts out zeros in padding.
    reference.check(np.asarray(outputs) * is_token[:, :, None], expected, 1e-5)


@pytest.mark.parametrize("is_bidirectional", [False, True])
def test_an_empty_row_returns_its_initial_state(is_bidirectional):
    problems = draw(NAMES, 1 + is_bidirectional, batch=(2,))
    params, inputs, initial = to_library(NAMES, problems)
    is_token = np.stack([NONE, ALL])
    network = make(is_bidirectional=is_bidirectional, is_residual=True)
    outputs, final = jax.tree.map(np.asarray, run_compiled(network, params, inputs, is_token=is_token, initial=initial))
    np.testing.assert_array_equal(outputs[0], 0)
    reference.check_bitwise(jax.tree.map(lambda leaf: leaf[0], final), jax.tree.map(lambda leaf: leaf[0], initial))
    assert not np.array_equal(final[0].forward.hidden[1], initial[0].forward.hidden[1])
    nothing, same = run_compiled(network, params, inputs[:, :0], is_token=is_token[:, :0], initial=initial)
    assert nothing.shape == (2, 0, (1 + is_bidirectional) * HIDDEN)
    reference.check_bitwise(same, initial)


def test_nan_in_padding_touches_neither_values_nor_gradients():
    network = make(is_bidirectional=True, is_residual=True, dropout_rate=0.5)
    params, inputs, _ = to_library(NAMES, draw(NAMES, 2, batch=(2,), input_size=2 * HIDDEN))
    is_token = np.arange(TIME) < np.array([[3], [TIME]])

    @jax.jit
    def solve(params, inputs):
        def forward(params, inputs):
            return run_network(network, params, inputs, is_token=is_token, key=jax.random.key(1))

        results, pullback = jax.vjp(forward, params, inputs)
        return results, pullback(jax.tree.map(jnp.ones_like, results))

    spoilt = np.where(is_token[:, :, None], inputs, np.nan).astype(np.float32)
    reference.check_bitwise(solve(params, spoilt), solve(params, inputs))


@pytest.mark.parametrize("batch, input_size", [((2, 1), INPUT), ((), HIDDEN)])
def test_steps_go_on_where_a_run_ended(batch, input_size):
    network = make(is_residual=True)
    params, inputs, initial = to_library(NAMES, draw(NAMES, 1, batch=batch, input_size=input_size))
    expected, expected_final = run_compiled(network, params, inputs, initial=initial)
    first, states = run_compiled(network, params, inputs[..., :4, :], initial=initial)
    outputs = list(jnp.moveaxis(first, -2, 0))
    for t in range(4, TIME):
        states, output = step_compiled(network, params, states, inputs[..., t, :])
        outputs.append(output)
    reference.check(jnp.stack(outputs, -2), expected, 1e-6)
    reference.check(states, expected_final, 1e-6)


def test_states_are_zero_before_the_first_step():
    network = make(("lstm",), is_bidirectional=True)
    params, inputs, _ = to_library(("lstm",), draw(("lstm",), 2, batch=(2, 3)))
    zero = zero_states(network, params, (2, 3))
    results = run_compiled(network, params, inputs)
    for initial in (
        zero,
        (Directions(None),),
        tuple(states._replace(backward=None) for states in zero),
    ):
        reference.check_bitwise(run_compiled(network, params, inputs, initial=initial), results)
    assert jax.tree.map(jnp.shape, zero) == jax.tree.map(jnp.shape, results[1])


class Nothing(NamedTuple):
    hidden: jax.Array


@dataclass(frozen=True)
class Echo:
    """A cell that puts out what it is given, and that again where it is asked to: noise shows as it is."""

    times: int = 1

    def init(self, key, input_size, hidden_size):
        return Nothing(jnp.zeros(hidden_size))

    def zero_state(self, params):
        return params

    def project(self, params, x):
        return jnp.tile(x, self.times)

    def recur(self, params, state):
        return ()

    def update(self, params, state, projected, recurrent):
        return state, projected


RATE = 0.25


def noise(num_layers=2, *, shape=(2, TIME, HIDDEN), seed=0, is_residual=False, **options):
    """Returns the factors that dropout puts between layers."""
    network = Network((Echo(),) * num_layers, (1,) * num_layers, dropout_rate=RATE, is_residual=is_residual)
    params = init(jax.random.key(0), network, shape[-1])
    return np.asarray(run_compiled(network, params, jnp.ones(shape), key=jax.random.key(seed), **options)[0])


def test_dropout_keeps_the_mean_and_falls_everywhere_apart():
    factors = noise(shape=(20, 50, 30))
    np.testing.assert_allclose(np.unique(factors), [0, 1 / (1 - RATE)], rtol=1e-6)
    # Standard error of a share of 0.25: 0.0025 over 30,000 draws, 0.011 over 1,500 of them.
    assert abs((factors == 0).mean() - RATE) < 0.01
    for axis in range(3):
        shares = (factors == 0).mean(axis=tuple({0, 1, 2} - {axis}))
        np.testing.assert_allclose(shares, RATE, atol=0.06)
        first, second = np.take(factors, 0, axis), np.take(factors, 1, axis)
        assert 0.3 < (first != second).mean() < 0.45, "independent draws differ in 2 * 0.25 * 0.75 of their places"
    for other in (noise(shape=(20, 50, 30), seed=1), noise(3, shape=(20, 50, 30)) * (1 - RATE)):
        assert not np.array_equal(other, factors)


def test_dropout_is_drawn_anew_between_all_layers_but_before_none():
    np.testing.assert_array_equal(noise(1), 1)
    twice = noise(3, shape=(20, 50, 30))
    shares = [(twice == 0).mean(), (twice > 1.7).mean()]
    np.testing.assert_allclose(shares, [1 - (1 - RATE) ** 2, (1 - RATE) ** 2], atol=0.01)


def test_a_shortcut_is_clean():
    # Layer 0 makes 2 of 1; layer 1 adds what is left of them.
    np.testing.assert_allclose(noise(2, is_residual=True), 2 + 2 * noise(2), rtol=1e-6)


@pytest.mark.parametrize("batch, numbers", [((), None), ((4,), None), ((2, 2), [[7, 5], [0, 8]])])
def test_an_example_has_the_same_noise_wherever_it_stands(batch, numbers):
    """Without numbers rows are counted."""
    numbers = None if numbers is None else jnp.array(numbers)
    factors = noise(shape=(*batch, TIME, HIDDEN), numbers=numbers).reshape(-1, TIME, HIDDEN)
    for position, number in enumerate(range(len(factors)) if numbers is None else numbers.ravel().tolist()):
        elsewhere = noise(shape=(3, TIME, HIDDEN), numbers=jnp.array([90, number, 91]))[1]
        np.testing.assert_array_equal(factors[position], elsewhere)
    assert len({factor.tobytes() for factor in factors}) == len(factors)


def test_noise_has_the_same_bits_in_64_bit_mode_and_however_long_the_padding_is():
    factors = noise()
    with jax.enable_x64(True):
        wide = noise(dtype=jnp.float32, numbers=jnp.arange(2))
    np.testing.assert_array_equal(wide == 0, factors == 0)
    np.testing.assert_array_equal(noise(shape=(2, TIME + 3, HIDDEN))[:, :TIME], factors)


def test_noise_falls_between_the_layers_of_any_cells():
    params, inputs, _ = to_library(NAMES, draw(NAMES, 1, batch=(2,)))
    actual = run_compiled(make(dropout_rate=RATE), params, inputs, key=jax.random.key(0))
    first, first_final = recurrent.run(recurrent.gru, params[0].forward, inputs)
    second, second_final = recurrent.run(recurrent.lstm, params[1].forward, first * noise())
    reference.check(actual, (second, (first_final, second_final)), 1e-6)


def test_no_key_or_no_rate_is_no_noise():
    params, inputs, _ = to_library(NAMES, draw(NAMES, 1, batch=(2,)))

    def program(rate, key):
        return str(jax.make_jaxpr(partial(run_network, make(dropout_rate=rate), key=key))(params, inputs))

    key = jax.random.key(0)
    assert program(RATE, None) == program(0.0, key) == program(0.0, None) != program(RATE, key)


def test_layers_and_directions_draw_params_of_their_own():
    network = Network((recurrent.simple_rnn,) * 2, (4, 4), is_bidirectional=True)
    params = init(jax.random.key(0), network, 8)
    kernels = [np.asarray(of_direction.input_kernel) for own in params for of_direction in own]
    assert len({kernel.tobytes() for kernel in kernels}) == 4
    reference.check_bitwise(init(jax.random.key(0), network, 8), params)


def test_a_layer_is_as_wide_as_the_one_before_puts_out():
    network = Network((recurrent.lstm, Echo(times=3), recurrent.gru), (4, 1, 5), is_bidirectional=True)
    params = jax.eval_shape(lambda: init(jax.random.key(0), network, 2))
    assert params[0].backward.input_kernel.shape == (2, 16)
    assert params[2].forward.input_kernel.shape == (2 * 3 * 2 * 4, 15)
    outputs, _ = jax.eval_shape(partial(run_network, network), params, jnp.ones((6, 2)))
    assert outputs.shape == (6, 10)


def test_options_go_to_each_cells_init():
    params = init(jax.random.key(0), make(("lstm", "lstm")), 3, forget_bias=2.0, dtype=jnp.bfloat16)
    for own in params:
        assert own.forward.bias.dtype == jnp.bfloat16
        np.testing.assert_array_equal(own.forward.bias.astype(jnp.float32), np.repeat([0, 2, 0, 0], HIDDEN))


def test_outputs_have_the_dtype_asked_for_and_states_stay_wide():
    network = make(is_residual=True)
    params, inputs, _ = to_library(NAMES, draw(NAMES, 1, batch=(2,), input_size=HIDDEN))
    wide, _ = run_compiled(network, params, inputs)
    outputs, final = run_compiled(network, params, inputs, dtype=jnp.bfloat16)
    assert outputs.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(final)} == {jnp.dtype(jnp.float32)}
    reference.check(outputs.astype(jnp.float32), wide, 0.02)
    states, output = step_compiled(network, params, final, inputs[:, 0], dtype=jnp.bfloat16)
    assert output.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(states)} == {jnp.dtype(jnp.float32)}


def test_lists_are_tuples_so_that_a_network_is_static():
    network = Network([recurrent.lstm, recurrent.gru], [4, 5])
    assert network == Network((recurrent.lstm, recurrent.gru), (4, 5))
    assert hash(network) == hash(Network((recurrent.lstm, recurrent.gru), (4, 5)))


REFUSED_NETWORKS = {
    "no cells": (((), ()), {}, r"not 0 cells and the sizes \(\)"),
    "too few sizes": (((recurrent.lstm,) * 2, (4,)), {}, r"not 2 cells and the sizes \(4,\)"),
    "dropping all": (((recurrent.lstm,), (4,)), {"dropout_rate": 1.0}, "below 1, not 1.0"),
    "a negative rate": (((recurrent.lstm,), (4,)), {"dropout_rate": -0.1}, "at least 0 and below 1, not -0.1"),
}


@pytest.mark.parametrize("arguments, options, message", REFUSED_NETWORKS.values(), ids=REFUSED_NETWORKS)
def test_networks_that_make_no_sense_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        Network(*arguments, **options)


def test_sizes_that_can_not_be_added_are_refused():
    network = Network((recurrent.lstm,) * 2, (4, 5), is_residual=True)
    params = jax.eval_shape(lambda: init(jax.random.key(0), replace(network, is_residual=False), 3))
    for refused in (
        lambda: jax.eval_shape(lambda: init(jax.random.key(0), network, 3)),
        lambda: jax.eval_shape(partial(run_network, network), params, jnp.ones((2, TIME, 3))),
    ):
        with pytest.raises(ValueError, match="layer 1 has input size 4 and output size 5"):
            refused()


def test_cells_that_put_out_no_vector_are_refused():
    class Pair(Echo):
        def update(self, params, state, projected, recurrent):
            return state, (projected, projected)

    with pytest.raises(ValueError, match="whose output is one vector per step"):
        init(jax.random.key(0), Network((Pair(),), (1,)), 3)


def test_what_does_not_fit_is_refused():
    both, one, inputs = make(is_bidirectional=True), make(), jnp.ones((2, TIME, INPUT))
    params_of_both, params = (to_library(NAMES, draw(NAMES, directions))[0] for directions in (2, 1))
    states = zero_states(one, params, (2,))
    run = partial(run_compiled, one, params, inputs)
    for message, refused in {
        r"params must have \[1, 1\] directions.* not \[2, 2\]": lambda: run_network(one, params_of_both, inputs),
        r"params must have \[2, 2\] directions.* not \[1\]": lambda: run_network(both, params[:1], inputs),
        "initial must have one entry per layer, 2 in all, not 1": lambda: run(initial=states[:1]),
        r"int\[2\], one per example, not int32\[3\]": lambda: run_network(
            make(dropout_rate=0.5), params, inputs, key=jax.random.key(0), numbers=jnp.arange(3)
        ),
        r"is_token must be bool\[2, 7\]": lambda: run(is_token=jnp.ones(TIME, bool)),
        "cannot advance by one step": lambda: step_network(both, params_of_both, states, inputs[:, 0]),
        r"states must have \[1, 1\]": lambda: step_network(one, params, states[:1], inputs[:, 0]),
        r"state has an array of shape \(2, 4\), which must be \(4,\)": lambda: step_network(
            one, params, states, inputs[0, 0]
        ),
    }.items():
        with pytest.raises(ValueError, match=message):
            refused()
