"""The Equinox layers are `run` and `run_network` over leaves that Equinox' own functions reach."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest

equinox = pytest.importorskip("equinox")

import recurrent  # noqa: E402
from recurrent import interop, network, profiles  # noqa: E402
from recurrent.layers.equinox import Network, Recurrent  # noqa: E402

DRAW = np.random.default_rng(0)
INPUTS = DRAW.normal(size=(2, 5, 3)).astype(np.float32)
IS_TOKEN = np.array([[True] * 5, [False, True, True, False, True]])


def equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("name", recurrent.CELLS)
def test_a_layer_is_run_with_its_params(name):
    cell = recurrent.CELLS[name]
    layer = Recurrent(cell, 3, 4, reverse=True, segment_size=2, key=jax.random.key(0))
    params = cell.init(jax.random.clone(jax.random.key(0)), 3, 4)
    equal(layer.params, params)
    expected = recurrent.run(cell, params, INPUTS, is_token=IS_TOKEN, reverse=True, segment_size=2)
    equal(layer(INPUTS, is_token=IS_TOKEN), expected)
    equal(layer.final(INPUTS, is_token=IS_TOKEN), expected[1])


def test_one_sequence_and_vmap_are_a_batch():
    layer = Recurrent(recurrent.gru, 3, 4, key=jax.random.key(1))
    outputs, final = layer(INPUTS)
    alone, _ = layer(INPUTS[0])
    np.testing.assert_allclose(alone, outputs[0], rtol=1e-6, atol=1e-7)
    mapped, finals = jax.vmap(layer)(INPUTS)
    np.testing.assert_allclose(mapped, outputs, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(finals.hidden, final.hidden, rtol=1e-6, atol=1e-7)


def test_steps_and_states():
    layer = Recurrent(recurrent.lstm, 3, 4, key=jax.random.key(2))
    state, found = layer.zero_state((2,)), []
    for t in range(5):
        state, output = layer.step(state, INPUTS[:, t])
        found.append(output)
    np.testing.assert_allclose(np.stack(found, 1), layer(INPUTS)[0], rtol=1e-6, atol=1e-6)
    again, _ = layer.step(state, INPUTS[:, 0], is_start=np.array([True, True]))
    first, _ = layer.step(layer.zero_state((2,)), INPUTS[:, 0])
    equal(again, first)


def test_gradients_jit_and_files_are_equinox_own():
    layer = Recurrent(recurrent.lstm, 3, 4, key=jax.random.key(3))

    @equinox.filter_jit
    @equinox.filter_grad
    def gradient(layer, inputs):
        return jnp.sum(layer.final(inputs).hidden ** 2)

    found = gradient(layer, INPUTS)
    expected = jax.grad(lambda params: jnp.sum(recurrent.run_final(recurrent.lstm, params, INPUTS).hidden ** 2))(
        layer.params
    )
    for one, other in zip(found.params, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    arrays, static = equinox.partition(layer, equinox.is_array)
    assert len(jax.tree.leaves(arrays)) == 3
    equal(equinox.combine(arrays, static)(INPUTS), layer(INPUTS))
    file = io.BytesIO()
    equinox.tree_serialise_leaves(file, layer)
    file.seek(0)
    like = Recurrent(recurrent.lstm, 3, 4, key=jax.random.key(4))
    equal(equinox.tree_deserialise_leaves(file, like).params, layer.params)


@pytest.mark.parametrize("kind, cell", [("LSTMCell", recurrent.lstm), ("GRUCell", recurrent.gru)])
def test_params_of_equinox_own_cells_can_be_put_in(kind, cell, relaxed):
    with relaxed():
        theirs = getattr(equinox.nn, kind)(3, 4, key=jax.random.key(5))
        layer = Recurrent(cell, 3, 4, key=jax.random.key(6))
        layer = equinox.tree_at(lambda layer: layer.params, layer, interop.equinox.params_from(theirs))
        state = (jnp.zeros(4), jnp.zeros(4)) if kind == "LSTMCell" else jnp.zeros(4)
        for x in INPUTS[0]:
            state = theirs(x, state)
        np.testing.assert_allclose(layer.final(INPUTS[0]).hidden, jax.tree.leaves(state)[0], rtol=1e-5, atol=1e-6)


def test_an_ensemble_is_drawn_by_vmap(relaxed):
    with relaxed():
        make = equinox.filter_vmap(lambda key: Recurrent(recurrent.gru, 3, 4, key=key))
        layers = make(jax.random.split(jax.random.key(7), 3))
        outputs = equinox.filter_vmap(lambda layer: layer(INPUTS)[0])(layers)
    assert (layers.params.bias.shape, outputs.shape) == ((3, 2, 12), (3, 2, 5, 4))
    assert not np.array_equal(outputs[0], outputs[1])


def test_dtypes_and_options_of_init():
    layer = Recurrent(
        recurrent.lstm, 3, 4, dtype=jnp.bfloat16, profile=profiles.flax, forget_bias=3.0, key=jax.random.key(8)
    )
    assert np.unique(layer.params.bias).tolist() == [0.0, 3.0]
    outputs, final = layer(INPUTS)
    assert (layer.params.bias.dtype, outputs.dtype, final.memory.dtype) == (jnp.float32, jnp.bfloat16, jnp.float32)
    small = Recurrent(recurrent.gru, 3, 4, param_dtype=jnp.bfloat16, key=jax.random.key(9))
    assert small.params.bias.dtype == jnp.bfloat16


DESCRIPTION = network.Network((recurrent.lstm, recurrent.gru), (4, 4), dropout_rate=0.5)


def test_a_network_is_run_network_with_its_params():
    layer = Network(DESCRIPTION, 3, segment_size=2, key=jax.random.key(10))
    params = network.init(jax.random.clone(jax.random.key(10)), DESCRIPTION, input_size=3)
    equal(layer.params, params)
    expected = network.run_network(DESCRIPTION, params, INPUTS, is_token=IS_TOKEN, segment_size=2)
    equal(layer(INPUTS, is_token=IS_TOKEN), expected)
    equal(layer.final(INPUTS, is_token=IS_TOKEN), expected[1])
    state = layer.zero_state((2,))
    for t in range(5):
        state, output = layer.step(state, INPUTS[:, t])
    np.testing.assert_allclose(output, layer(INPUTS)[0][:, -1], rtol=1e-6, atol=1e-6)


def test_dropout_is_there_with_a_key_alone():
    layer = Network(DESCRIPTION, 3, key=jax.random.key(11))
    with jax.debug_key_reuse(False):
        key = jax.random.key(12)
        noisy, again = layer(INPUTS, key=key)[0], layer(INPUTS, key=key)[0]
    equal(noisy, again)
    assert not np.array_equal(noisy, layer(INPUTS)[0])


def test_an_unknown_option_is_refused():
    key = jax.random.key(13)
    for layer in (Recurrent(recurrent.gru, 3, 4, key=jax.random.clone(key)), Network(DESCRIPTION, 3, key=key)):
        for call in (layer, layer.final):
            with pytest.raises(TypeError, match="unexpected keyword argument 'mask'"):
                call(INPUTS, mask=IS_TOKEN)
