"""Gradients through the words of a review, against backpropagation by hand in NumPy float64 loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from experiments.imdb.report.gradient_flow import fall, flow_norms, typical_share
from experiments.imdb.training.model import init_params
from experiments.imdb.training.recipes import Recipe
from tests import reference

TOKENS = np.array([[0, 0, 1, 7, 2, 9], [0, 1, 5, 3, 6, 8], [1, 4, 5, 6, 7, 8]], np.uint16)
LABELS = np.array([1, 0, 1], np.float32)
SIZES = {"vocabulary_size": 10, "embedding_size": 3, "hidden_size": 4, "sequence_length": 6}


def norms_by_hand(recipe, params, tokens, label):
    """The norms of each array of the state, for each word from the last."""
    cell = reference.CELLS[recipe.cell]
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    weights, kernel = recurrent.CELLS[recipe.cell].Params(**params["recurrent"]), params["head"]["kernel"][:, 0]
    tokens = tokens if recipe.padding == "keras" else tokens[tokens != 0]
    inputs = params["embedding"]["embedding"][tokens]
    states = [tuple(np.zeros(recipe.hidden_size) for _ in range(cell.num_states))]
    for x in inputs:
        states.append(cell.step(weights, states[-1], x))
    slope = reference.sigmoid(states[-1][0] @ kernel + params["head"]["bias"][0]) - label  # of the log loss
    gradient = (slope * kernel, *(np.zeros_like(each) for each in states[0][1:]))
    found = []
    for token, state, x in zip(tokens[::-1], states[-2::-1], inputs[::-1], strict=True):
        found += [[np.linalg.norm(each) for each in gradient]] if token else []
        gradient = cell.backward(weights, state, x, gradient)[1]
    return np.array(found).T


@pytest.mark.parametrize("padding", ["keras", "masked"])
@pytest.mark.parametrize("cell", ["simple_rnn", "lstm", "gru"])
def test_norms_are_those_of_backpropagation_by_hand(cell, padding):
    recipe = Recipe(cell=cell, padding=padding, **SIZES)
    params = jax.tree.map(lambda each: 3 * each, init_params(recipe))
    found = flow_norms(recipe, params, jnp.asarray(TOKENS), jnp.asarray(LABELS))
    assert list(found) == (["hidden", "memory"] if cell == "lstm" else ["hidden"])
    for row, (tokens, label) in enumerate(zip(TOKENS, LABELS, strict=True)):
        expected = norms_by_hand(recipe, params, tokens, label)
        assert expected.shape[1] == np.sum(tokens != 0)
        for values, each in zip(found.values(), expected, strict=True):
            np.testing.assert_allclose(values[row, : len(each)], each, rtol=2e-4, atol=1e-8)
            assert np.isnan(values[row, len(each) :]).all()


def test_the_dtype_of_matmuls_is_the_recipe_s():
    recipe = Recipe(**SIZES, dtype="bfloat16")
    params = init_params(recipe)
    found = flow_norms(recipe, params, jnp.asarray(TOKENS), jnp.asarray(LABELS))["hidden"]
    expected = norms_by_hand(recipe, params, TOKENS[2], LABELS[2])[0]
    np.testing.assert_allclose(found[2], expected, rtol=0.1)


def test_an_lstm_s_last_memory_has_no_gradient_of_its_own():
    recipe = Recipe(**SIZES)
    found = flow_norms(recipe, init_params(recipe), jnp.asarray(TOKENS), jnp.asarray(LABELS))
    assert (np.asarray(found["memory"])[:, 0] == 0).all()
    assert (np.asarray(found["memory"])[:, 1] > 0).all()


def test_the_typical_share_is_a_geometric_mean_over_the_reviews_that_are_there():
    norms = np.array([[2.0, 1.0, 0.5], [1.0, 0.25, np.nan], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(typical_share(norms, norms[:, 0]), [1, (0.5 * 0.25) ** 0.5, 0.25])
    assert typical_share(np.array([[1.0, 0.5], [1.0, 0.0]]), np.ones(2))[1] == 0
    assert np.isnan(typical_share(np.full((1, 2), np.nan), np.ones(1))).all()


def test_a_fall_by_a_constant_factor_is_found():
    found = fall(0.8 ** np.arange(60.0))
    assert found.slope == pytest.approx(np.log10(0.8), rel=1e-5)
    assert found.half_life == pytest.approx(np.log(0.5) / np.log(0.8), rel=1e-5)
    assert found.reach == 21  # 0.8 ** 20 is above 0.01, 0.8 ** 21 below
    assert fall(np.ones(5)).reach is None
    assert fall(np.ones(5)).half_life == float("inf")
    assert np.isnan(fall(np.zeros(5)).half_life)
