"""The Flax Linen layers: the same numbers as the NNX layers, with params in variables."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx, serialization

import recurrent
from recurrent import network
from recurrent.layers import linen as linen_layers
from recurrent.layers import nnx as nnx_layers
from tests import reference

INPUTS = jnp.asarray(np.random.default_rng(0).normal(size=(2, 7, 3)), jnp.float32)
MASK = np.arange(7) < np.array([[4], [7]])
STACK = network.Network((recurrent.lstm, recurrent.gru), (4, 4), is_residual=True, dropout_rate=0.5)
BOTH = network.Network((recurrent.gru, recurrent.lstm), (4, 5), is_bidirectional=True)


def pair(described, **options):
    """Returns a layer of NNX, the one of Linen and its variables, which hold the former's params."""
    if isinstance(described, network.Network):
        layer = nnx_layers.Network(described, 3, rngs=nnx.Rngs(0), **options)
        theirs = linen_layers.Network(described, **options)
        return layer, theirs, theirs.make_variables(layer.cell_params())
    layer = nnx_layers.Recurrent(described, 3, 4, rngs=nnx.Rngs(0), **options)
    theirs = linen_layers.Recurrent(described, 4, **options)
    return layer, theirs, theirs.make_variables(layer.cell_params())


CASES = {
    "cell": (recurrent.gru, {}),
    "bfloat16 segmented reverse": (recurrent.lstm, {"reverse": True, "segment_size": 3, "dtype": jnp.bfloat16}),
    "stack": (STACK, {}),
    "both": (BOTH, {"segment_size": 3, "backend": "plain", "dtype": jnp.bfloat16}),
}


@pytest.mark.parametrize("described, options", CASES.values(), ids=CASES)
def test_linen_equals_nnx(described, options):
    ours, theirs, variables = pair(described, **options)
    initial = jax.tree.map(jnp.ones_like, ours.zero_state((2,)))
    data = {"is_token": MASK, "is_start": ~MASK, "initial": initial}
    if described is STACK:
        data["deterministic"] = True
    actual = jax.jit(partial(theirs.apply, **data))(variables, INPUTS)
    expected = jax.jit(partial(ours, **data))(INPUTS)
    reference.check_bitwise(*(jax.tree.map(lambda leaf: leaf.astype(jnp.float32), each) for each in (actual, expected)))
    assert actual[0].dtype == expected[0].dtype == options.get("dtype", jnp.float32)
    reference.check_bitwise(theirs.apply(variables, (2,), method="zero_state"), ours.zero_state((2,)))


@pytest.mark.parametrize("described", [recurrent.lstm, STACK], ids=["cell", "network"])
@pytest.mark.parametrize("dtype, tolerance", [(None, 1e-6), (jnp.bfloat16, 0.02)])
def test_steps_equal_a_call(described, dtype, tolerance):
    _, layer, variables = pair(described, dtype=dtype)
    bound = layer.bind(variables)
    state, outputs = bound.zero_state((2,)), []
    for t in range(3):
        state, output = bound.step(state, INPUTS[:, t])
        outputs.append(output)
    quiet = {"deterministic": True} if described is STACK else {}
    expected, final = jax.jit(partial(layer.apply, **quiet))(variables, INPUTS[:, :3])
    assert output.dtype == expected.dtype
    reference.check(
        (jnp.stack(outputs, 1).astype(jnp.float32), state), (expected.astype(jnp.float32), final), tolerance
    )


def test_a_layer_draws_what_the_cells_init_draws():
    options = {"forget_bias": 2.0}
    layer = linen_layers.Recurrent(recurrent.lstm, 4, param_dtype=jnp.bfloat16, init_options=options)
    params = layer.bind(layer.init(jax.random.key(0), INPUTS)).cell_params()
    assert type(params) is recurrent.lstm.Params
    assert {leaf.dtype for leaf in params} == {jnp.dtype(jnp.bfloat16)}
    assert params.input_kernel.shape == (3, 16)
    np.testing.assert_array_equal(params.bias.astype(jnp.float32), np.repeat([0, 2, 0, 0], 4))
    orthogonal = linen_layers.Recurrent(recurrent.lstm, 4).init(jax.random.key(0), INPUTS)["params"]
    kernel = orthogonal["recurrent_kernel"]
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(4), atol=1e-6)


def test_a_step_draws_what_a_call_draws():
    for layer in (linen_layers.Recurrent(recurrent.gru, 4), linen_layers.Network(STACK)):
        expected = jax.jit(layer.init)(jax.random.key(0), INPUTS)
        zero = layer.apply(expected, (2,), method="zero_state")
        actual = jax.jit(partial(layer.init, method="step"))(jax.random.key(0), zero, INPUTS[:, 0])
        reference.check_bitwise(actual, expected)


