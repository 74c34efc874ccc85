"""Inputs that are rows of a table, such as an embedding's: found in the jaxpr of `make_inputs`.

C++ reads the rows where it needs them, so that the inputs of all steps never exist.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.lax import GatherScatterMode
from jaxtyping import Array, Float, Int

from recurrent.call.call import Call
from recurrent.call.closure import Hoisted, compute_equation, is_vary

__all__ = ["MODES", "Lookup", "find_lookup"]

MODES = ("clip", "promise_in_bounds", "fill")
"""How JAX reads a row beyond a table, in the order of their numbers in `handlers.cc`.

"clip" and "promise_in_bounds", the mode of `table[index]`, read the nearest row, which gets the gradient with "clip"
alone. "fill" reads NaN.
"""


_MODES = {
    GatherScatterMode.CLIP: "clip",
    GatherScatterMode.PROMISE_IN_BOUNDS: "promise_in_bounds",
    GatherScatterMode.FILL_OR_DROP: "fill",
}


class Lookup(NamedTuple):
    """A `make_inputs` that returns a row of a table."""

    table: Float[Array, "rows input"]
    index: Callable[[Any], Int[Array, ""]]  # one step of the inputs -> the row
    mode: str  # one of `MODES`


class _NoLookup(Exception):
    """The function does more than to look up a row."""


class _Table(NamedTuple):
    number: int  # among the constants


class _Row(NamedTuple):
    table: _Table
    index: Array  # [1, 1]
    mode: str
    size: int


def find_lookup(call: Call) -> Lookup | None:
    """Returns the lookup that a call's `make_inputs` is, or None."""
    if call.make_inputs is None or 0 in (*call.layout.batch, call.layout.num_steps):
        return None
    make_one, constants, found = call.make_inputs, call.constants, []

    def index(step: Any) -> Array:
        row = _look_up(make_one, constants, step)
        found.append(row)
        return row.index.reshape(())

    try:
        jax.eval_shape(index, call.step)
    except _NoLookup:
        return None
    return Lookup(constants[found[0].table.number], index, found[0].mode)


def _look_up(make_one: Hoisted, constants: list[Array], step: Any) -> _Row:
    jaxpr = make_one.jaxpr
    has_rows = [leaf.ndim == 2 and jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating) for leaf in constants]
    given = [_Table(at) if has else leaf for at, (leaf, has) in enumerate(zip(constants, has_rows, strict=True))]
    results = _evaluate(jaxpr, given, jax.tree.leaves(step))
    if len(results) != 1 or not isinstance(results[0], _Row):
        raise _NoLookup
    return results[0]


def _evaluate(jaxpr: Any, constants: list[Any], arguments: list[Any]) -> list[Any]:
    """Evaluates a jaxpr in which tables may be gathered from, and rows reshaped, and nothing else be done to them."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True))

    def read(variable: Any) -> Any:
        return variable.val if hasattr(variable, "val") else values[variable]

    for equation in jaxpr.eqns:
        given, name = list(map(read, equation.invars)), equation.primitive.name
        if is_vary(equation):
            results = given
        elif name in ("jit", "pjit"):
            inner = equation.params["jaxpr"]
            results = _evaluate(inner.jaxpr, inner.consts, given)
        elif any(isinstance(each, _Table | _Row) for each in given):
            results = [_follow(name, equation, given)]
        else:
            results = compute_equation(jaxpr, equation, values)
        values.update(zip(equation.outvars, results, strict=True))
    return list(map(read, jaxpr.outvars))


def _follow(name: str, equation: Any, given: list[Any]) -> _Row:
    """Returns the row after an equation, if it is still that row of that table."""
    shape = equation.outvars[0].aval.shape
    if name == "gather" and isinstance(given[0], _Table) and not isinstance(given[1], _Table | _Row):
        size, numbers = equation.invars[0].aval.shape[1], equation.params["dimension_numbers"]
        is_row = numbers.collapsed_slice_dims == (0,) and numbers.start_index_map == (0,)
        mode = _MODES.get(equation.params["mode"])
        if mode is None or (mode == "fill" and not _is_nan(equation.params["fill_value"])):
            raise _NoLookup
        if is_row and tuple(equation.params["slice_sizes"]) == (1, size) and given[1].shape == (1, 1):
            return _Row(given[0], given[1], mode, size)
    if (
        name in ("squeeze", "reshape")
        and isinstance(given[0], _Row)
        and shape in ((given[0].size,), (1, given[0].size))
    ):
        return given[0]
    raise _NoLookup


def _is_nan(fill_value: Any) -> bool:
    return fill_value is None or bool(np.isnan(fill_value))  # None stands for NaN
