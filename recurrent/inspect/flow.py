"""How far back a gradient reaches: dL/ds_t for every step t, by one backward pass.

    s_t = step(s_{t-1}, x_t) + p_t,    p_t = 0        dL/dp_t = dL/ds_t

Zero perturbations are added to the state inside the loop, and the gradient with respect to them is what is asked for:
all that flows back into h_t, or into an LSTM's c_t, from its own step's output and from all later steps. In a SimpleRNN
it falls by a product of T - t squashed matrices (Hochreiter 1991; Bengio, Simard & Frasconi 1994); along the track of
an LSTM's memory by a product of forget gates.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from recurrent.batch import run
from recurrent.call.arguments import as_arrays, as_params, layout
from recurrent.cells.precision import carry_dtype
from recurrent.cells.protocol import Cell
from recurrent.cells.wrapped import Wrapped

__all__ = ["Decay", "decay", "from_end", "gradient_flow", "norms"]


def gradient_flow(
    cell: Cell,
    params: Any,
    inputs: PyTree[Array],
    scalar: Callable[[Any, Any], Float[Array, ""]],
    *,
    make_inputs: Callable[[Any], Any] | None = None,
    **arguments: Any,
) -> tuple[Float[Array, ""], Any]:
    """Returns a scalar and its gradient with respect to the state after every step.

    Where sequences of a batch do not meet in the scalar, as in a sum of losses, each has the gradient of its own part.

    Args:
        scalar: (outputs, final state) -> the number that is differentiated. An output that is one of the state's
            arrays, as the hidden state is in all cells of this library, counts as that array.
        arguments: those of `recurrent.run`, without `prefix`.

    Returns:
        The scalar, and a State with arrays [*batch, time, ...]: zero at steps without a token.

    Raises:
        ValueError: as `run` does.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.inspect import gradient_flow, norms
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> value, gradient = gradient_flow(
    ...     recurrent.lstm, params, jnp.ones((2, 5, 3)), lambda outputs, final: jnp.sum(final.hidden)
    ... )
    >>> norms(gradient).memory.shape
    (2, 5)
    """
    if arguments.get("prefix") is not None:
        raise ValueError("A prefix has no steps of its own to be looked at: write it out in the inputs.")
    inputs, params = as_arrays("inputs", inputs), as_params(cell, params)
    shapes = layout(inputs, make_inputs)
    steps = (*shapes.batch, shapes.num_steps)
    zero = jax.tree.map(lambda leaf: jnp.zeros((*steps, *leaf.shape), leaf.dtype), cell.zero_state(params))

    def perturbed(perturbations: Any) -> Float[Array, ""]:
        outputs, final = run(
            _Perturbed(cell),
            params,
            (inputs, perturbations),
            make_inputs=None if make_inputs is None else lambda pair: (make_inputs(pair[0]), pair[1]),
            **arguments,
        )
        return scalar(outputs, final)

    return jax.value_and_grad(perturbed)(zero)


class _Perturbed(Wrapped):
    """Adds to the state what comes beside the input."""

    def project(self, params: Any, x: Any) -> tuple[Any, Any]:
        inputs, perturbation = x
        return self.cell.project(params, inputs), perturbation

    def update(self, params: Any, state: Any, projected: tuple[Any, Any], recurrent: Any) -> tuple[Any, Any]:
        of_cell, perturbation = projected
        after, output = self.cell.update(params, state, of_cell, recurrent)
        moved = jax.tree.map(jnp.add, after, perturbation)
        pairs = list(zip(jax.tree.leaves(after), jax.tree.leaves(moved), strict=True))
        return moved, jax.tree.map(lambda leaf: next((new for old, new in pairs if old is leaf), leaf), output)


def norms(gradient: Any) -> Any:
    """Returns the Euclidean norm over the units, for each array [*batch, time, hidden] of a state: [*batch, time].

    It is there as long as the numbers are: no square is taken that would leave the range of their dtype sooner.
    """
    return jax.tree.map(_norm, gradient)


def _norm(values: Float[Array, "*steps hidden"]) -> Float[Array, "*steps"]:
    largest = jnp.max(jnp.abs(values), axis=-1, keepdims=True, initial=0)
    scaled = values / jnp.where(largest > 0, largest, 1)
    return largest[..., 0] * jnp.linalg.norm(scaled, axis=-1)


def from_end(
    values: Float[Array, "*batch time"], is_token: Bool[Array, "*batch time"] | None = None
) -> Float[Array, "*batch time"]:
    """Indexes values of steps by how many tokens of their own sequence follow: 0 is its last one.

    What a sequence is too short for is NaN. Tokens need not stand together, nor at either side.

    >>> import jax.numpy as jnp
    >>> from_end(jnp.array([1.0, 2.0, 3.0, 4.0]), jnp.array([False, True, True, False])).tolist()
    [3.0, 2.0, nan, nan]
    """
    if is_token is None:
        return jnp.flip(values, axis=-1)
    order = jnp.argsort(jnp.flip(~is_token, axis=-1), axis=-1, stable=True)
    lag = jax.lax.broadcasted_iota(jnp.int32, values.shape, values.ndim - 1)
    is_there = lag < jnp.sum(is_token, axis=-1, keepdims=True, dtype=jnp.int32)
    return jnp.where(is_there, jnp.take_along_axis(jnp.flip(values, axis=-1), order, axis=-1), jnp.nan)


class Decay(NamedTuple):
    """How fast something falls with the lag."""

    slope: Float[Array, "*batch"]  # of its logarithm to base 10, a step
    half_life: Float[Array, "*batch"]  # steps until half of it is left; infinite where it does not fall


def decay(values: Float[Array, "*batch lag"]) -> Decay:
    """Fits a straight line to the logarithm of values against their lag, by least squares.

    Args:
        values: such as `from_end(norms(gradient).hidden)`. What is NaN, infinite or not above zero, as a gradient that
            has left float32's range, is left out; with fewer than two values both are NaN.

    >>> import jax.numpy as jnp
    >>> slope, half_life = decay(2.0 ** -jnp.arange(10.0))
    >>> round(float(slope), 4), round(float(half_life), 4)
    (-0.301, 1.0)
    """
    values = values.astype(carry_dtype(values.dtype))
    lag = jax.lax.broadcasted_iota(values.dtype, values.shape, values.ndim - 1)
    is_used = jnp.isfinite(values) & (values > 0)
    logarithm = jnp.log10(jnp.where(is_used, values, 1))
    weight = is_used.astype(values.dtype)
    count = jnp.sum(weight, axis=-1, keepdims=True)
    centred = jnp.where(is_used, lag - jnp.sum(weight * lag, axis=-1, keepdims=True) / count, 0)
    slope = jnp.sum(centred * logarithm, axis=-1) / jnp.sum(centred * centred, axis=-1)
    half_life = jnp.where(slope < 0, -jnp.log10(2.0).astype(slope.dtype) / slope, jnp.inf)
    return Decay(slope, jnp.where(jnp.isnan(slope), slope, half_life))
