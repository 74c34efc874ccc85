"""A network over packed rows: `run_packed`, layer upon layer."""

from collections.abc import Iterable
from typing import Any, Unpack

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from recurrent.call.arguments import as_arrays, as_integers
from recurrent.call.meshes import on_auto_axes
from recurrent.call.options import PackedNetworkOptions, refuse_unknown
from recurrent.network.description import Directions, Network
from recurrent.network.params import check_network_params
from recurrent.network.residual import add_shortcut, has_shortcut
from recurrent.network.stack import check_depth, noise_key, pick, run_layers
from recurrent.packing import Packing, run_packed
from recurrent.regularize import dropout
from recurrent.shapes import RandomKey

__all__ = ["run_packed_network"]

SHARED = ("segment_size", "dtype", "backend")
"""The options that all layers and directions share."""


def run_packed_network(
    network: Network,
    params: tuple[Directions, ...],
    inputs: Float[Array, "rows time input"],
    packing: Packing,
    **options: Unpack[PackedNetworkOptions],
) -> tuple[Float[Array, "rows time output"], tuple[Directions, ...]]:
    """Runs a network over packed sequences; returns the last layer's outputs and the final states of each sequence.

    Each sequence gets what `run_network` computes for it alone, including its noise.

    Args:
        network: the description.
        params: from `network.init`: one `Directions` per layer.
        inputs: ``[rows, time, input]``, from `packing.pack_inputs`.
        packing: from `packing.pack`.
        initial: one `Directions` of states ``[sequences, hidden]`` per layer; zero by default. None stands for zero.
        recurrent_mask: one `Directions` of masks ``[sequences, 1, hidden]`` per layer. None means no mask.
        key: draws the noise of dropout; without a key there is none.
        numbers: ``[sequences]``, the sequences' numbers in the data set; by default they are counted.
        segment_size: as in `recurrent.run`, like `dtype` and `backend`.

    Returns:
        The outputs ``[rows, time, output]``, undefined where there is no step; and one `Directions` of final states
        ``[sequences, hidden]`` per layer.

    Raises:
        ValueError: a shape or dtype does not fit, or params or states belong to another network.

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
    refuse_unknown("run_packed_network", options, PackedNetworkOptions)
    check_network_params(network, params)
    inputs, numbers = as_arrays("inputs", inputs), options.get("numbers")
    of_layers = {name: options.get(name) for name in ("initial", "recurrent_mask")}
    check_depth(network, of_layers)
    shared: Any = {name: options[name] for name in SHARED if name in options}

    def run_one_way(layer: int, reverse: bool, of_direction: Any, x: Array) -> tuple[Array, Any]:
        own = pick(of_layers, layer, reverse)
        return run_packed(network.cells[layer], of_direction, x, packing, reverse=reverse, **shared, **own)

    def drop(layer: int, x: Array) -> Array:
        key = noise_key(network, options.get("key"), layer)
        return x if key is None else _drop(network.dropout_rate, x, packing, key, numbers)

    def shorten(layer: int, x: Array, halves: tuple[Array, ...]) -> Iterable[Array]:
        is_added = has_shortcut(network.is_residual, layer, x.shape[-1], sum(half.shape[-1] for half in halves))
        return add_shortcut(x, halves) if is_added else halves

    return run_layers(params, inputs, run_one_way, drop, shorten)


def _drop(rate: float, x: Array, packing: Packing, key: RandomKey, numbers: Any) -> Array:
    """Applies dropout with the noise of each step's own sequence and position."""

    def drop_steps(x: Array, key: RandomKey, numbers: Any) -> Array:
        return dropout(key, rate, x, _numbers(packing, numbers), positions=jnp.asarray(packing.position))

    return on_auto_axes(drop_steps, 1, x, key, numbers)


def _numbers(packing: Packing, numbers: Any) -> Int[Array, "rows time"]:
    """Returns the number of each step's sequence in the data set; 0 where there is no step."""
    count = len(packing.length)
    numbers = jnp.arange(count) if numbers is None else as_integers("numbers", numbers)
    if numbers.shape != (count,):
        raise ValueError(f"numbers must have shape ({count},), one per sequence, not {numbers.shape}.")
    return jnp.take(numbers, jnp.asarray(packing.sequence), mode="fill", fill_value=0)
