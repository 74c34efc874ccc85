"""A prefix: one input that all sequences of a batch repeat at their front."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from recurrent.call.arguments import as_array, as_arrays
from recurrent.call.padding import fill

__all__ = ["Prefix", "as_prefix", "check_prefix", "write_prefix"]


class Prefix(NamedTuple):
    """Steps with equal input at the front of every sequence, such as padding treated as input (Keras' default).

    The cell's state after k such steps depends on k alone, so `run_final` computes them once for all sequences.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> prefix = recurrent.Prefix(input=jnp.zeros(3), length=jnp.array([2, 0]))
    >>> recurrent.run_final(recurrent.lstm, params, jnp.ones((2, 5, 3)), prefix=prefix).hidden.shape
    (2, 4)
    """

    input: Any  # the input of one step, [input]; an input of `make_inputs` if that is given
    length: Int[Array, "*batch"]  # the number of such steps of each sequence; the call's `inputs` are ignored there


def as_prefix(prefix: Any) -> Any:
    """Converts the fields of a prefix to arrays; returns None for None."""
    if prefix is None:
        return None
    return Prefix(as_arrays("prefix.input", prefix.input), as_array("prefix.length", prefix.length))


def check_prefix(prefix: Prefix | None, inputs: Any, batch: tuple[int, ...]) -> None:
    """Raises ValueError unless the prefix is None or one step of the inputs with one length per sequence."""
    if prefix is None:
        return
    if prefix.length.shape != batch or not jnp.issubdtype(prefix.length.dtype, jnp.integer):
        raise ValueError(
            f"prefix.length must be int{list(batch)}, not {prefix.length.dtype}{list(prefix.length.shape)}."
        )
    given = [jnp.shape(leaf) for leaf in jax.tree.leaves(prefix.input)]
    expected = [leaf.shape[len(batch) + 1 :] for leaf in jax.tree.leaves(inputs)]
    if given != expected:
        raise ValueError(f"prefix.input must be one step of the inputs, of shapes {expected}, not {given}.")


def write_prefix(inputs: Any, prefix: Prefix | None) -> Any:
    """Returns inputs [*batch, time, ...] with the prefix written over their first steps."""
    if prefix is None:
        return inputs
    num_batch_axes = prefix.length.ndim
    steps = jax.tree.leaves(inputs)[0].shape[: num_batch_axes + 1]
    step = jax.lax.broadcasted_iota(jnp.int32, steps, num_batch_axes)
    return fill(inputs, prefix.input, step < prefix.length[..., None].astype(jnp.int32))
