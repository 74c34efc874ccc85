"""The NNX network heeds `train()` and `eval()`, and draws its noise from a stream of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import recurrent
from recurrent import network
from recurrent.layers.nnx import Network, Recurrent
from tests import reference

INPUTS = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 3)), jnp.float32)
STACK = network.Network((recurrent.simple_rnn,) * 2, (4, 4), dropout_rate=0.5)


@pytest.fixture(autouse=True)
def reused_keys():
    """Streams fold a count into one key."""
    with jax.debug_key_reuse(False):
        yield


def make(rngs=None, description=STACK, **options) -> Network:
    return Network(description, 3, rngs=nnx.Rngs(params=0, dropout=1) if rngs is None else rngs, **options)


def run(layer, **options):
    return network.run_network(layer.description, layer.cell_params(), INPUTS, **options)


def same(one, other) -> bool:
    return np.array_equal(one[0], other[0])


class Model(nnx.Module):
    def __init__(self, rngs):
        self.network = make(rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, inputs):
        return self.network(inputs)


def test_train_and_eval_turn_dropout_on_and_off():
    model = Model(nnx.Rngs(0))
    quiet = run(model.network)
    assert not same(model(INPUTS), quiet), "a layer begins in training mode, as nnx.Dropout does"
    model.eval()
    assert model.network.deterministic is model.dropout.deterministic is True
    reference.check_bitwise(model(INPUTS), quiet)
    model.train()
    assert not same(model(INPUTS), quiet)
    reference.check_bitwise(nnx.view(model, deterministic=True)(INPUTS), quiet)
    model.set_attributes(Network, deterministic=True)
    reference.check_bitwise(model(INPUTS), quiet)
    assert not same(model.network(INPUTS, deterministic=False), quiet)
    reference.check_bitwise(make(deterministic=True)(INPUTS), run(make()))
    assert "deterministic" in nnx.view_info(model.network)


def test_noise_is_that_of_the_stream_anew_at_each_call():
    layer, stream = make(), nnx.Rngs(dropout=1).dropout.fork()
    first, second = layer(INPUTS), layer(INPUTS)
    reference.check_bitwise(first, run(layer, key=stream()))
    reference.check_bitwise(second, run(layer, key=stream()))
    assert not same(first, second)
    reference.check_bitwise(layer.final(INPUTS), run(layer, key=stream())[1])
    key = jax.random.key(7)
    reference.check_bitwise(
        layer(INPUTS, key=key, numbers=jnp.array([5, 2])), run(layer, key=key, numbers=jnp.array([5, 2]))
    )
    reference.check_bitwise(layer(INPUTS, key=key, deterministic=True), run(layer))


def test_the_stream_goes_on_in_compiled_steps():
    layer, other = make(), make()
    compiled = nnx.jit(lambda layer: layer(INPUTS))
    for _ in range(2):
        reference.check(compiled(layer), other(INPUTS), 1e-6)
    assert layer.rngs.count.get_value() == other.rngs.count.get_value() == 2


def test_dropout_is_never_silently_off():
    layer = make(nnx.Rngs(params=0))
    assert layer.rngs is None
    for call in (layer, layer.final):
        with pytest.raises(ValueError, match=r"dropout_rate is 0\.5, and there is no key: pass `key`"):
            call(INPUTS)
    reference.check_bitwise(layer(INPUTS, deterministic=True), run(layer))
    reference.check_bitwise(layer(INPUTS, key=jax.random.key(2)), run(layer, key=jax.random.key(2)))


def test_without_dropout_no_stream_is_kept_or_used():
    """So that the model's other noise, and its state, are the same."""
    rngs = nnx.Rngs(0)
    plain = network.Network((recurrent.gru,), (4,))
    layers = [make(rngs, plain), Recurrent(recurrent.gru, 3, 4, rngs=rngs)]
    assert rngs.default.count.get_value() == 2
    for layer in layers:
        assert not nnx.to_flat_state(nnx.state(layer, nnx.RngState))
        layer.train()
        layer(INPUTS)
