"""One cell over many sequences."""

import jax
from jaxtyping import Array, Bool, DTypeLike, Float

from recurrent.cells.protocol import Cell, Params, State
from recurrent.sequence import scan_cell

__all__ = ["run"]


def run(
    cell: Cell[Params, State],
    params: Params,
    inputs: Float[Array, "*batch time input"],
    *,
    is_token: Bool[Array, "*batch time"] | None = None,
    is_start: Bool[Array, "*batch time"] | None = None,
    initial: State | None = None,
    reverse: bool = False,
    segment_size: int | None = None,
    dtype: DTypeLike | None = None,
) -> tuple[Float[Array, "*batch time output"], State]:
    """Runs a cell over a batch of sequences: `scan_cell` for each of them, with any number of batch axes in front.

    Arguments and meaning are those of `scan_cell`; `is_token`, `is_start` and `initial` have the batch axes too.

    Raises:
        ValueError: a shape or dtype does not fit.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> params = recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> lengths = jnp.array([5, 2])
    >>> is_token = jnp.arange(5)[None] < lengths[:, None]
    >>> outputs, final = recurrent.run(recurrent.gru, params, jnp.ones((2, 5, 3)), is_token=is_token)
    >>> outputs.shape, final.hidden.shape
    ((2, 5, 4), (2, 4))
    """
    _check(inputs, is_token, is_start, initial)

    def scan_one(inputs: Array, is_token: Array | None, is_start: Array | None, initial: State | None):
        options = {"reverse": reverse, "segment_size": segment_size, "dtype": dtype}
        return scan_cell(cell, params, inputs, is_token=is_token, is_start=is_start, initial=initial, **options)

    scan_all = scan_one
    for _ in range(inputs.ndim - 2):
        scan_all = jax.vmap(scan_all)
    return scan_all(inputs, is_token, is_start, initial)


def _check(inputs: Array, is_token: Array | None, is_start: Array | None, initial: object) -> None:
    if inputs.ndim < 2:
        raise ValueError(f"run takes inputs [*batch, time, input], not shape {inputs.shape}.")
    batch = inputs.shape[:-2]
    for name, mask in (("is_token", is_token), ("is_start", is_start)):
        if mask is not None and mask.shape != inputs.shape[:-1]:
            raise ValueError(f"{name} must have shape {inputs.shape[:-1]} (one value a step), not {mask.shape}.")
    for leaf in jax.tree.leaves(initial):
        if leaf.shape[: len(batch)] != batch:
            raise ValueError(
                f"initial needs the batch axes {batch} in front of each array, and has shape {leaf.shape}."
            )
