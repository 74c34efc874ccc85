"""Checks of a cell over sequences: `run` on all backends against a loop over its steps, written out."""

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recurrent.backends import BACKENDS
from recurrent.batch import run
from recurrent.call.call import make_call
from recurrent.cells.precision import cast
from recurrent.cells.protocol import step
from recurrent.testing.words import fail

__all__ = ["SHAPE", "check_sequences"]

_IS_TOKEN = np.array([[1, 1, 1], [0, 1, 0], [0, 0, 0]], bool)
_IS_START = np.array([[0, 0, 1], [0, 0, 1], [0, 1, 0]], bool)
SHAPE = _IS_TOKEN.shape
"""Batch and time of the sequences."""
_TOLERANCES = {"float64": 1e-9, "float32": 1e-4}


class Solution(NamedTuple):
    """Outputs and final states of a batch, and gradients of a linear function of them."""

    outputs: Any
    final: Any
    d_params: Any
    d_inputs: Any
    d_initial: Any


def check_sequences(cell: Any, params: Any, inputs: Float[Array, "batch time input"]) -> None:
    """Checks values and gradients of sequences with masks, resets, an empty sequence, and NaN in the padding."""
    inputs = jnp.where(_IS_TOKEN[..., None], inputs, jnp.asarray(np.nan, inputs.dtype))
    initial = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(inputs)), cell.zero_state(params))
    expected = _solve(partial(_loop, cell), params, inputs, initial)
    _check_finite(cell, expected)
    call = make_call(cell, params, inputs, initial=initial, **_masks())
    for name, backend in BACKENDS.items():
        if backend.why_not(call) is None:
            found = _solve(partial(_run, cell, name), params, inputs, initial)
            _compare(cell, name, found, expected, inputs.dtype)


def _run(cell: Any, backend: str, params: Any, inputs: Float[Array, "batch time input"], initial: Any) -> Any:
    return run(cell, params, inputs, initial=initial, backend=backend, **_masks())


def _masks() -> dict[str, Any]:
    return {"is_token": jnp.asarray(_IS_TOKEN), "is_start": jnp.asarray(_IS_START)}


def _loop(cell: Any, params: Any, inputs: Float[Array, "batch time input"], initial: Any) -> Any:
    """Runs each sequence step by step; masked steps are left out, and repeat the last output."""
    results = []
    for row, x_of_steps in enumerate(inputs):
        state = jax.tree.map(itemgetter(row), initial)
        like = jax.eval_shape(partial(step, cell), params, state, x_of_steps[0])[1]
        zero = output = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
        outputs = []
        for x, is_token, is_start in zip(x_of_steps, _IS_TOKEN[row], _IS_START[row], strict=True):
            if is_start:
                state, output = cell.zero_state(params), zero
            if is_token:
                state, output = step(cell, params, state, x)
            outputs.append(cast(output, inputs.dtype))
        results.append((_stack(outputs), state))
    return _stack(results)


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _solve(way: Callable[..., Any], params: Any, inputs: Array, initial: Any) -> Solution:
    """Computes values and gradients, compiled; integers have no gradient."""

    def loss(*arguments: Any) -> tuple[Array, Any]:
        results = way(*arguments)
        return sum((_weighted(leaf) for leaf in jax.tree.leaves(results)), jnp.zeros(())), results

    @jax.jit
    def solve(*arguments: Any) -> Solution:
        (_, results), gradients = jax.value_and_grad(loss, (0, 1, 2), has_aux=True, allow_int=True)(*arguments)
        kept = jax.tree.map(lambda leaf: None if leaf.dtype == jax.dtypes.float0 else leaf, gradients)
        return Solution(*results, *kept)

    return solve(params, inputs, initial)


def _weighted(leaf: Array) -> Array:
    """Returns a linear function of a result to which each element contributes differently."""
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
        return jnp.zeros(())
    weights = np.cos(1 + np.arange(leaf.size)).reshape(leaf.shape)
    return jnp.sum(leaf * weights.astype(leaf.dtype)).astype(jnp.zeros(()).dtype)


def _check_finite(cell: Any, solution: Solution) -> None:
    """Checks a loop that never touches the padding."""
    for field, tree in solution._asdict().items():
        if not all(np.isfinite(np.asarray(leaf, np.float64)).all() for leaf in jax.tree.leaves(tree)):
            fail(
                cell,
                f"computes {_PARTS[field]} that are not finite",
                "a derivative may be infinite where the value is not, such as that of sqrt at 0; jnp.where before it "
                "keeps such arguments away.",
            )


_PARTS = {
    "outputs": "outputs",
    "final": "final states",
    "d_params": "gradients of the params",
    "d_inputs": "gradients of the inputs",
    "d_initial": "gradients of the initial state",
}


def _compare(cell: Any, backend: str, found: Solution, expected: Solution, dtype: jnp.dtype) -> None:
    """Compares solutions, each array relative to its largest element."""
    tolerance = _TOLERANCES.get(dtype.name, 5e-2)
    for field, one, other in zip(Solution._fields, found, expected, strict=True):
        for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(other), strict=True):
            a, b = (np.asarray(each, np.float64) for each in (a, b))
            error = np.max(np.abs(a - b), initial=0.0) / max(np.max(np.abs(b), initial=0.0), 1e-3)
            if not error <= tolerance:
                name = f"{_PARTS[field]} {jax.tree_util.keystr(path)}".strip()
                fail(
                    cell,
                    f"has {name} in run(backend={backend!r}) that differ from a loop over recurrent.step by "
                    f"{error:.1e} in {dtype}",
                    "project, recur and update are pure functions of one example, and derivatives of its own must be "
                    "right.",
                )
