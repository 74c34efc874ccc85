"""A user's function as a value that can be compared: its jaxpr, apart from the arrays that it closes over.

A custom derivative cannot take a function that closes over traced arrays. And without the comparison, a lambda that is
created anew for each call would be compiled anew for each call.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Var, jaxpr_as_fun

from recurrent.call.meshes import is_varying, vary_alike, vary_like

__all__ = ["Hoisted", "compute_equation", "describe_array", "hoist", "hoist_step", "is_vary", "step_like"]

MOST_BYTES = 1 << 16
"""The largest JAX array that is compared by value; larger ones are compared by identity, since they are immutable."""


class Hoisted:
    """A pure function of its closed-over arrays and its arguments; functions that compute the same are equal."""

    def __init__(self, jaxpr: Jaxpr, result: Any) -> None:
        """Stores a jaxpr without constants and the structure of its results."""
        self._jaxpr, self._result = jaxpr, result
        self._identity = (*_describe(jaxpr), result)
        names = {equation.primitive.name for equation in _equations(jaxpr)}
        if any("callback" in name for name in names):  # the jaxpr does not show what a callback computes
            self._identity = (*self._identity, _Same(jaxpr))
        if any(name.startswith("custom_") for name in names):
            # A jaxpr does not contain a custom derivative rule, but the jaxpr of the derivative does.
            derivative = _differentiate(jaxpr)
            constants = tuple(map(describe_array, derivative.consts))
            self._identity = (*self._identity, *_describe(derivative.jaxpr), constants)

    def __call__(self, constants: list[Any], *arguments: Any) -> Any:
        """Calls the function with `constants` in place of the arrays that it closed over."""
        leaves = jax.tree.leaves(arguments)
        if is_varying((constants, leaves)):
            flat = _evaluate_varying(self._jaxpr, list(constants), leaves)
        else:
            flat = jaxpr_as_fun(ClosedJaxpr(self._jaxpr, list(constants)))(*leaves)
        return jax.tree.unflatten(self._result, flat)

    @property
    def jaxpr(self) -> Jaxpr:
        """What is computed; the arrays that the function closed over are its constants."""
        return self._jaxpr

    def __hash__(self) -> int:
        """Hashes what is computed."""
        return hash(self._identity)

    def __eq__(self, other: object) -> bool:
        """Compares what is computed."""
        return isinstance(other, Hoisted) and self._identity == other._identity


def hoist(function: Callable[..., Any], *like: Any) -> tuple[Hoisted, list[Any]]:
    """Traces a function; returns it as a `Hoisted`, and the arrays that it closes over.

    Args:
        like: the arguments, or their shapes and dtypes.
    """
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*like)
    return Hoisted(closed.jaxpr, jax.tree.structure(shape)), closed.consts


def step_like(inputs: Any, num_axes: int) -> Any:
    """Returns the shapes and dtypes of one step of inputs that have `num_axes` axes of batch and time."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[num_axes:], leaf.dtype), inputs)


def hoist_step(make_inputs: Callable[[Any], Any], step: Any) -> tuple[Hoisted, list[Any]]:
    """Converts a function of a segment of steps to one of a single step, and hoists it.

    Args:
        step: shapes and dtypes of one step of the inputs.
    """

    def make_one(step: Any) -> Any:
        made = make_inputs(jax.tree.map(lambda leaf: leaf[None], step))
        return jax.tree.map(lambda leaf: leaf[0], made)

    return hoist(make_one, step)


def compute_equation(jaxpr: Jaxpr, equation: Any, values: dict[Any, Any]) -> list[Any]:
    """Computes one equation of a jaxpr, with its operands varying over the same mesh axes."""
    operands = [_variable_like(each.aval) if hasattr(each, "val") else each for each in equation.invars]
    given = {
        operand: jnp.asarray(each.val, each.aval.dtype) if hasattr(each, "val") else values[each]
        for operand, each in zip(operands, equation.invars, strict=True)
    }
    alone = jaxpr.replace(
        constvars=[], invars=list(given), outvars=equation.outvars, eqns=[equation.replace(invars=operands)]
    )
    return jaxpr_as_fun(ClosedJaxpr(alone, []))(*vary_alike(list(given.values())))


