"""Checks of a cell's functions, each called alone: shapes and dtypes, and that results depend on arguments only."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from recurrent.cells.precision import carry_dtype, cast
from recurrent.shapes import RandomKey, Step
from recurrent.testing.words import call, described, fail, traced

__all__ = ["check_functions", "check_purity", "check_sizes"]


def check_functions(cell: Any, params: Any, x: Step) -> None:
    """Checks that a step returns a state like that of `zero_state`, in a dtype that is wide enough, and an output."""
    zero, result = _step_like(cell, params, x)
    if not isinstance(result, tuple) or len(result) != 2:
        fail(cell, f"returns {type(result).__name__} from update", "return the next state and the output, a pair.")
    state, output = result
    if jax.tree.structure(state) != jax.tree.structure(zero):
        fail(
            cell,
            f"returns a state of another structure ({described(state)}) than zero_state ({described(zero)})",
            "update returns (state, output), and the state is what zero_state makes.",
        )
    if described(state) != described(zero):
        fail(
            cell,
            f"changes its state from {described(zero)} to {described(state)}",
            "shapes and dtypes are the same at every step; cast the new state with .astype(state.hidden.dtype).",
        )
    _check_precision(cell, params, zero)
    outputs = jax.tree.leaves(output)
    if not outputs or not all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in outputs):
        fail(cell, f"has the output {described(output)}", "update returns (state, output) with floating-point outputs.")


def _step_like(cell: Any, params: Any, x: Any) -> tuple[Any, Any]:
    """Returns shapes and dtypes of the zero state and of what `update` returns."""
    zero = traced(cell, "zero_state", params)
    arguments = (params, zero, traced(cell, "project", params, x), traced(cell, "recur", params, zero))
    if hasattr(cell, "gates"):
        traced(cell, "gates", *arguments)
    return zero, traced(cell, "update", *arguments)


def _check_precision(cell: Any, params: Any, state: Any) -> None:
    """Checks that the state has the params' dtype, and at least float32."""
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(params) if jnp.issubdtype(leaf.dtype, jnp.floating)}
    if len(dtypes) != 1:
        return
    (dtype,) = dtypes
    wanted = carry_dtype(dtype)
    for leaf in jax.tree.leaves(state):
        if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.dtype != wanted:
            fail(
                cell,
                f"carries its state in {leaf.dtype} for params in {dtype}, not in {wanted}",
                "make it with recurrent.cells.precision.carry_dtype(dtype of the params), or leave this dtype out of "
                "`dtypes`.",
            )


def check_purity(cell: Any, params: Any, x: Step) -> None:
    """Checks that two calls return the same, and the compiled step nearly so."""
    one, other = _step(cell, params, x), _step(cell, params, x)
    compiled = jax.jit(lambda params, x: _step(cell, params, x))(params, x)
    for each, tolerance in ((other, 0.0), (compiled, 3e-2 if x.dtype == jnp.bfloat16 else 1e-4)):
        if not all(map(lambda a, b: _is_close(a, b, tolerance), jax.tree.leaves(one), jax.tree.leaves(each))):
            fail(
                cell,
                "returns different results for the same arguments",
                "its functions are pure: they keep nothing, and noise comes from recurrent.regularize.",
            )


def _step(cell: Any, params: Any, x: Step) -> Any:
    state = call(cell, "zero_state", params)
    return call(cell, "update", params, state, call(cell, "project", params, x), call(cell, "recur", params, state))


def _is_close(one: Any, other: Any, tolerance: float) -> bool:
    one, other = (np.asarray(each, np.float64) for each in (one, other))
    return np.allclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)


def check_sizes(cell: Any, key: RandomKey, sizes: tuple[int, int], params: Any, x: Step) -> None:
    """Checks that sizes are those of the params: params of other sizes drawn in between make no difference."""
    before = _step_like(cell, params, x)
    larger = jax.eval_shape(lambda: cast(cell.init(key, sizes[0] + 2, sizes[1] + 3), x.dtype))
    remedy = "sizes are read off the params, and the cell stores none."
    try:
        _step_like(cell, larger, jax.ShapeDtypeStruct((sizes[0] + 2,), x.dtype))
        after = _step_like(cell, params, x)
    except AssertionError as error:
        fail(cell, f"works in one size only ({error})", remedy)
    if described(after) != described(before):
        fail(cell, "has other shapes after init was called with other sizes", remedy)
