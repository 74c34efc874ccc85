"""Layer upon layer: the loop that padded batches and packed rows share."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from recurrent.network.description import Directions, Network
from recurrent.network.params import each
from recurrent.shapes import RandomKey

__all__ = ["check_depth", "noise_key", "pick", "run_layers"]


def run_layers(
    params: tuple[Directions, ...],
    inputs: Any,
    run_one_way: Callable[[int, bool, Any, Any], tuple[Any, Any]],
    drop: Callable[[int, Array], Array],
    shorten: Callable[[int, Any, tuple[Array, ...]], Iterable[Array]],
) -> tuple[Any, tuple[Directions, ...]]:
    """Runs layer upon layer; returns the last outputs and all final states.

    Args:
        run_one_way: (layer, reverse, params, inputs) -> (outputs, final state). Outputs of the last layer may be None.
        drop: (layer, inputs) -> inputs with dropout; not called for the first layer.
        shorten: (layer, inputs, outputs of each direction) -> these outputs with the layer's shortcut.
    """
    x, final = inputs, []
    for layer, own in enumerate(params):
        seen = drop(layer, x) if layer > 0 else x
        results = [run_one_way(layer, reverse, of_direction, seen) for reverse, of_direction in each(own)]
        halves, states = zip(*results, strict=True)
        final.append(Directions(*states))
        if halves[0] is None:
            return None, tuple(final)
        x = jnp.concatenate(list(shorten(layer, x, halves)), axis=-1)
    return x, tuple(final)


def pick(given: Mapping[str, Any], layer: int, reverse: bool) -> dict[str, Any]:
    """Returns the arguments of one direction of one layer, without those that are None."""
    of_layer = {name: layers[layer] for name, layers in given.items() if layers is not None}
    own = {name: directions[reverse] for name, directions in of_layer.items() if directions is not None}
    return {name: argument for name, argument in own.items() if argument is not None}


def noise_key(network: Network, key: RandomKey | None, layer: int) -> RandomKey | None:
    """Returns the key of a layer's dropout, or None where there is none."""
    return None if key is None or network.dropout_rate == 0 else jax.random.fold_in(key, layer)


def check_depth(network: Network, given: Mapping[str, Any]) -> None:
    """Raises ValueError for arguments without one entry per layer."""
    for name, layers in given.items():
        if layers is not None and len(layers) != len(network.cells):
            raise ValueError(f"{name} must have one entry per layer, {len(network.cells)} in all, not {len(layers)}.")
