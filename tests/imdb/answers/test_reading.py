"""Reading word by word against NumPy loops, and against the model that reads all at once."""

import jax
import numpy as np
import pytest

from experiments.imdb.answers.reading import make_reader
from experiments.imdb.reviews.examples import pad
from tests import reference
from tests.imdb.small_run import loop_logits, make_small_run

IDS = [1, 4, 7, 2, 9, 11, 5]


@pytest.mark.parametrize("padding", ["keras", "masked"])
@pytest.mark.parametrize("cell", reference.CELLS)
def test_belief_after_each_word_is_the_loops(cell, padding):
    run = make_small_run(cell, padding)
    reader = make_reader(run.recipe, run.params)
    steps = reader.read(reader.start(5), IDS)
    np.testing.assert_allclose(steps.logits, loop_logits(run, IDS, num_padding=5), rtol=2e-5, atol=2e-6)
    whole = run.forward(run.params, pad([np.array(IDS)], 12, 12))
    np.testing.assert_allclose(steps.logits[-1], whole[0], rtol=2e-5)
    last = jax.tree.map(lambda leaf: leaf[-1], steps.states)
    assert reader.logits(last) == pytest.approx(float(steps.logits[-1]), rel=1e-5)


def test_reading_goes_on_from_a_kept_state_and_over_any_length():
    run = make_small_run("gru", sequence_length=1)
    reader = make_reader(run.recipe, run.params)
    ids = list(np.random.default_rng(0).integers(1, 12, 1100))
    at_once = reader.read(reader.start(1), ids)
    assert at_once.logits.shape == (1100,)
    np.testing.assert_allclose(at_once.logits, loop_logits(run, ids, num_padding=1), rtol=1e-3, atol=1e-4)
    kept = jax.tree.map(lambda leaf: leaf[699], at_once.states)
    np.testing.assert_allclose(reader.read(kept, ids[700:]).logits, at_once.logits[700:], rtol=1e-5, atol=1e-6)
    assert reader.read(kept, []).logits.shape == (0,)


def test_before_a_text_stands_nothing_where_padding_is_masked():
    run = make_small_run("lstm", "masked")
    reader = make_reader(run.recipe, run.params)
    assert not any(leaf.any() for leaf in jax.tree.leaves(reader.start(9)))
