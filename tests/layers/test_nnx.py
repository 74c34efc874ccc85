"""The Flax NNX layers: `run` and `run_network` with their params kept, and no meaning of their own."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import recurrent
from recurrent import network
from recurrent.layers.nnx import Network, Recurrent
from tests import reference

INPUTS = jnp.asarray(np.random.default_rng(0).normal(size=(2, 7, 3)), jnp.float32)
MASK = np.arange(7) < np.array([[4], [7]])


def make(name: str, **options) -> Recurrent:
    return Recurrent(recurrent.CELLS[name], input_size=3, hidden_size=4, rngs=nnx.Rngs(0), **options)


@pytest.mark.parametrize(
    "name, options",
    [("gru", {}), ("lstm", {"reverse": True, "segment_size": 3})],
    ids=["gru", "lstm segmented reverse"],
)
def test_layer_equals_run(name, options):
    layer = make(name, **options)
    params = layer.cell_params()
    problem = reference.to_library(layer.cell, reference.draw(name, batch=(2,)))
    data = {"is_token": MASK, "is_start": ~MASK, "initial": problem.initial}
    expected = recurrent.run(layer.cell, params, INPUTS, **data, **options)
    reference.check_bitwise(layer(INPUTS, **data), expected)


def test_layers_draw_apart_and_the_same_seed_draws_the_same():
    def draw(seed):
        rngs = nnx.Rngs(seed)
        return [Recurrent(recurrent.lstm, 3, 4, rngs=rngs).cell_params() for _ in range(2)]

    with jax.debug_key_reuse(False):
        (first, second), again, others = draw(0), draw(0), draw(1)
    reference.check_bitwise((first, second), tuple(again))
    for other in (second, others[0]):
        assert not np.array_equal(first.input_kernel, other.input_kernel)


def test_options_go_to_the_cells_init():
    bias = make("lstm", forget_bias=2.0).cell_params().bias
    np.testing.assert_array_equal(bias, np.repeat([0, 2, 0, 0], 4))


def test_bfloat16_computes_narrow_and_keeps_state_and_params_wide():
    layer, wide = make("lstm", dtype=jnp.bfloat16), make("lstm")
    outputs, final = layer(INPUTS)
    assert outputs.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in final} == {jnp.dtype(jnp.float32)}
    assert {leaf.dtype for leaf in layer.cell_params()} == {jnp.dtype(jnp.float32)}
    reference.check((outputs, final), wide(INPUTS), 0.02)
    assert not np.array_equal(final.hidden, wide(INPUTS)[1].hidden)


def test_gradients_of_a_bfloat16_layer_have_the_params_dtype():
    description, params = nnx.split(make("lstm", dtype=jnp.bfloat16))
    gradient = jax.grad(lambda params: nnx.merge(description, params)(INPUTS)[1].hidden.sum())(params)
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("param_dtype, carried", [(jnp.bfloat16, jnp.float32), (jnp.float64, jnp.float64)])
def test_params_have_the_dtype_asked_for(param_dtype, carried, float64):
    layer = make("gru", param_dtype=param_dtype)
    _, final = layer(INPUTS)
    assert {leaf.dtype for leaf in layer.cell_params()} == {jnp.dtype(param_dtype)}
    assert final.hidden.dtype == carried


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_gradients_through_split_and_merge_equal_those_of_run(name):
    layer = make(name)
    description, state = nnx.split(layer)

    def loss_of_layer(state):
        outputs, final = nnx.merge(description, state)(INPUTS, is_token=MASK)
        return (outputs**2).sum() + final.hidden.sum()

    def loss_of_run(params):
        outputs, final = recurrent.run(layer.cell, params, INPUTS, is_token=MASK)
        return (outputs**2).sum() + final.hidden.sum()

    actual = nnx.merge(description, jax.grad(loss_of_layer)(state)).cell_params()
    reference.check_bitwise(actual, jax.grad(loss_of_run)(layer.cell_params()))


def test_compiled_by_nnx_it_learns():
    """To say whether the first feature's sum is positive."""
    layer = make("gru")
    optimizer = nnx.Optimizer(layer, optax.sgd(0.5), wrt=nnx.Param)
    inputs = jax.random.normal(jax.random.key(1), (64, 7, 3))
    target = jnp.sign(inputs[:, :, 0].sum(1))

    @nnx.jit
    def train(layer, optimizer):
        def loss(layer):
            return ((layer(inputs)[1].hidden[:, 0] - target) ** 2).mean()

        value, gradient = nnx.value_and_grad(loss)(layer)
        optimizer.update(layer, gradient)
        return value

    losses = [float(train(layer, optimizer)) for _ in range(60)]
    assert losses[-1] < losses[0] / 4


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="at least 1, not 0 and 4"):
        Recurrent(recurrent.lstm, 0, 4, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="is_token must be bool"):
        make("lstm")(INPUTS, is_token=MASK[0])


STACK = network.Network((recurrent.lstm, recurrent.gru), (4, 4), is_residual=True, dropout_rate=0.5)
BOTH = network.Network((recurrent.gru, recurrent.lstm), (4, 5), is_bidirectional=True)


def make_network(description: network.Network, **options) -> Network:
    return Network(description, input_size=3, rngs=nnx.Rngs(0), **options)


@pytest.mark.cpu  # on a GPU two programs may round differently
@pytest.mark.parametrize(
    "description, options", [(STACK, {}), (BOTH, {"segment_size": 3, "backend": "plain"})], ids=["stack", "both"]
)
def test_a_network_equals_run_network(description, options):
    layer = make_network(description, **options)
    initial = jax.tree.map(jnp.ones_like, layer.zero_state((2,)))
    data = {"is_token": MASK, "is_start": ~MASK, "initial": initial, "numbers": jnp.array([8, 3])}
    params = layer.cell_params()
    with jax.debug_key_reuse(False):
        data["key"] = jax.random.key(1)
        run = jax.jit(partial(network.run_network, description, **options))
        reference.check_bitwise(jax.jit(layer)(INPUTS, **data), run(params, INPUTS, **data))


@pytest.mark.parametrize("dtype, tolerance", [(None, 1e-6), (jnp.bfloat16, 0.02)])
@pytest.mark.parametrize("kind", ["cell", "network"])
def test_steps_equal_a_call(kind, dtype, tolerance):
    layer = make("gru", dtype=dtype) if kind == "cell" else make_network(STACK, dtype=dtype)
    state, outputs = layer.zero_state((2,)), []
    for t in range(3):
        state, output = layer.step(state, INPUTS[:, t])
        outputs.append(output)
    layer.eval()
    expected, final = jax.jit(layer)(INPUTS[:, :3])
    assert output.dtype == expected.dtype
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype(jnp.float32)}
    reference.check(
        (jnp.stack(outputs, 1).astype(jnp.float32), state), (expected.astype(jnp.float32), final), tolerance
    )


def test_a_network_is_split_and_merged():
    description, state = nnx.split(make_network(BOTH))
    gradient = jax.jit(jax.grad(lambda state: nnx.merge(description, state)(INPUTS)[0].sum()))(state)
    params = make_network(BOTH).cell_params()
    expected = jax.jit(jax.grad(lambda params: network.run_network(BOTH, params, INPUTS)[0].sum()))(params)
    reference.check(nnx.merge(description, gradient).cell_params(), expected, 1e-5)
