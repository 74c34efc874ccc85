"""A user's function as a value: what it computes, compared by its jaxpr, and apart from it the arrays it closes over.

With arrays inside, a function cannot enter a derivative written by hand where they are traced, and a lambda that is
written anew at each call would be compiled anew at each call.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxpr_as_fun

__all__ = ["Hoisted", "describe_array", "hoist", "hoist_step", "over_axes"]

MOST_BYTES = 1 << 16
"""Of an array of JAX' that is compared by value; larger ones, which nobody can change, are compared by identity."""


class Hoisted:
    """A pure function of the arrays that were closed over and of its arguments; equal to one that computes the same."""

    def __init__(self, jaxpr: Jaxpr, result: Any) -> None:
        """Takes a jaxpr without constants, and the tree of what it returns."""
        self._jaxpr, self._result = jaxpr, result
        self._identity = (*_describe(jaxpr), result)
        names = {equation.primitive.name for equation in _equations(jaxpr)}
        if any("callback" in name for name in names):  # which calls what no jaxpr shows
            self._identity = (*self._identity, _Same(jaxpr))
        if any(name.startswith("custom_") for name in names):
            # A jaxpr does not hold the rule of a derivative of the user's own, but that of the derivative does.
            derivative = _differentiate(jaxpr)
            constants = tuple(map(describe_array, derivative.consts))
            self._identity = (*self._identity, *_describe(derivative.jaxpr), constants)

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


def hoist(function: Callable[..., Any], *like: Any) -> tuple[Hoisted, list[Any]]:
    """Traces a function; returns it as a value, and the arrays that it closes over.

    Args:
        like: its arguments, or their shapes and dtypes.
    """
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*like)
    return Hoisted(closed.jaxpr, jax.tree.structure(shape)), closed.consts


def hoist_step(make_inputs: Callable[[Any], Any], step: Any) -> tuple[Hoisted, list[Any]]:
    """Hoists a function of a segment of steps as one of a single step.

    Args:
        step: shapes and dtypes of one step of the inputs.
    """

    def make_one(step: Any) -> Any:
        made = make_inputs(jax.tree.map(lambda leaf: leaf[None], step))
        return jax.tree.map(lambda leaf: leaf[0], made)

    return hoist(make_one, step)


def over_axes(function: Callable[..., Any], num_axes: int) -> Callable[..., Any]:
    """Maps a function over axes in front of its arguments."""
    for _ in range(num_axes):
        function = jax.vmap(function)
    return function


def describe_array(array: Any) -> Hashable:
    """Describes an array so that equal descriptions mean equal numbers, now and later."""
    if isinstance(array, jax.core.Tracer):
        return _Same(array)
    if isinstance(array, jax.Array) and array.nbytes > MOST_BYTES:
        return _Same(array)
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return str(array.dtype), describe_array(jax.random.key_data(array))
    return str(array.dtype), array.shape, np.asarray(array).tobytes()


class _Same:
    """An object compared by identity, and kept, so that no other can have its identity."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __hash__(self) -> int:
        return id(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._value is other._value


def _describe(jaxpr: Jaxpr) -> tuple[Hashable, ...]:
    """Describes what a jaxpr computes: its text, and the arrays that lie in jaxprs within it, which have no text."""
    return str(jaxpr), tuple(describe_array(each) for closed in _within(jaxpr) for each in closed.consts)


def _equations(jaxpr: Jaxpr) -> Iterator[Any]:
    yield from jaxpr.eqns
    for closed in _within(jaxpr):
        yield from closed.jaxpr.eqns


def _within(jaxpr: Jaxpr) -> Iterator[ClosedJaxpr]:
    """Yields all jaxprs within a jaxpr, however deep."""
    for equation in jaxpr.eqns:
        for parameter in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(parameter):
                closed = parameter if isinstance(parameter, ClosedJaxpr) else ClosedJaxpr(parameter, [])
                yield closed
                yield from _within(closed.jaxpr)


def _is_jaxpr(value: Any) -> bool:
    return isinstance(value, ClosedJaxpr | Jaxpr)


def _differentiate(jaxpr: Jaxpr) -> ClosedJaxpr:
    """Returns the jaxpr of the derivative in reverse mode, with respect to all that has one."""
    variables: list[Any] = [*jaxpr.constvars, *jaxpr.invars]
    like = [jax.ShapeDtypeStruct(each.aval.shape, each.aval.dtype) for each in variables]
    has_derivative = [jnp.issubdtype(each.dtype, jnp.inexact) for each in like]

    def pull(values: list[Any]) -> Any:
        def compute(floats: list[Any]) -> list[Any]:
            rest = iter(floats)
            joined = [next(rest) if has else value for has, value in zip(has_derivative, values, strict=True)]
            count = len(jaxpr.constvars)
            outputs = jaxpr_as_fun(ClosedJaxpr(jaxpr, joined[:count]))(*joined[count:])
            return [output for output in outputs if jnp.issubdtype(output.dtype, jnp.inexact)]

        floats = [value for has, value in zip(has_derivative, values, strict=True) if has]
        outputs, pull_back = jax.vjp(compute, floats)
        return pull_back([jnp.ones_like(output) for output in outputs])

    return jax.make_jaxpr(pull)(like)