def _variable_like(kind: Any) -> Var:
    """Returns a new variable of a jaxpr, in place of a number, which cannot vary over mesh axes."""
    like = jax.ShapeDtypeStruct(kind.shape, kind.dtype, weak_type=kind.weak_type)
    return jax.make_jaxpr(lambda x: x)(like).jaxpr.invars[0]


def is_vary(equation: Any) -> bool:
    """Returns whether an equation makes an array vary over mesh axes, and does nothing else."""
    return equation.primitive.name in ("pvary", "pcast")


def _evaluate_varying(jaxpr: Jaxpr, constants: list[Any], arguments: list[Any]) -> list[Any]:
    """Evaluates a jaxpr inside `shard_map`, where it was traced with arrays that vary over other mesh axes."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True))

    def read(variable: Any) -> Any:
        return variable.val if hasattr(variable, "val") else values[variable]

    for equation in jaxpr.eqns:
        if is_vary(equation):
            results = list(map(read, equation.invars))
        elif equation.primitive.name in ("jit", "pjit"):
            inner = equation.params["jaxpr"]
            results = _evaluate_varying(inner.jaxpr, inner.consts, list(map(read, equation.invars)))
        else:
            results = compute_equation(jaxpr, equation, values)
        values.update(zip(equation.outvars, results, strict=True))
    return vary_like(list(map(read, jaxpr.outvars)), [*constants, *arguments])


def describe_array(array: Any) -> Hashable:
    """Returns a hashable description of an array; equal descriptions imply equal values, now and later."""
    if isinstance(array, jax.core.Tracer):
        return _Same(array)
    if isinstance(array, jax.Array) and array.nbytes > MOST_BYTES:
        return _Same(array)
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return str(array.dtype), describe_array(jax.random.key_data(array))
    return str(array.dtype), array.shape, np.asarray(array).tobytes()


class _Same:
    """Compares an object by identity, and keeps a reference so that its id is not reused."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __hash__(self) -> int:
        return id(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._value is other._value


def _describe(jaxpr: Jaxpr) -> tuple[Hashable, ...]:
    """Returns the text of a jaxpr and the constants of the jaxprs inside it, which the text omits."""
    return str(jaxpr), tuple(describe_array(each) for closed in _within(jaxpr) for each in closed.consts)


def _equations(jaxpr: Jaxpr) -> Iterator[Any]:
    yield from jaxpr.eqns
    for closed in _within(jaxpr):
        yield from closed.jaxpr.eqns


def _within(jaxpr: Jaxpr) -> Iterator[ClosedJaxpr]:
    """Yields all jaxprs inside a jaxpr, at any depth."""
    for equation in jaxpr.eqns:
        for parameter in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(parameter):
                closed = parameter if isinstance(parameter, ClosedJaxpr) else ClosedJaxpr(parameter, [])
                yield closed
                yield from _within(closed.jaxpr)


def _is_jaxpr(value: Any) -> bool:
    return isinstance(value, ClosedJaxpr | Jaxpr)


def _differentiate(jaxpr: Jaxpr) -> ClosedJaxpr:
    """Returns the jaxpr of the reverse-mode derivative with respect to all floating-point variables."""
    variables: list[Any] = [*jaxpr.constvars, *jaxpr.invars]
    like = [jax.ShapeDtypeStruct(each.aval.shape, each.aval.dtype) for each in variables]
    has_derivative = [jnp.issubdtype(each.dtype, jnp.inexact) for each in like]

    def pull(values: list[Any]) -> Any:
        values = list(map(vary_like, values, variables))

        def compute(floats: list[Any]) -> list[Any]:
            rest = iter(floats)
            joined = [next(rest) if has else value for has, value in zip(has_derivative, values, strict=True)]
            count = len(jaxpr.constvars)
            outputs = jaxpr_as_fun(ClosedJaxpr(jaxpr, joined[:count]))(*joined[count:])
            return [output for output in outputs if jnp.issubdtype(output.dtype, jnp.inexact)]

        floats = [value for has, value in zip(has_derivative, values, strict=True) if has]
        outputs, pull_back = jax.vjp(compute, floats)
        return pull_back([vary_like(jnp.ones_like(output), output) for output in outputs])

    return jax.make_jaxpr(pull)(like)
