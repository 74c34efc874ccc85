"""A network over packed rows: `run_packed`, layer upon layer."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, Int

from recurrent.call.arguments import as_arrays
from recurrent.call.meshes import on_auto_axes
from recurrent.network.description import Directions, Network, check_network_params
from recurrent.network.residual import add_shortcut, has_shortcut
from recurrent.network.stack import check_depth, pick, run_layers
from recurrent.packing import Packing, run_packed
from recurrent.regularize import dropout
from recurrent.shapes import RandomKey

__all__ = ["run_packed_network"]


def run_packed_network(
    network: Network,
    params: tuple[Directions, ...],
    inputs: Float[Array, "rows time input"],
    packing: Packing,
    *,
    initial: tuple[Directions, ...] | None = None,
    recurrent_mask: tuple[Directions, ...] | None = None,
    key: RandomKey | None = None,
    numbers: Int[Array, "sequences"] | None = None,
    segment_size: int | None = None,
    dtype: DTypeLike | None = None,
    backend: str = "auto",
) -> tuple[Float[Array, "rows time output"], tuple[Directions, ...]]:
    """Runs a network over packed sequences; returns the last layer's outputs and each sequence's final states.

    Each sequence gets what `run_network` gives to it alone, noise too.

    Args:
        initial: for each layer and direction the states of all sequences, [sequences, ...]; zero by default. A None in
            the place of states is zero too.
        recurrent_mask: for each layer and direction [sequences, 1, hidden], or None.
        numbers: the sequences' numbers in the data set; by default they are counted.

    Returns:
        outputs: [rows, time, output]; where there is no step they mean nothing.
        final: for each layer and direction arrays [sequences, ...].

    Raises:
        ValueError: a shape or dtype does not fit, or params or states are those of another network.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.network import Network, init, run_packed_network
    >>> from recurrent.packing import pack, pack_inputs
    >>> network = Network((recurrent.gru, recurrent.lstm), (4, 5), is_bidirectional=True)
    >>> params = init(jax.random.key(0), network, input_size=3)
    >>> packing = pack([2, 5, 3], row_length=6)
    >>> outputs, final = run_packed_network(network, params, pack_inputs(packing, jnp.ones((3, 5, 3))), packing)
    >>> outputs.shape, final[1].backward.memory.shape
    ((2, 6, 10), (3, 5))
    """
    check_network_params(network, params)
    inputs = as_arrays("inputs", inputs)
    of_layers = {"initial": initial, "recurrent_mask": recurrent_mask}
    check_depth(network, of_layers)

    def run_one_way(layer: int, reverse: bool, of_direction: Any, x: Array) -> tuple[Array, Any]:
        return run_packed(
            network.cells[layer],
            of_direction,
            x,
            packing,
            reverse=reverse,
            segment_size=segment_size,
            dtype=dtype,
            backend=backend,
            **pick(of_layers, layer, reverse),
        )

    def drop(layer: int, x: Array) -> Array:
        if key is None or network.dropout_rate == 0:
            return x

        def drop_steps(x: Array, key: RandomKey, numbers: Any) -> Array:
            numbers, positions = _numbers(packing, numbers), jnp.asarray(packing.position)
            return dropout(jax.random.fold_in(key, layer), network.dropout_rate, x, numbers, positions=positions)

        return on_auto_axes(drop_steps, 1, x, key, numbers)

    def shorten(layer: int, x: Array, halves: tuple[Array, ...]) -> Iterable[Array]:
        is_added = has_shortcut(network.is_residual, layer, x.shape[-1], sum(half.shape[-1] for half in halves))
        return add_shortcut(x, halves) if is_added else halves

    return run_layers(params, inputs, run_one_way, drop, shorten)


def _numbers(packing: Packing, numbers: Array | None) -> Int[Array, "rows time"]:
    """Returns the number of the sequence that each step belongs to; 0 where it is none's."""
    shape = packing.length.shape
    numbers = jnp.arange(len(packing.length)) if numbers is None else as_arrays("numbers", numbers)
    if numbers.shape != shape or not jnp.issubdtype(numbers.dtype, jnp.integer):
        raise ValueError(f"numbers must be int{list(shape)}, one a sequence, not {numbers.dtype}{list(numbers.shape)}.")
    return jnp.take(numbers, jnp.asarray(packing.sequence), mode="fill", fill_value=0)
