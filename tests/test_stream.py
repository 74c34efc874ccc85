"""A sequence in chunks equals the whole: cells and networks, masks, resets, every backend."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
import recurrent.native
from recurrent import network, stream
from tests import reference

ROWS, TIME, INPUT = 3, 12, 4
GENERATOR = np.random.default_rng(0)
INPUTS = jnp.asarray(GENERATOR.normal(size=(ROWS, TIME, INPUT)), jnp.float32)
IS_TOKEN = jnp.asarray(GENERATOR.random((ROWS, TIME)) < 0.5).at[0, :4].set(False).at[2, 3:9].set(False)
IS_START = jnp.asarray(GENERATOR.random((ROWS, TIME)) < 0.2)
CUTS = [(0, 12), (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), (0, 5, 5, 6, 12), (0, 3, 12)]

STACK = recurrent.Network((recurrent.lstm, recurrent.gru), (5, 4))
RESIDUAL = recurrent.Network((recurrent.gru, recurrent.simple_rnn), (4, 4), is_residual=True)
DESCRIBED = {**{name: recurrent.CELLS[name] for name in recurrent.CELLS}, "stack": STACK, "residual": RESIDUAL}
DATA = {"plain": {}, "masks": {"is_token": IS_TOKEN}, "both": {"is_token": IS_TOKEN, "is_start": IS_START}}


def params_of(described):
    if isinstance(described, recurrent.Network):
        return network.init(jax.random.key(0), described, INPUT)
    return described.init(jax.random.key(0), INPUT, 4)


def run_whole(described, params, inputs, **options):
    run = recurrent.run_network if isinstance(described, recurrent.Network) else recurrent.run
    return jax.jit(partial(run, described, **options))(params, inputs)


def run_chunks(described, params, inputs, cuts, *, is_token=None, is_start=None, **options):
    carry, outputs = stream.begin(described, params, inputs), []
    advance = jax.jit(partial(stream.advance, described, **options))
    for begin, end in itertools.pairwise(cuts):
        masks = {"is_token": is_token, "is_start": is_start}
        own = {name: mask[:, begin:end] for name, mask in masks.items() if mask is not None}
        carry, of_chunk = advance(params, carry, inputs[:, begin:end], **own)
        outputs.append(of_chunk)
    return jnp.concatenate(outputs, axis=-2), carry


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
@pytest.mark.parametrize("described", DESCRIBED.values(), ids=DESCRIBED)
def test_chunks_equal_the_whole(described, data):
    params = params_of(described)
    outputs, final = run_whole(described, params, INPUTS, **data)
    for cuts in CUTS:
        actual, carry = run_chunks(described, params, INPUTS, cuts, **data)
        reference.check((actual, carry.state), (outputs, final), 1e-6)
        np.testing.assert_array_equal(carry.output, actual[:, -1])
        if "is_token" in data:  # held and reset outputs are exact zeros
            np.testing.assert_array_equal(actual == 0, outputs == 0)


@pytest.mark.skipif(bool(why := recurrent.native.why_not()), reason=str(why))
@pytest.mark.parametrize("name", ["lstm", "gru", "simple_rnn"])
def test_chunks_have_the_bits_of_the_whole_on_the_native_backend(name):
    """On the other backends XLA may multiply matrices of other sizes in another order."""
    params = params_of(recurrent.CELLS[name])
    outputs, final = run_whole(recurrent.CELLS[name], params, INPUTS, backend="native", **DATA["both"])
    for cuts in CUTS:
        actual, carry = run_chunks(recurrent.CELLS[name], params, INPUTS, cuts, backend="native", **DATA["both"])
        reference.check_bitwise((actual, carry.state), (outputs, final))


def test_bfloat16_tokens_tables_and_masks_of_units():
    params = params_of(recurrent.gru)
    table = jnp.asarray(GENERATOR.normal(size=(7, INPUT)), jnp.bfloat16)
    tokens = jnp.asarray(GENERATOR.integers(7, size=(ROWS, TIME)))
    rows = recurrent.gru.State(jnp.asarray(GENERATOR.normal(size=(2, 4)), jnp.float32))
    options = {"make_inputs": lambda tokens: table[tokens], "dtype": jnp.float32}
    of_reset = {"reset_to": rows, "reset_index": jnp.zeros((ROWS, TIME), jnp.int32)}
    units = jnp.asarray(GENERATOR.integers(2, size=(ROWS, 1, 4)), jnp.float32)
    whole = run_whole(recurrent.gru, params, tokens, recurrent_mask=units, **options, **of_reset, **DATA["both"])
    carry, outputs = stream.begin(recurrent.gru, params, tokens[:, :0], **options), []
    for part in (slice(0, 5), slice(5, 12)):
        masks = {name: mask[:, part] for name, mask in DATA["both"].items()}
        own = {"reset_to": rows, "reset_index": of_reset["reset_index"][:, part], "recurrent_mask": units}
        carry, of_chunk = stream.advance(recurrent.gru, params, carry, tokens[:, part], **options, **own, **masks)
        outputs.append(of_chunk)
    assert carry.output.dtype == jnp.float32
    reference.check((jnp.concatenate(outputs, axis=1), carry.state), whole, 1e-6)


def test_any_number_of_batch_axes():
    params = params_of(STACK)
    for inputs in (INPUTS[0], INPUTS[None]):
        is_token = IS_TOKEN[0] if inputs.ndim == 2 else IS_TOKEN[None]
        whole = run_whole(STACK, params, inputs, is_token=is_token)
        carry, outputs = stream.begin(STACK, params, inputs), []
        for part in (slice(0, 2), slice(2, 12)):
            carry, of_chunk = stream.advance(STACK, params, carry, inputs[..., part, :], is_token=is_token[..., part])
            outputs.append(of_chunk)
        reference.check((jnp.concatenate(outputs, axis=-2), carry.state), whole, 1e-6)


def test_it_scans_over_chunks_and_has_the_gradients_of_the_whole():
    params = params_of(RESIDUAL)
    chunks = jnp.moveaxis(INPUTS.reshape(ROWS, 4, 3, INPUT), 1, 0)
    masks = jnp.moveaxis(IS_TOKEN.reshape(ROWS, 4, 3), 1, 0)

    def of_chunks(params):
        def take(carry, chunk):
            return stream.advance(RESIDUAL, params, carry, chunk[0], is_token=chunk[1])

        carry, outputs = jax.lax.scan(take, stream.begin(RESIDUAL, params, chunks[0]), (chunks, masks))
        return (outputs**2).sum() + carry.output.sum()

    def of_whole(params):
        outputs, _ = recurrent.run_network(RESIDUAL, params, INPUTS, is_token=IS_TOKEN)
        return (outputs**2).sum() + outputs[:, -1].sum()

    reference.check(jax.jit(jax.grad(of_chunks))(params), jax.jit(jax.grad(of_whole))(params), 1e-5)


def test_what_cannot_be_a_stream_is_refused():
    both = recurrent.Network((recurrent.gru,), (4,), is_bidirectional=True)
    params = network.init(jax.random.key(0), both, INPUT)
    with pytest.raises(ValueError, match="its backward direction begins at the last step, which has not come yet"):
        stream.begin(both, params, INPUTS)
    carry = stream.begin(recurrent.gru, params_of(recurrent.gru), INPUTS)
    with pytest.raises(ValueError, match="A bidirectional network cannot be a stream"):
        stream.advance(both, params, carry, INPUTS)
    with pytest.raises(TypeError, match=r"advance\(\) got an unexpected keyword argument 'reverse'"):
        stream.advance(recurrent.gru, params_of(recurrent.gru), carry, INPUTS, reverse=True)
    with pytest.raises(ValueError, match="initial has an array of shape"):
        stream.advance(recurrent.gru, params_of(recurrent.gru), carry, INPUTS[:2])
