"""Profiles against the libraries' own initial weights: the same bounds, moments and distribution, array by array."""

import copy
import dataclasses
import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from scipy import stats

import recurrent
from recurrent import interop, profiles
from recurrent.cells.profiles import PROFILES
from recurrent.layers import linen
from recurrent.layers.nnx import Recurrent

INPUT, HIDDEN, SEEDS = 12, 32, 8

of_each = pytest.mark.parametrize("name", PROFILES)


def keras_params(cell, seed):
    import keras

    keras.utils.set_random_seed(seed)
    kind, options = {
        "simple_rnn": ("SimpleRNN", {}),
        "lstm": ("LSTM", {}),
        "gru": ("GRU", {}),
        "gru_reset_before": ("GRU", {"reset_after": False}),
    }[cell]
    layer = getattr(keras.layers, kind)(HIDDEN, **options)
    layer.build((1, 1, INPUT))
    return interop.keras.params_from(layer)


def torch_params(cell, seed):
    import torch

    torch.manual_seed(seed)
    kind = {"simple_rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}[cell]
    return interop.torch.params_from(getattr(torch.nn, kind)(INPUT, HIDDEN))


def flax_params(cell, seed):
    from flax import linen as nn

    kind = {"simple_rnn": nn.SimpleCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}[cell]
    variables = nn.RNN(kind(HIDDEN)).init(jax.random.key(seed), jnp.ones((1, 2, INPUT)))
    return interop.linen.params_from(variables["params"]["cell"])


def haiku_params(cell, seed):
    import haiku

    kind = {"simple_rnn": haiku.VanillaRNN, "lstm": haiku.LSTM, "gru_reset_before": haiku.GRU}[cell]
    model = haiku.transform(lambda x, state: kind(HIDDEN)(x, state))
    zero = jnp.zeros(HIDDEN)
    tree = model.init(jax.random.key(seed), jnp.ones(INPUT), haiku.LSTMState(zero, zero) if cell == "lstm" else zero)
    if cell != "simple_rnn":
        return interop.haiku.params_from(tree)
    one, other = tree.values()  # interop refuses its ReLU
    return recurrent.simple_rnn.Params(one["w"], other["w"], one["b"] + other["b"])


LIBRARIES = {
    "keras": (keras_params, ("simple_rnn", "lstm", "gru", "gru_reset_before")),
    "torch": (torch_params, ("simple_rnn", "lstm", "gru")),
    "flax": (flax_params, ("simple_rnn", "lstm", "gru")),
    "haiku": (haiku_params, ("simple_rnn", "lstm", "gru_reset_before")),
}
CASES = [(library, cell) for library, (_, cells) in LIBRARIES.items() for cell in cells]


def ours(library, cell):
    keys = jax.random.split(jax.random.key(20), SEEDS)
    return [recurrent.CELLS[cell].init(key, INPUT, HIDDEN, profile=PROFILES[library]) for key in keys]


def check_distribution(drawn, expected):
    """Compares shape, bounds, moments and distribution of two samples; constant arrays must be equal."""
    drawn, expected = np.asarray(drawn, np.float64), np.asarray(expected, np.float64)
    assert drawn.shape == expected.shape
    if len(np.unique(expected[0])) <= 2:  # no more than zeros, and ones of a forget gate
        np.testing.assert_array_equal(drawn, expected)
        return
    assert stats.ks_2samp(drawn.ravel(), expected.ravel()).pvalue > 1e-3
    spread = expected.std()
    assert drawn.std() == pytest.approx(spread, rel=4 / math.sqrt(drawn.size))
    assert abs(drawn.mean() - expected.mean()) < 5 * spread / math.sqrt(drawn.size)
    assert np.abs(drawn).max() == pytest.approx(np.abs(expected).max(), rel=0.25)


@pytest.mark.parametrize("library, cell", CASES)
def test_params_are_distributed_as_the_librarys_own(library, cell, relaxed):
    make, _ = LIBRARIES[library]
    pytest.importorskip(library)
    with relaxed():
        expected = [make(cell, seed) for seed in range(SEEDS)]
    for drawn, theirs in zip(zip(*ours(library, cell), strict=True), zip(*expected, strict=True), strict=True):
        check_distribution(np.stack(drawn), np.stack(theirs))


@pytest.mark.parametrize("library, cell", CASES)
def test_orthogonality_is_the_librarys_own(library, cell, relaxed):
    """Says of the whole kernel and of each gate's block whether its rows are orthonormal, in both libraries."""
    make, _ = LIBRARIES[library]
    pytest.importorskip(library)

    def is_orthogonal(params):
        kernel = np.asarray(params.recurrent_kernel)
        gates = np.split(kernel, kernel.shape[1] // HIDDEN, axis=1)
        return [bool(np.allclose(each @ each.T, np.eye(HIDDEN), atol=1e-5)) for each in (kernel, *gates)]

    with relaxed():
        expected = is_orthogonal(make(cell, 0))
    assert is_orthogonal(ours(library, cell)[0]) == expected


@pytest.mark.parametrize("cell", ["simple_rnn", "lstm", "gru"])
def test_torch_stays_within_its_bounds(cell):
    limit = 1 / math.sqrt(HIDDEN)
    for params in ours("torch", cell):
        bound = limit if cell == "gru" else 2 * limit  # one bias is the sum of two
        assert abs(params.bias).max() <= bound
        assert max(abs(params.input_kernel).max(), abs(params.recurrent_kernel).max()) <= limit


@pytest.mark.parametrize("library, forget", [("keras", 1.0), ("flax", 0.0), ("haiku", 1.0)])
def test_the_forget_gates_bias(library, forget):
    blocks = np.split(np.asarray(ours(library, "lstm")[0].bias), 4)
    assert [set(block.tolist()) for block in blocks] == [{0.0}, {forget}, {0.0}, {0.0}]


def torch_weights(kind, seed):
    import torch

    torch.manual_seed(seed)
    module = torch.nn.Embedding(50, 16) if kind == "embedding" else torch.nn.Linear(50, 16)
    return [each.detach().numpy().T if kind == "dense" else each.detach().numpy() for each in module.parameters()]


def keras_weights(kind, seed):
    import keras

    keras.utils.set_random_seed(seed)
    layer = keras.layers.Embedding(50, 16) if kind == "embedding" else keras.layers.Dense(16)
    layer.build((1, 50))
    return layer.get_weights()


def flax_weights(kind, seed):
    from flax import linen as nn

    module, x = (
        (nn.Embed(50, 16), jnp.zeros(1, jnp.int32)) if kind == "embedding" else (nn.Dense(16), jnp.ones((1, 50)))
    )
    tree = module.init(jax.random.key(seed), x)["params"]
    return [tree[name] for name in ("embedding", "kernel", "bias") if name in tree]


def haiku_weights(kind, seed):
    import haiku

    model = haiku.transform(lambda x: haiku.Embed(50, 16)(x) if kind == "embedding" else haiku.Linear(16)(x))
    x = jnp.zeros(1, jnp.int32) if kind == "embedding" else jnp.ones((1, 50))
    (tree,) = model.init(jax.random.key(seed), x).values()
    return [tree[name] for name in ("embeddings", "w", "b") if name in tree]


@of_each
@pytest.mark.parametrize("kind", ["embedding", "dense"])
def test_embedding_and_dense_layer_are_the_librarys_own(name, kind, relaxed):
    pytest.importorskip(name)
    make, profile = globals()[f"{name}_weights"], PROFILES[name]
    with relaxed():
        expected = [make(kind, seed) for seed in range(SEEDS)]
    inits = {"embedding": [profile.embedding], "dense": [profile.dense_kernel, profile.dense_bias(50)]}[kind]
    for index, init in enumerate(inits):
        shape = (50, 16) if index == 0 else (16,)
        keys = jax.random.split(jax.random.key(21 + index), SEEDS)
        drawn = [init(key, shape, jnp.float32) for key in keys]
        check_distribution(drawn, [weights[index] for weights in expected])


def test_keras_is_the_default():
    with jax.debug_key_reuse(False):
        for cell in recurrent.CELLS.values():
            one = cell.init(jax.random.key(1), 3, 4)
            other = cell.init(jax.random.key(1), 3, 4, profile=profiles.keras)
            jax.tree.map(np.testing.assert_array_equal, one, other)


@of_each
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
def test_params_have_the_dtype_asked_for(name, dtype, float64):
    for cell in recurrent.CELLS.values():
        params = cell.init(jax.random.key(10), 3, 4, dtype=dtype, profile=PROFILES[name])
        assert {array.dtype for array in params} == {jnp.dtype(dtype)}
    profile = PROFILES[name]
    for init in (profile.embedding, profile.dense_kernel, profile.dense_bias(3)):
        assert init(jax.random.key(0), (3, 4), dtype).dtype == jnp.dtype(dtype)


@of_each
def test_other_options_replace_parts_of_a_profile(name):
    def full(key, shape, dtype):
        return jnp.full(shape, 7, dtype)

    profile = PROFILES[name]
    params = recurrent.lstm.init(jax.random.key(3), 3, 4, profile=profile, recurrent_initializer=full, forget_bias=2.0)
    assert set(np.ravel(params.recurrent_kernel)) == {7.0}
    assert set(np.ravel(params.bias[4:8])) == {2.0}
    assert len(np.unique(params.input_kernel)) > 1
    chrono = recurrent.lstm.init(jax.random.key(3), 3, 4, profile=profile, chrono_steps=9)
    np.testing.assert_array_equal(chrono.bias[:4], -chrono.bias[4:8])
    assert (chrono.bias[4:8] <= math.log(8)).all()
    assert (chrono.bias[4:8] >= 0).all()


def test_networks_and_layers_take_a_profile():
    network = recurrent.Network((recurrent.lstm, recurrent.gru), (4, 5), is_bidirectional=True)
    params = recurrent.network.init(jax.random.key(0), network, input_size=3, profile=profiles.flax)
    assert not np.any(params[0].backward.bias)
    assert not np.any(Recurrent(recurrent.lstm, 3, 4, profile=profiles.flax, rngs=nnx.Rngs(0)).bias.get_value())
    layer = linen.Recurrent(recurrent.lstm, 4, init_options={"profile": profiles.flax})
    assert isinstance(layer, nn.Module)
    assert not np.any(layer.init(jax.random.key(0), jnp.ones((1, 2, 3)))["params"]["bias"])


@of_each
def test_copies_and_pickles_of_a_profile_are_the_profile(name):
    profile = PROFILES[name]
    assert pickle.loads(pickle.dumps(profile)) is profile
    assert copy.deepcopy(profile) is copy.copy(profile) is profile
    layer = linen.Recurrent(recurrent.lstm, 4, init_options={"profile": profile})
    assert pickle.loads(pickle.dumps(layer)) == layer
    own = dataclasses.replace(profile, name="own", bias=profiles.keras.draw)
    assert copy.copy(own) == own


@pytest.mark.parametrize("cell", ["simple_rnn", "lstm", "gru"])
def test_a_librarys_name_in_place_of_its_profile_is_refused_in_words(cell):
    with pytest.raises(ValueError, match=r"must be a Profile, such as recurrent.profiles.torch, not 'torch'"):
        recurrent.CELLS[cell].init(jax.random.key(0), 3, 4, profile="torch")
