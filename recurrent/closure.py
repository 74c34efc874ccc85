"""A user's function as a value: what it computes, compared by its jaxpr, and apart from it the arrays it closes over.

With arrays inside, a function cannot enter a derivative written by hand where they are traced, and a lambda that is
written anew at each call would be compiled anew at each call.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

__all__ = ["Hoisted", "hoist", "hoist_step", "over_axes"]


class Hoisted:
    """A pure function of the arrays that were closed over and of its arguments; equal to one that computes the same."""

    def __init__(self, function: Callable[..., Any], jaxpr: Any, result: Any) -> None:
        """Takes a function, its jaxpr, and the tree of what it returns."""
        self._jaxpr, self._result = jaxpr, result
        # A jaxpr names the rule of a derivative and does not print it, hence the code.
        self._identity = (getattr(function, "__code__", type(function)), str(jaxpr), result)

    def __call__(self, constants: list[Any], *arguments: Any) -> Any:
        """Calls the function with these arrays in the place of those closed over."""
        flat = jaxpr_as_fun(ClosedJaxpr(self._jaxpr, list(constants)))(*jax.tree.leaves(arguments))
        return jax.tree.unflatten(self._result, flat)

    def __hash__(self) -> int:
        """Hashes what is computed."""
        return hash(self._identity)

    def __eq__(self, other: object) -> bool:
        """Compares what is computed."""
        return isinstance(other, Hoisted) and self._identity == other._identity


def hoist(
    function: Callable[..., Any], *like: Any, named: Callable[..., Any] | None = None
) -> tuple[Hoisted, list[Any]]:
    """Traces a function; returns it as a value, and the arrays that it closes over.

    Args:
        like: its arguments, or their shapes and dtypes.
        named: the user's own function, where `function` is one around it.
    """
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*like)
    return Hoisted(named or function, closed.jaxpr, jax.tree.structure(shape)), closed.consts


def hoist_step(make_inputs: Callable[[Any], Any], step: Any) -> tuple[Hoisted, list[Any]]:
    """Hoists a function of a segment of steps as one of a single step.

    Args:
        step: shapes and dtypes of one step of the inputs.
    """

    def make_one(step: Any) -> Any:
        made = make_inputs(jax.tree.map(lambda leaf: leaf[None], step))
        return jax.tree.map(lambda leaf: leaf[0], made)

    return hoist(make_one, step, named=make_inputs)


def over_axes(function: Callable[..., Any], num_axes: int) -> Callable[..., Any]:
    """Maps a function over axes in front of its arguments."""
    for _ in range(num_axes):
        function = jax.vmap(function)
    return function
