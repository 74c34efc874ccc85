"""What one step does to a small change of the state: the spectral norm of ds_t / ds_{t-1}.

A gradient that goes back over many steps is multiplied by these Jacobians one after the other; it vanishes for certain
where their norms stay below one, and may explode where they are above (Pascanu, Mikolov & Bengio 2013).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from recurrent.batch import run
from recurrent.call.arguments import as_params
from recurrent.call.steps import resets
from recurrent.cells.protocol import Cell
from recurrent.cells.wrapped import Wrapped

__all__ = ["jacobian_norms"]


def jacobian_norms(
    cell: Cell,
    params: Any,
    inputs: PyTree[Float[Array, "*batch time _"]],
    *,
    backend: str = "plain",
    **arguments: Any,
) -> Float[Array, "*batch time"]:
    """Returns the largest singular value of each step's Jacobian, over all of the state: an LSTM's h and c together.

    It is 1 at steps without a token, which hold the state, and 0 where a sequence starts, whose state owes nothing to
    the one before. A step costs as many steps as the state has numbers, and a singular value decomposition: this is for
    a few sequences, not for training.

    Args:
        arguments: those of `recurrent.run`, without `recurrent_mask` and `truncate_every`.

    Raises:
        ValueError: as `run` does.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.inspect import jacobian_norms
    >>> params = recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> jacobian_norms(recurrent.gru, params, jnp.ones((2, 5, 3))).shape
    (2, 5)
    """
    for name in ("recurrent_mask", "truncate_every"):
        if arguments.get(name) is not None:
            raise ValueError(f"jacobian_norms looks at the cell's own step: leave {name} out.")
    params = as_params(cell, params)
    exact = jax.tree.leaves(cell.zero_state(params))[0].dtype
    arguments = {"dtype": exact, **arguments}
    largest = run(_Differentiated(cell), params, inputs, backend=backend, **arguments)[0]
    if (is_token := arguments.get("is_token")) is not None:
        largest = jnp.where(is_token, largest, 1)
    if (is_start := arguments.get("is_start")) is not None:
        is_reset = resets(jnp.moveaxis(is_start, -1, 0), arguments.get("reverse", False))
        largest = jnp.where(jnp.moveaxis(is_reset, 0, -1), 0, largest)
    return largest


class _Differentiated(Wrapped):
    """Puts out the norm of its own derivative."""

    def update(self, params: Any, state: Any, projected: Any, recurrent: Any) -> tuple[Any, Float[Array, ""]]:
        flat, unravel = ravel_pytree(state)

        def step(flat: Float[Array, "state"]) -> Float[Array, "state"]:
            before = unravel(flat)
            return ravel_pytree(self.cell.update(params, before, projected, self.cell.recur(params, before))[0])[0]

        after, _ = self.cell.update(params, state, projected, recurrent)
        return after, jnp.linalg.norm(jax.jacobian(step)(flat), ord=2)
