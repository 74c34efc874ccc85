"""Streams: a sequence that arrives in chunks, computed as if it had come whole.

The carry between chunks holds the states and the last output, which masked steps at the front of the next chunk repeat.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypedDict, Unpack

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float, Int, PyTree

from recurrent.batch import run
from recurrent.call.arguments import as_array, as_arrays, layout
from recurrent.call.axes import align
from recurrent.call.options import refuse_unknown
from recurrent.cells.protocol import Cell
from recurrent.network import Network, run_network, zero_batch, zero_states

__all__ = ["Carry", "advance", "begin"]


class Carry(NamedTuple):
    """What a stream remembers between chunks: the states and the last output.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> params = recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> carry = recurrent.stream.begin(recurrent.gru, params, jnp.ones((2, 5, 3)))
    >>> carry.state.hidden.shape, carry.output.shape
    ((2, 4), (2, 4))
    """

    state: Any
    output: PyTree[Float[Array, "*batch _"]]


class StreamOptions(TypedDict, total=False):
    """Options of `advance`: those of `run` and `run_network` that mean the same for a chunk as for the whole."""

    is_token: Bool[Array, "*batch time"] | None
    is_start: Bool[Array, "*batch time"] | None
    reset_to: Any
    reset_index: Int[Array, "*batch time"] | None
    recurrent_mask: Any
    make_inputs: Callable[[Any], Any] | None
    segment_size: int | None
    dtype: DTypeLike | None
    backend: str


def begin(
    described: Cell | Network,
    params: Any,
    chunk: PyTree[Array | jax.ShapeDtypeStruct],
    *,
    make_inputs: Callable[[Any], Any] | None = None,
    dtype: DTypeLike | None = None,
) -> Carry:
    """Returns the carry before the first chunk: zero states, and an output of zero.

    Args:
        described: a cell such as `recurrent.lstm`, or a `Network` of one direction.
        params: of the cell or the network.
        chunk: a chunk of inputs, or its shapes and dtypes; the values and the number of steps do not matter.
        make_inputs: as in `advance`.
        dtype: as in `advance`.

    Raises:
        ValueError: the network is bidirectional, or params or chunk do not fit.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> network = recurrent.Network((recurrent.lstm, recurrent.gru), (4, 5))
    >>> params = recurrent.network.init(jax.random.key(0), network, input_size=3)
    >>> carry = recurrent.stream.begin(network, params, jax.ShapeDtypeStruct((2, 1, 3), jnp.float32))
    >>> carry.state[1].forward.hidden.shape
    (2, 5)
    """
    _refuse_both_directions(described)
    chunk = as_arrays("chunk", chunk)
    compute = partial(_run, described, make_inputs=make_inputs, dtype=dtype, backend="plain")
    outputs, _ = jax.eval_shape(compute, params, chunk)
    batch = layout(chunk, make_inputs).batch
    is_network = isinstance(described, Network)
    zero = zero_states(described, params, batch) if is_network else zero_batch(described, params, batch)
    blank = jax.tree.map(lambda leaf: jnp.zeros((*batch, *leaf.shape[len(batch) + 1 :]), leaf.dtype), outputs)
    return Carry(zero, blank)


def advance(
    described: Cell | Network,
    params: Any,
    carry: Carry,
    chunk: PyTree[Float[Array, "*batch time _"]],
    **options: Unpack[StreamOptions],
) -> tuple[Carry, PyTree[Float[Array, "*batch time _"]]]:
    """Advances a stream by a chunk of any number of steps; returns the next carry and the chunk's outputs.

    The outputs of all chunks are those of one call of `run` or `run_network` with all steps. A masked step repeats the
    last output, also that of the chunk before. There is no dropout. Gradients flow through the carry; stop them with
    `jax.lax.stop_gradient`.

    Args:
        described: a cell such as `recurrent.lstm`, or a `Network` of one direction.
        params: of the cell or the network.
        carry: from `begin` or from the chunk before.
        chunk: the inputs of the next steps.
        options: `is_token`, `is_start`, `reset_to`, `reset_index`, `recurrent_mask`, `make_inputs`, `segment_size`,
            `dtype` and `backend`, as in `run` or `run_network`.

    Raises:
        ValueError: the network is bidirectional, or a shape or dtype does not fit.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent import stream
    >>> params = recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> inputs = jnp.ones((2, 5, 3))
    >>> carry = stream.begin(recurrent.gru, params, inputs)
    >>> for chunk in (inputs[:, :2], inputs[:, 2:]):
    ...     carry, outputs = stream.advance(recurrent.gru, params, carry, chunk)
    >>> outputs.shape
    (2, 3, 4)
    """
    refuse_unknown("advance", options, StreamOptions)
    _refuse_both_directions(described)
    chunk = as_arrays("chunk", chunk)
    outputs, state = _run(described, params, chunk, initial=carry.state, **options)
    is_token, is_start = (as_array(name, options.get(name)) for name in ("is_token", "is_start"))
    if is_token is not None:
        outputs = _repeat(carry.output, outputs, is_token if is_start is None else is_token | is_start)
    batch, num_steps, _ = layout(chunk, options.get("make_inputs"))
    if num_steps == 0:
        return Carry(state, carry.output), outputs
    last = jax.tree.map(lambda leaf: jax.lax.index_in_dim(leaf, -1, len(batch), keepdims=False), outputs)
    return Carry(state, last), outputs


def _run(described: Any, params: Any, inputs: Any, **options: Any) -> tuple[Any, Any]:
    return (run_network if isinstance(described, Network) else run)(described, params, inputs, **options)


def _refuse_both_directions(described: Any) -> None:
    if isinstance(described, Network) and described.is_bidirectional:
        raise ValueError(
            "A bidirectional network cannot be a stream: its backward direction begins at the last step, which has not "
            "come yet. Use a network of one direction, or `run_network` on whole sequences."
        )


def _repeat(last: Any, outputs: Any, is_known: Bool[Array, "*batch time"]) -> Any:
    """Puts the last output of the chunk before at the masked steps in front of the first token or start."""
    is_after = jnp.cumsum(is_known, axis=-1) > 0

    def put(last: Array, outputs: Array) -> Array:
        held = jnp.expand_dims(last.astype(outputs.dtype), is_after.ndim - 1)
        return jnp.where(align(is_after, outputs), outputs, held)

    return jax.tree.map(put, last, outputs)
