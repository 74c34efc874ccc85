"""Layer upon layer: what padded batches and packed rows have in common."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from recurrent.network.description import Directions, Network, each

__all__ = ["check_depth", "pick", "run_layers"]


def run_layers(
    params: tuple[Directions, ...],
    inputs: Any,
    run_one_way: Callable[[int, bool, Any, Any], tuple[Any, Any]],
    drop: Callable[[int, Array], Array],
    shorten: Callable[[int, Any, tuple[Array, ...]], Iterable[Array]],
) -> tuple[Any, tuple[Directions, ...]]:
    """Runs layer upon layer.

    Args:
        run_one_way: (layer, reverse, params, inputs) -> (outputs, or None after the last layer, and final state).
        drop: (layer, inputs) -> inputs with noise.
        shorten: (layer, inputs, outputs of each direction) -> those with the layer's shortcut.
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
    """Returns the arguments of one layer's direction; what is None there is left out."""
    of_layer = {name: layers[layer] for name, layers in given.items() if layers is not None}
    own = {name: directions[reverse] for name, directions in of_layer.items() if directions is not None}
    return {name: argument for name, argument in own.items() if argument is not None}


def check_depth(network: Network, given: Mapping[str, Any]) -> None:
    """Raises ValueError for arguments that are not one for each layer."""
    for name, layers in given.items():
        if layers is not None and len(layers) != len(network.cells):
            raise ValueError(
                f"{name} must have an entry for each of the {len(network.cells)} layers, not {len(layers)} of them."
            )
