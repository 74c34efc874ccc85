"""The spectral norm of each step's Jacobian ds_t / ds_{t-1}.

A gradient that goes back over many steps is multiplied by these Jacobians. It vanishes if their norms stay below one,
and may explode if they exceed one (Pascanu, Mikolov & Bengio 2013).
"""

from typing import Any, Unpack

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from recurrent.batch import run
from recurrent.call.arguments import as_array, as_params
from recurrent.call.options import RunOptions, refuse_unknown
from recurrent.call.timeline import resets
from recurrent.cells.protocol import Cell
from recurrent.cells.wrapped import Wrapped

__all__ = ["jacobian_norms"]


def jacobian_norms(
    cell: Cell,
    params: Any,
    inputs: PyTree[Float[Array, "*batch time _"]],
    **options: Unpack[RunOptions],
) -> Float[Array, "*batch time"]:
    """Returns the largest singular value of each step's Jacobian, over the whole state: an LSTM's h and c together.

    It is 1 at masked steps, which hold the state, and 0 where a sequence starts, since the state is then reset. A step
    costs one cell step per state element and a singular value decomposition: use it on a few sequences.

    Args:
        cell: as in `run`, like `params`, `inputs` and all options, except `recurrent_mask` and `truncate_every`.
        params: as in `run`.
        inputs: as in `run`.
        backend: "plain" by default.

    Raises:
        ValueError: `recurrent_mask` or `truncate_every` is given, or a shape or dtype does not fit.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.inspect import jacobian_norms
    >>> params = recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> jacobian_norms(recurrent.gru, params, jnp.ones((2, 5, 3))).shape
    (2, 5)
    """
    refuse_unknown("jacobian_norms", options, RunOptions)
    for name in ("recurrent_mask", "truncate_every"):
        if options.get(name) is not None:
            raise ValueError(f"jacobian_norms does not take {name}: it differentiates the cell's own step.")
    params = as_params(cell, params)
    exact = jax.tree.leaves(cell.zero_state(params))[0].dtype
    arguments: dict[str, Any] = {"backend": "plain", "dtype": exact, **options}
    largest = run(_Differentiated(cell), params, inputs, **arguments)[0]
    if (is_token := as_array("is_token", options.get("is_token"))) is not None:
        largest = jnp.where(is_token, largest, 1)
    if (is_start := as_array("is_start", options.get("is_start"))) is not None:
        is_reset = resets(jnp.moveaxis(is_start, -1, 0), options.get("reverse", False))
        largest = jnp.where(jnp.moveaxis(is_reset, 0, -1), 0, largest)
    return largest


class _Differentiated(Wrapped):
    """Outputs the spectral norm of the step's Jacobian."""

    def update(self, params: Any, state: Any, projected: Any, recurrent: Any) -> tuple[Any, Float[Array, ""]]:
        flat, unravel = ravel_pytree(state)

        def step(flat: Float[Array, "state"]) -> Float[Array, "state"]:
            before = unravel(flat)
            return ravel_pytree(self.cell.update(params, before, projected, self.cell.recur(params, before))[0])[0]

        after, _ = self.cell.update(params, state, projected, recurrent)
        return after, jnp.linalg.norm(jax.jacobian(step)(flat), ord=2)
