import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
import recurrent.native
from experiments.imdb.training.backend import choose_backend, is_native_at_hand
from experiments.imdb.training.model import init_params, make_forward, make_model
from experiments.imdb.training.recipes import RECIPES, Recipe
from recurrent import backends, batch
from recurrent.backends.native.library import Library

SMALL = Recipe(vocabulary_size=50, embedding_size=4, hidden_size=3, sequence_length=8, segment_size=3)


def test_the_logit_is_that_of_the_equations():
    params = init_params(SMALL)
    cell = recurrent.lstm.Params(**params["recurrent"])
    tokens = np.random.default_rng(0).integers(0, 50, (2, 8))
    x = np.asarray(params["embedding"]["embedding"], np.float64)[tokens]
    hidden = memory = np.zeros((2, 3))
    for t in range(8):
        joint = (
            x[:, t] @ np.asarray(cell.input_kernel) + hidden @ np.asarray(cell.recurrent_kernel) + np.asarray(cell.bias)
        )
        i, f, g, o = np.split(joint, 4, axis=1)
        memory = memory / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        hidden = np.tanh(memory) / (1 + np.exp(-o))
    expected = hidden @ np.asarray(params["head"]["kernel"])[:, 0]
    np.testing.assert_allclose(make_forward(SMALL)(params, jnp.asarray(tokens)), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("name", "number"), [("lstm", 328_353), ("gru", 326_369), ("simple-rnn", 322_113)])
def test_the_number_of_parameters_is_that_of_keras(name, number):
    assert sum(leaf.size for leaf in jax.tree.leaves(init_params(RECIPES[name]()))) == number


def test_weights_are_drawn_from_the_distributions_of_keras():
    params = init_params(Recipe())
    table = np.asarray(params["embedding"]["embedding"])
    assert 0.0499 < np.abs(table).max() <= 0.05
    assert np.abs(params["head"]["kernel"]).max() > 0.8 * np.sqrt(6 / 33)
    assert np.abs(params["head"]["kernel"]).max() <= np.sqrt(6 / 33)
    assert not np.any(params["head"]["bias"])


def test_seeds_decide_the_weights():
    same, other = init_params(SMALL), init_params(dataclasses.replace(SMALL, seed=1))
    jax.tree.map(np.testing.assert_array_equal, init_params(SMALL), same)
    assert not np.array_equal(same["head"]["kernel"], other["head"]["kernel"])


def test_no_setting_of_jax_changes_the_weights():
    expected = init_params(SMALL)
    with jax.default_prng_impl("rbg"), jax.threefry_partitionable(False), jax.enable_x64(True):
        found = init_params(SMALL)
    jax.tree.map(np.testing.assert_array_equal, expected, found)


def test_bfloat16_computes_narrow_and_keeps_its_weights_wide():
    narrow = dataclasses.replace(SMALL, dtype="bfloat16")
    params = init_params(narrow)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    tokens = jnp.arange(16).reshape(2, 8)
    logits, wide = make_forward(narrow)(params, tokens), make_forward(SMALL)(params, tokens)
    assert logits.dtype == jnp.float32
    assert not np.array_equal(logits, wide)
    np.testing.assert_allclose(logits, wide, atol=0.02)


@pytest.mark.parametrize("padding", ["keras", "masked"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_backend_of_a_recipe_is_the_one_that_is_named_or_the_first_that_can_run_it(padding, dtype):
    recipe = dataclasses.replace(SMALL, padding=padding, dtype=dtype)
    for name in ("fused", "plain"):
        assert choose_backend(dataclasses.replace(recipe, backend=name)) == (name, None)
    assert choose_backend(dataclasses.replace(recipe, cell="gru_reset_before")).name == "plain"
    with pytest.raises(ValueError, match="'fused' cannot run this call"):
        choose_backend(dataclasses.replace(recipe, cell="gru_reset_before", backend="fused"))


@pytest.mark.parametrize("cell", ["lstm", "layer_norm_gru", "gru_reset_before"])
def test_the_backend_of_a_recipe_is_the_one_that_training_takes(cell, monkeypatch):
    recipe, taken = dataclasses.replace(SMALL, cell=cell), []

    def choose(call, name):
        taken.append(backends.choose(call, name))
        return taken[-1]

    monkeypatch.setattr(batch, "choose", choose)
    jax.grad(lambda params: jnp.sum(make_forward(recipe)(params, jnp.ones((2, 8), jnp.int32))))(init_params(recipe))
    assert set(taken) == {choose_backend(recipe).name}


@pytest.mark.parametrize(
    "changes", [{}, {"backend": "native"}, {"backend": "fused"}, {"cell": "layer_norm_gru"}, {"cell": "gru"}]
)
def test_it_is_known_before_jax_starts_whether_the_native_backend_computes(changes):
    recipe = dataclasses.replace(SMALL, **changes)
    if recipe.backend == "native" and recurrent.native.why_not():
        pytest.skip("the native backend is not built")
    assert is_native_at_hand(recipe) == (choose_backend(recipe).name == "native")


def test_the_native_backend_is_missed_where_it_is_only_not_built(monkeypatch):
    reason = "its library is not built: run `python -m recurrent.native build`"
    for module in (backends, backends.native.plan):
        monkeypatch.setattr(module, "load", lambda: Library(0, reason))
    assert choose_backend(SMALL) == ("fused", reason)
    assert choose_backend(dataclasses.replace(SMALL, backend="fused")) == ("fused", None)
    assert choose_backend(dataclasses.replace(SMALL, cell="layer_norm_gru")) == ("fused", None)


def test_the_model_of_a_notebook_answers_as_the_pure_function_does():
    tokens = jnp.arange(16).reshape(2, 8)
    np.testing.assert_array_equal(make_model(SMALL)(tokens), make_forward(SMALL)(init_params(SMALL), tokens))


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn"])
def test_padding_is_read_like_words_or_not_at_all(cell):
    keras = dataclasses.replace(SMALL, cell=cell)
    masked = dataclasses.replace(keras, padding="masked")
    params = init_params(keras)
    words = np.array([1, 7, 49, 3, 12])
    tokens = jnp.asarray(np.stack([np.concatenate([np.zeros(3, int), words]), np.arange(1, 9), np.zeros(8, int)]))
    plain = dataclasses.replace(keras, backend="plain", segment_size=None)
    np.testing.assert_allclose(make_forward(keras)(params, tokens), make_forward(plain)(params, tokens), rtol=2e-5)
    logits = make_forward(masked)(params, tokens)
    without = make_forward(plain)(params, jnp.asarray(words[None]))
    np.testing.assert_allclose(logits[0], without[0], rtol=2e-5)
    np.testing.assert_allclose(logits[2], params["head"]["bias"][0], atol=1e-7)
    assert not np.allclose(logits[0], make_forward(keras)(params, tokens)[0])
