"""Moments of optimizers convert where the map is a permutation: they are then those of our own training."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import recurrent
from recurrent import interop
from tests.interop.libraries import HIDDEN, INPUT, LIBRARIES, NEEDS, linen_cell, params_of, problem, torch_module
from tests.reference import check, check_bitwise

STEPS = 3
OPTIMIZERS = {"adam": optax.adam(1e-2), "rmsprop": optax.rmsprop(1e-2, decay=0.9, eps=1e-7)}


def train(optimizer, loss, params):
    state = optimizer.init(params)
    for _ in range(STEPS):
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        params = optax.apply_updates(params, updates)
    return params, [moments for name in ("mu", "nu") if (moments := getattr(state[0], name, None)) is not None]


def our_loss(cell, given):
    def loss(params):
        state = recurrent.CELLS[cell].State(*map(jnp.asarray, given[1]))
        return jnp.sum(recurrent.run(recurrent.CELLS[cell], params, given[0], initial=state, backend="plain")[0] ** 2)

    return loss


@pytest.mark.parametrize("cell", ["simple_rnn", "lstm"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_moments_of_linen_are_those_of_our_training(cell, name, relaxed):
    from flax import linen as nn

    draw = np.random.default_rng(0)
    params, given = jax.tree.map(jnp.asarray, params_of(cell, draw)), problem(cell, draw)

    def their_loss(tree):
        carry = given[1][::-1] if cell == "lstm" else given[1][0]
        return jnp.sum(nn.RNN(linen_cell(cell)).apply({"params": {"cell": tree}}, given[0], initial_carry=carry) ** 2)

    with relaxed():
        theirs, their_moments = train(OPTIMIZERS[name], their_loss, interop.linen.params_to(params))
        ours, our_moments = train(OPTIMIZERS[name], our_loss(cell, given), params)
    assert len(our_moments) == {"adam": 2, "rmsprop": 1}[name]
    check(interop.linen.params_from(theirs), ours, 1e-5)
    converted = [interop.linen.params_from(each, is_moments=True) for each in their_moments]
    check(converted, our_moments, 1e-5)
    check_bitwise([interop.linen.params_to(each, is_moments=True) for each in converted], their_moments)


def test_moments_of_torch_are_those_of_our_training(relaxed):
    torch = pytest.importorskip("torch")
    draw = np.random.default_rng(0)
    params, given = params_of("gru", draw), problem("gru", draw)
    module = torch_module("gru")
    module.load_state_dict(interop.torch.params_to(params))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(STEPS):
        optimizer.zero_grad()
        module(torch.from_numpy(given[0]), torch.from_numpy(given[1][0][None]))[0].square().sum().backward()
        optimizer.step()
    with relaxed():
        ours, (mu, nu) = train(optax.adam(1e-2), our_loss("gru", given), jax.tree.map(jnp.asarray, params))
    check(interop.torch.params_from(module), ours, 1e-5)
    for key, moments in (("exp_avg", mu), ("exp_avg_sq", nu)):
        theirs = {name: optimizer.state[parameter][key] for name, parameter in module.named_parameters()}
        check(interop.torch.params_from(theirs, is_moments=True), moments, 1e-5)


@pytest.mark.parametrize("library", ["Flax NNX", "Equinox", "Haiku"])
def test_moments_of_an_lstm_are_permuted_and_no_more(library):
    for module in NEEDS.get(library, ()):
        pytest.importorskip(module)
    own = LIBRARIES[library].module
    moments = params_of("lstm", np.random.default_rng(1))
    back = own.params_from(own.params_to(moments, is_moments=True), is_moments=True)
    check_bitwise(back, moments)
    if library == "Haiku":  # nothing is added to the forget gate
        bias = own.params_to(moments, is_moments=True)["lstm/linear"]["b"]
        np.testing.assert_array_equal(np.sort(bias), np.sort(moments.bias))


@pytest.mark.parametrize(
    "library, cell",
    [
        ("PyTorch", "lstm"),
        ("PyTorch", "simple_rnn"),
        ("Flax Linen", "gru"),
        ("Flax NNX", "gru"),
        ("Equinox", "gru"),
        ("Haiku", "gru_reset_before"),
    ],
)
def test_moments_of_sums_and_of_changed_signs_are_refused(library, cell):
    for module in NEEDS.get(library, ()):
        pytest.importorskip(module)
    own = LIBRARIES[library].module
    params = params_of(cell, np.random.default_rng(2))
    if library == "Flax NNX":
        params = params._replace(bias=np.zeros((2, 3 * HIDDEN), np.float32))
    with pytest.raises(ValueError, match=r"moments of .* do not convert"):
        own.params_to(params, is_moments=True)
    with pytest.raises(ValueError, match=r"moments of .* do not convert"):
        own.params_from(own.params_to(params), is_moments=True)


def test_velocities_of_keras_convert_by_the_same_call(relaxed):
    keras = pytest.importorskip("keras")
    with relaxed():
        layer = keras.layers.GRU(HIDDEN)
        model = keras.Sequential([keras.layers.Input((None, INPUT)), layer])
        model.compile(keras.optimizers.RMSprop(), "mse")
        model.train_on_batch(np.ones((2, 5, INPUT)), np.ones((2, HIDDEN)))
        velocities = [each for each in model.optimizer.variables if "velocity" in each.path]
        moments = interop.keras.params_from([np.asarray(each) for each in velocities])
    assert type(moments) is recurrent.gru.Params
    assert np.all(moments.bias >= 0)
    assert np.any(moments.bias > 0)
