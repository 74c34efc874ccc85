"""Gradient flow: dL/ds_t, the gradient of a scalar with respect to the state after each step, by one backward pass::

    s_t = step(s_{t-1}, x_t) + p_t,    p_t = 0        dL/dp_t = dL/ds_t

Zero perturbations p_t are added to the state inside the loop, and the scalar is differentiated with respect to them.
The result contains everything that flows back into h_t, or into an LSTM's c_t, from the output of its own step and from
all later steps. In a SimpleRNN it is a product of T - t Jacobians (Hochreiter 1991; Bengio, Simard & Frasconi 1994);
along an LSTM's memory, a product of forget gates.
"""

from collections.abc import Callable
from typing import Any, Unpack

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from recurrent.batch import run
from recurrent.call.arguments import as_arrays, as_params, layout
from recurrent.call.options import RunOptions, refuse_unknown
from recurrent.cells.protocol import Cell
from recurrent.cells.wrapped import Wrapped

__all__ = ["gradient_flow", "norms"]


def gradient_flow(
    cell: Cell,
    params: Any,
    inputs: PyTree[Array],
    scalar: Callable[[Any, Any], Float[Array, ""]],
    **options: Unpack[RunOptions],
) -> tuple[Float[Array, ""], Any]:
    """Returns a scalar and its gradient with respect to the state after every step.

    If the scalar is a sum over the sequences of a batch, each sequence has the gradient of its own term.

    Args:
        cell: as in `run`, like `params`, `inputs` and all options, except `prefix`.
        params: as in `run`.
        inputs: as in `run`.
        scalar: (outputs, final state) -> the number to differentiate. An output that is one of the state's arrays, such
            as the hidden state in all cells of the catalogue, counts as that array.

    Returns:
        The scalar, and a State with arrays ``[*batch, time, ...]``, zero at masked steps.

    Raises:
        ValueError: a prefix is given, or a shape or dtype does not fit.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.inspect import gradient_flow, norms
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> value, gradient = gradient_flow(
    ...     recurrent.lstm, params, jnp.ones((2, 5, 3)), lambda outputs, final: jnp.sum(final.hidden)
    ... )
    >>> norms(gradient).memory.shape
    (2, 5)
    """
    refuse_unknown("gradient_flow", options, RunOptions)
    if options.get("prefix") is not None:
        raise ValueError("gradient_flow does not take a prefix: write the prefix into the inputs.")
    inputs, params = as_arrays("inputs", inputs), as_params(cell, params)
    make_inputs = options.pop("make_inputs", None)
    batch, num_steps, _ = layout(inputs, make_inputs)
    zero = jax.tree.map(lambda leaf: jnp.zeros((*batch, num_steps, *leaf.shape), leaf.dtype), cell.zero_state(params))

    def perturbed(perturbations: Any) -> Float[Array, ""]:
        outputs, final = run(
            _Perturbed(cell),
            params,
            (inputs, perturbations),
            make_inputs=None if make_inputs is None else lambda pair: (make_inputs(pair[0]), pair[1]),
            **options,
        )
        return scalar(outputs, final)

    return jax.value_and_grad(perturbed)(zero)


class _Perturbed(Wrapped):
    """Adds a perturbation, which is part of the input, to the state."""

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
    """Returns the Euclidean norm over the units for each array of a state: ``[*batch, time]``.

    Values are scaled so that their squares neither overflow nor underflow.

    >>> import jax.numpy as jnp, recurrent
    >>> from recurrent.inspect import norms
    >>> norms(recurrent.gru.State(hidden=jnp.array([[3.0, 4.0]]))).hidden.tolist()
    [5.0]
    """
    return jax.tree.map(_norm, gradient)


def _norm(values: Float[Array, "*steps hidden"]) -> Float[Array, "*steps"]:
    largest = jnp.max(jnp.abs(values), axis=-1, keepdims=True, initial=0)
    scaled = values / jnp.where(largest > 0, largest, 1)
    return largest[..., 0] * jnp.linalg.norm(scaled, axis=-1)
