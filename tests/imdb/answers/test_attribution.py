"""Integrated gradients add up, and are exact where there is a closed form; occlusion against the model itself."""

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.imdb.answers.attribution import integrate, make_explainers
from experiments.imdb.reviews.examples import pad
from tests import reference
from tests.imdb.small_run import loop_logits, make_small_run

IDS = [1, 4, 7, 2, 9, 11, 5]
TOKENS = pad([np.array(IDS)], 12, 12)[0].astype(np.int32)


@pytest.mark.parametrize("padding", ["keras", "masked"])
@pytest.mark.parametrize("cell", reference.CELLS)
def test_contributions_add_up_from_nothing_to_the_answer(cell, padding):
    run = make_small_run(cell, padding)
    found = make_explainers(run.recipe, run.params).integrated_gradients(TOKENS)
    assert found.logit == pytest.approx(loop_logits(run, IDS, 5)[-1], abs=1e-5)
    if padding == "keras":  # nothing is padding alone
        assert found.baseline == pytest.approx(loop_logits(run, [0] * 12)[-1], abs=1e-5)
    total = found.words.sum()
    assert abs(found.logit - found.baseline - total - found.gap) < 1e-5
    assert abs(found.gap) <= 1e-3 * max(1, abs(found.logit - found.baseline))
    assert not found.words[:5].any()
    assert found.words[5:].all()


@pytest.mark.parametrize("padding", ["keras", "masked"])
def test_a_network_without_recurrence_answers_by_its_last_word_alone(padding):
    run = make_small_run("simple_rnn", padding)
    params = dict(run.params)
    cell = params["recurrent"]
    params["recurrent"] = {**cell, "recurrent_kernel": jnp.zeros_like(cell["recurrent_kernel"])}
    explainers = make_explainers(run.recipe, params)
    found = explainers.integrated_gradients(TOKENS)
    expected = np.zeros(12)
    expected[-1] = found.logit - found.baseline
    np.testing.assert_allclose(found.words, expected, atol=1e-3)
    np.testing.assert_allclose(explainers.occlusion(TOKENS), expected, atol=1e-6)


@pytest.mark.parametrize("cell", reference.CELLS)
def test_occlusion_is_what_the_model_says_without_a_word(cell):
    run = make_small_run(cell)
    found = make_explainers(run.recipe, run.params).occlusion(TOKENS)
    whole = loop_logits(run, IDS, 5)[-1]
    for place, token in enumerate(TOKENS):
        without = [*TOKENS[:place], 0, *TOKENS[place + 1 :]]
        expected = whole - loop_logits(run, without)[-1] if token else 0
        assert found[place] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("steepness, points", [(1.0, 16), (80.0, 64)])
def test_points_are_added_until_contributions_add_up(steepness, points):
    """F(a) = tanh(s (a - 0.4)), whose gradient sixteen points miss where it is steep."""
    found = integrate(
        lambda share: (
            np.tanh(steepness * (share - 0.4)),
            (steepness * (1 - np.tanh(steepness * (share - 0.4)) ** 2))[:, None],
        ),
        1e-3,
    )
    assert found.points >= points
    expected = np.tanh(steepness * 0.6) - np.tanh(-steepness * 0.4)
    assert found.logit - found.baseline == pytest.approx(expected, rel=1e-5)
    assert found.words[0] == pytest.approx(expected, rel=2e-3)


def test_a_gap_that_stays_is_told():
    found = integrate(lambda share: (share, np.full((len(share), 2), 0.25)), 1e-3)
    assert found.gap == pytest.approx(0.5)
    assert found.points == 256
