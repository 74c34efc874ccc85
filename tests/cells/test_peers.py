"""The same numbers as Keras and PyTorch: outputs, final states and gradients, masked and reversed too."""

import jax
import numpy as np
import pytest

import recurrent
from tests import reference
from tests.cells import peers

BATCH, TIME, INPUT, HIDDEN = 3, 12, 5, 8
MASK = np.ones((BATCH, TIME), bool)
MASK[1, :4] = False
MASK[2, [0, 3, 4, 8, 11]] = False


def draw(name: str, seed: int) -> reference.Problem:
    return reference.draw(name, seed, batch=(BATCH,), time=TIME, input_size=INPUT, hidden_size=HIDDEN)


@pytest.mark.parametrize("name", peers.KERAS)
@pytest.mark.parametrize(
    "is_token, reverse",
    [(np.ones_like(MASK), False), (MASK, False), (MASK, True)],
    ids=["whole", "masked", "masked reverse"],
)
def test_equals_keras(name, is_token, reverse, relaxed):
    pytest.importorskip("keras")
    cell = recurrent.CELLS[name]
    problem = draw(name, seed=0)
    # Before a row's first token Keras' scan puts out the initial state, and its unrolled loop zeros, as we do.
    seen = (
        np.maximum.accumulate(is_token[:, ::-1], axis=1)[:, ::-1]
        if reverse
        else np.maximum.accumulate(is_token, axis=1)
    )
    counts = seen[:, :, None]
    problem = problem._replace(d_outputs=problem.d_outputs * counts)
    mask = None if is_token.all() else is_token
    (expected_outputs, *expected) = jax.tree.leaves(peers.solve_with_keras(name, problem, mask, reverse, relaxed))
    (outputs, *others) = jax.tree.leaves(
        reference.solve(recurrent.run, cell, reference.to_library(cell, problem), is_token=mask, reverse=reverse)
    )
    reference.check((np.asarray(outputs) * counts, others), (np.asarray(expected_outputs) * counts, expected), 1e-5)


@pytest.mark.parametrize("name", peers.TORCH)
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-5), (np.float64, 1e-10)], ids=["float32", "float64"])
def test_equals_torch_in_both_directions(name, dtype, tolerance):
    pytest.importorskip("torch")
    cell = recurrent.CELLS[name]
    lengths = np.array([7, TIME, 1])
    is_token = np.arange(TIME) < lengths[:, None]
    counts = is_token[:, :, None]
    # A padded step repeats the last output here and is zero there: what it holds is left out of the comparison.
    forward, backward = (draw(name, seed) for seed in (0, 1))
    forward, backward = (
        problem._replace(inputs=forward.inputs, d_outputs=problem.d_outputs * counts) for problem in (forward, backward)
    )
    expected = peers.solve_with_torch(name, forward, backward, lengths, dtype)
    d_inputs = 0
    for problem, reverse, (expected_results, (d_params, _, d_initial)) in zip(
        (forward, backward), (False, True), expected, strict=True
    ):
        with jax.enable_x64(dtype is np.float64):
            ours = reference.to_library(cell, problem, dtype)
            (outputs, final), gradients = reference.solve(recurrent.run, cell, ours, is_token=is_token, reverse=reverse)
        reference.check((np.asarray(outputs) * counts, final), expected_results, tolerance)
        reference.check((gradients[0], gradients[2]), (d_params, d_initial), tolerance)
        d_inputs += np.asarray(gradients[1])
    reference.check(d_inputs, expected[0][1][1], tolerance)
