"""What `run` takes, `run_network` takes: held to `run` by hand, layer upon layer, and to steps."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent.network import Directions, Network, init, run_network, run_network_final, step_network, zero_states
from tests import reference
from tests.network.gradients import solve

BATCH, TIME, INPUT, SIZES = 3, 7, 3, (4, 5)
CELLS = (recurrent.gru, recurrent.lstm)
ONE = Network(CELLS, SIZES)
BOTH = Network(CELLS, SIZES, is_bidirectional=True)
draws = np.random.default_rng(0)
INPUTS = jnp.asarray(draws.normal(size=(BATCH, TIME, INPUT)), jnp.float32)
TABLE = jnp.asarray(draws.normal(size=(6, INPUT)), jnp.float32)
TOKENS = jnp.asarray(draws.integers(0, 6, (BATCH, TIME)))
IS_TOKEN = np.arange(TIME) < np.array([[4], [TIME], [0]])
IS_START = draws.random((BATCH, TIME)) < 0.3
INDEX = jnp.asarray(draws.integers(0, 2, (BATCH, TIME)))
LENGTHS = jnp.array([2, 0, TIME])


def states(network, batch):
    """Draws states, or a table of them, for each layer and direction."""
    params = jax.eval_shape(lambda: init(jax.random.key(0), network, INPUT))
    like = jax.eval_shape(lambda: zero_states(network, jax.tree.map(jnp.zeros_like, params), batch))
    return jax.tree.map(lambda leaf: jnp.asarray(draws.normal(size=leaf.shape), leaf.dtype), like)


def masks(network, num_steps):
    """Draws a mask for each layer and direction, but for one direction of the last layer."""
    of_layers = [
        [jnp.asarray(draws.random((BATCH, num_steps, size)), jnp.float32) for _ in range(1 + network.is_bidirectional)]
        for size in SIZES
    ]
    of_layers[1][0] = None
    return tuple(Directions(*own) for own in of_layers)


OPTIONS = {
    "masks of all steps": (BOTH, {"recurrent_mask": masks(BOTH, 1), "is_token": IS_TOKEN}),
    "masks of each step": (BOTH, {"recurrent_mask": masks(BOTH, TIME)}),
    "a layer without masks": (ONE, {"recurrent_mask": (None, Directions(masks(BOTH, 1)[1].backward))}),
    "starts to given states": (
        BOTH,
        {"is_start": IS_START, "reset_to": states(BOTH, (2,)), "reset_index": INDEX, "initial": states(BOTH, (BATCH,))},
    ),
    "starts to given states of one layer": (
        ONE,
        {"is_start": IS_START, "reset_to": (None, states(ONE, (2,))[1]), "reset_index": INDEX},
    ),
    "truncated": (BOTH, {"truncate_every": 3, "is_token": IS_TOKEN}),
    "embedded": (BOTH, {"make_inputs": TABLE.__getitem__, "segment_size": 3}),
    "a prefix": (BOTH, {"prefix": recurrent.Prefix(TABLE[0], LENGTHS)}),
    "an embedded prefix": (ONE, {"prefix": recurrent.Prefix(TOKENS[0, 0], LENGTHS), "make_inputs": TABLE.__getitem__}),
}


def by_hand(network, params, inputs, **options):
    """Runs `run` for each layer and direction."""
    of_first = {name: options.pop(name) for name in ("prefix", "make_inputs") if name in options}
    of_layers = {name: options.pop(name) for name in ("initial", "reset_to", "recurrent_mask") if name in options}
    x, final = inputs, []
    for layer, own in enumerate(params):
        halves, after = [], []
        for reverse, of_direction in enumerate(own[: 1 + network.is_bidirectional]):
            mine = {name: given[layer][reverse] for name, given in of_layers.items() if given[layer] is not None}
            rest = dict(options)
            if "reset_to" in of_layers and "reset_to" not in mine:
                rest.pop("reset_index")
            arguments = {**rest, **mine, **(of_first if layer == 0 else {})}
            outputs, state = recurrent.run(network.cells[layer], of_direction, x, reverse=bool(reverse), **arguments)
            halves.append(outputs)
            after.append(state)
        x = jnp.concatenate(halves, axis=-1)
        final.append(Directions(*after))
    return x, tuple(final)


@pytest.mark.parametrize("network, options", OPTIONS.values(), ids=OPTIONS)
def test_an_option_means_what_it_means_in_run(network, options):
    params = init(jax.random.key(1), network, INPUT)
    inputs = TOKENS if "make_inputs" in options else INPUTS

    def call(run, params):
        return run(network, params, inputs, **options)

    expected = solve(partial(call, by_hand), params)
    reference.check(solve(partial(call, run_network), params), expected, 1e-5)
    reference.check(jax.jit(partial(call, run_network_final))(params), expected[0][1], 1e-6)


@pytest.mark.parametrize("is_embedded", [False, True])
def test_a_prefix_is_as_if_it_were_written_into_the_inputs(is_embedded):
    """In every layer, its noise and its shortcuts; what stood there counts nothing."""
    network = Network(CELLS, (INPUT, INPUT), is_residual=True, dropout_rate=0.3)
    params = init(jax.random.key(1), network, INPUT)
    is_prefix = jnp.asarray(np.arange(TIME) < np.asarray(LENGTHS)[:, None])
    options = {"make_inputs": TABLE.__getitem__} if is_embedded else {}
    inputs, pad = (TOKENS, jnp.asarray(3)) if is_embedded else (INPUTS, TABLE[3])
    written = jnp.where(is_prefix if is_embedded else is_prefix[..., None], pad, inputs)
    spoilt = inputs if is_embedded else jnp.where(is_prefix[..., None], jnp.nan, inputs)

    @jax.jit
    def run(inputs, prefix, seed):
        return run_network(network, params, inputs, prefix=prefix, key=jax.random.key(seed), **options)

    actual = run(spoilt, recurrent.Prefix(pad, LENGTHS), 0)
    reference.check(actual, run(written, None, 0), 1e-6)
    assert not np.allclose(actual[0], run(written, None, 1)[0])


def test_no_gradient_passes_a_cut():
    network, every = Network(CELLS, (4, 4), is_residual=True), 3
    params = init(jax.random.key(1), network, INPUT)

    def by_steps(params, inputs):
        after, outputs = zero_states(network, params, (BATCH,)), []
        for t in range(TIME):
            if t % every == 0:
                after = jax.lax.stop_gradient(after)
            after, output = step_network(network, params, after, inputs[:, t])
            outputs.append(output)
        return jnp.stack(outputs, 1), after

    cut = solve(partial(run_network, network, truncate_every=every), params, INPUTS)
    reference.check(cut, solve(by_steps, params, INPUTS), 1e-5)
    assert reference.relative_error(cut[1][1], solve(partial(run_network, network), params, INPUTS)[1][1]) > 0.01


@pytest.mark.parametrize("is_bidirectional", [False, True])
def test_padding_is_not_given_to_make_inputs_for_a_shortcut(is_bidirectional):
    """Of the logarithm of padding that is zero, the gradient would be NaN."""
    size = 2 if is_bidirectional else 4
    network = Network((recurrent.gru,), (size,), is_bidirectional=is_bidirectional, is_residual=True)
    params = init(jax.random.key(1), network, 4)
    is_token = np.array([[0, 0, 1, 1, 0, 1, 0], [1, 0, 1, 1, 1, 1, 1]], bool)
    raw = jnp.where(is_token[..., None], jnp.exp(jnp.asarray(draws.normal(size=(2, TIME, 4)), jnp.float32)), 0)

    def run(params, raw):
        return run_network(network, params, raw, is_token=is_token, make_inputs=jnp.log)

    def made_before(params, raw):
        made = jnp.log(jnp.where(is_token[..., None], raw, 1))
        return run_network(network, params, made, is_token=is_token)

    reference.check(solve(run, params, raw), solve(made_before, params, raw), 1e-5)


def test_what_does_not_fit_is_refused():
    params = init(jax.random.key(1), BOTH, INPUT)
    run = partial(run_network, BOTH, params, INPUTS)
    for message, refused in {
        "recurrent_mask must have one entry per layer, 2 in all, not 1": lambda: run(recurrent_mask=masks(BOTH, 1)[:1]),
        r"recurrent_mask must have shape \(3, 7, 4\) or \(3, 1, 4\)": lambda: run(recurrent_mask=masks(BOTH, 2)),
        "reset_to must have one entry": lambda: run(
            is_start=IS_START, reset_to=states(ONE, (2,))[1:], reset_index=INDEX
        ),
        "reset_to and reset_index must be given together": lambda: run(is_start=IS_START, reset_to=states(BOTH, (2,))),
        "need is_start, which marks": lambda: run(reset_to=states(BOTH, (2,)), reset_index=INDEX),
        "truncate_every must be an integer of at least 1": lambda: run(truncate_every=0),
    }.items():
        with pytest.raises(ValueError, match=message):
            refused()
    with pytest.raises(TypeError, match=r"run_network_final\(\) got an unexpected keyword argument 'is_tokens'"):
        run_network_final(BOTH, params, INPUTS, is_tokens=IS_TOKEN)
