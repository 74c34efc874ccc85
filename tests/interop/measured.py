"""The largest relative difference of a map in each direction: our cell against the real library's."""

import jax
import numpy as np

from tests.interop.libraries import (
    LIBRARIES,
    Run,
    params_of,
    problem,
    run_ours,
    without_recurrent_bias_of_candidate,
)
from tests.reference import relative_error


def difference_from(library: str, cell: str) -> float:
    """Their random weights, converted to ours; outputs and final states, relative to the norm."""
    own, draw = LIBRARIES[library], np.random.default_rng(1)
    theirs, given = own.make(cell, draw), problem(cell, draw)
    return _largest(run_ours(cell, own.module.params_from(theirs), *given), own.run(cell, theirs, *given))


def difference_to(library: str, cell: str) -> float:
    """Our random params, converted to theirs."""
    own, draw = LIBRARIES[library], np.random.default_rng(2)
    params, given = params_of(cell, draw), problem(cell, draw)
    if (library, cell) == ("Flax NNX", "gru"):
        params = without_recurrent_bias_of_candidate(params)
    theirs = own.load(cell, own.module.params_to(params))
    return _largest(own.run(cell, theirs, *given), run_ours(cell, params, *given))


def _largest(actual: Run, expected: Run) -> float:
    pairs = zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
    return max(relative_error(*pair) for pair in pairs)