def test_noise_takes_the_collection_dropout_and_follows_the_examples():
    _, layer, variables = pair(STACK)
    inputs = jnp.concatenate([INPUTS[:1]] * 3)

    @partial(jax.jit, static_argnames="deterministic")
    def apply(numbers=None, deterministic=None, **rngs):
        return layer.apply(variables, inputs, numbers=numbers, deterministic=deterministic, rngs=rngs)[0]

    def call(numbers=None, **options):
        with jax.debug_key_reuse(False):
            return np.asarray(apply(numbers, **options))

    noisy, silent = call(jnp.array([5, 9, 6]), dropout=jax.random.key(0)), call(deterministic=True)
    assert not np.array_equal(noisy, silent)
    assert not np.array_equal(noisy[0], noisy[1])
    np.testing.assert_array_equal(call(jnp.array([4, 5, 6]), dropout=jax.random.key(0))[1:], noisy[[0, 2]])
    np.testing.assert_array_equal(call(deterministic=True, dropout=jax.random.key(0)), silent)
    assert not np.array_equal(call(jnp.array([5, 9, 6]), dropout=jax.random.key(1)), noisy)


def test_dropout_is_never_silently_off():
    _, layer, variables = pair(STACK)
    for method in ("__call__", "final"):
        with pytest.raises(ValueError, match=r"dropout_rate is 0.5, .*pass rngs={'dropout': key} to `apply`"):
            layer.apply(variables, INPUTS, method=method)
    quiet, key = layer.clone(deterministic=True), jax.random.key(0)
    expected = layer.apply(variables, INPUTS, deterministic=True)
    reference.check_bitwise(quiet.apply(variables, INPUTS), expected)
    reference.check_bitwise(quiet.apply(variables, INPUTS, rngs={"dropout": key}), expected)
    noisy = network.run_network(STACK, layer.bind(variables).cell_params(), INPUTS, key=jax.random.key(3))
    reference.check_bitwise(quiet.apply(variables, INPUTS, deterministic=False, key=jax.random.key(3)), noisy)


def test_without_a_rate_no_key_is_taken():
    """So that a model's other noise does not change with it."""

    class Model(nn.Module):
        has_network: bool

        @nn.compact
        def __call__(self, inputs):
            if self.has_network:
                linen_layers.Network(BOTH, parent=self.scope)(inputs)
            return self.make_rng("dropout")

    def draw(has_network):
        rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
        key, _ = jax.jit(Model(has_network).init_with_output)(rngs, INPUTS)
        return jax.random.key_data(key)

    np.testing.assert_array_equal(draw(True), draw(False))


def test_gradients_equal_those_of_run_network():
    description = network.Network((recurrent.lstm,), (4,))
    _, layer, variables = pair(description)

    def loss(results):
        outputs, final = results
        return (outputs**2).sum() + final[0].forward.memory.sum()

    @jax.jit
    @jax.grad
    def of_layer(variables):
        return loss(layer.apply(variables, INPUTS, is_token=MASK))

    @jax.jit
    @jax.grad
    def of_run(params):
        return loss(network.run_network(description, params, INPUTS, is_token=MASK))

    params = layer.bind(variables).cell_params()
    reference.check_bitwise(layer.bind(of_layer(variables)).cell_params(), of_run(params))


def test_called_twice_it_shares_its_params():
    class Twice(nn.Module):
        @nn.compact
        def __call__(self, inputs):
            layer = linen_layers.Recurrent(recurrent.gru, 3)
            outputs, final = layer(inputs)
            again, _ = layer(outputs, initial=final)
            return again, layer.step(layer.zero_state((2,)), inputs[:, 0])

    (again, (state, _)), variables = Twice().init_with_output(jax.random.key(0), INPUTS)
    assert list(variables["params"]) == ["Recurrent_0"]
    params = recurrent.gru.Params(**variables["params"]["Recurrent_0"])
    outputs, final = recurrent.run(recurrent.gru, params, INPUTS)
    reference.check_bitwise(again, recurrent.run(recurrent.gru, params, outputs, initial=final)[0])
    reference.check(state.hidden, outputs[:, 0], 1e-6)


def test_variables_survive_bytes():
    _, _, variables = pair(BOTH)
    blank = jax.tree.map(jnp.zeros_like, variables)
    restored = serialization.from_bytes(blank, serialization.to_bytes(variables))
    assert jax.tree.structure(restored) == jax.tree.structure(variables)
    reference.check_bitwise(restored, variables)


def test_what_does_not_fit_is_refused():
    layer = linen_layers.Recurrent(recurrent.lstm, 4)
    with pytest.raises(ValueError, match="has no params yet"):
        layer.apply({"params": {}}, (2,), method="zero_state")
    with pytest.raises(ValueError, match="at least 1, not 3 and 0"):
        linen_layers.Recurrent(recurrent.lstm, 0).init(jax.random.key(0), INPUTS)
    _, both, variables = pair(BOTH)
    with pytest.raises(ValueError, match="cannot advance by one step"):
        both.apply(variables, both.apply(variables, (2,), method="zero_state"), INPUTS[:, 0], method="step")
