"""Keras' older whole-model files, `.h5`: one HDF5 file with the model's description as an attribute."""

import numpy as np

from experiments.imdb.importing.hdf5 import Hdf5
from experiments.imdb.importing.keras_graph import Layer

__all__ = ["H5_ROOT", "h5_arrays"]

H5_ROOT = "model_weights/"
_Arrays = dict[str, np.ndarray | None]


def h5_arrays(file: Hdf5, layers: list[Layer], names: dict[str, list[str]]) -> dict[str, list[np.ndarray]]:
    """Returns the arrays of each layer, in Keras' order.

    Args:
        file: what the file holds below `H5_ROOT`.
        layers: of the model.
        names: of the arrays that each layer must have.

    Raises:
        ValueError: an array is missing or superfluous, or has another name than it must.
    """
    found: _Arrays = {**dict.fromkeys(file.others), **file.arrays}
    found = {path.removeprefix(H5_ROOT): each for path, each in found.items() if path.startswith(H5_ROOT)}
    found = {path: each for path, each in found.items() if "seed_generator" not in path}
    unknown = {path.partition("/")[0] for path in found} - {layer.name for layer in layers}
    if unknown:
        raise ValueError(f"Its weights have superfluous layers, {', '.join(sorted(unknown)[:5])}, of no layer.")
    return {layer.name: _of_layer(layer, names.get(layer.name, []), found) for layer in layers}


def _of_layer(layer: Layer, names: list[str], found: _Arrays) -> list[np.ndarray]:
    prefix = f"{layer.name}/"
    within = {path.removeprefix(prefix): each for path, each in found.items() if path.startswith(prefix)}
    named = _by_name(layer, [*within])
    if named.keys() != set(names):
        raise ValueError(
            f"{layer} has the arrays {', '.join(named) or 'none'} in the file, and it must have "
            f"{', '.join(names) or 'none'}. Save the whole model again with Keras."
        )
    arrays = [array for name in names if (array := within[named[name]]) is not None]
    if len(arrays) < len(names):
        raise ValueError(f"{layer} has arrays of other than floating-point numbers, as weights are.")
    return arrays


def _by_name(layer: Layer, paths: list[str]) -> dict[str, str]:
    """Returns the paths by the names of the arrays, such as kernel, or "forward kernel" in a Bidirectional."""
    named = {}
    for path in paths:
        name = f"{_way(path, paths)}{path.rpartition('/')[2].partition(':')[0]}"
        if name in named:
            raise ValueError(f"{layer} has two arrays {name} in the file.")
        named[name] = path
    return named


def _way(path: str, paths: list[str]) -> str:
    """Returns the direction of a Bidirectional's array: the first part of its path in which the others differ."""
    for parts in zip(*(each.split("/")[:-1] for each in paths), strict=False):
        if len(set(parts)) > 1:
            part = parts[paths.index(path)]
            return next((f"{way} " for way in ("forward", "backward") if part.startswith(f"{way}_")), "")
    return ""
