"""A PyTorch model's state dict in a safetensors file, and what the file does not say in a small JSON file."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.imdb.importing.tensors import head_tensors, recurrent_tensors
from experiments.imdb.training.recipes import Recipe
from recurrent import interop
from recurrent.cells import CELLS
from recurrent.network import Network

__all__ = ["TORCH_FORMAT", "torch_model"]

TORCH_FORMAT = "pytorch"
_NAMES = {"embedding": "embedding", "recurrent": "recurrent", "head": "head"}
_RECURRENT = ("weight_ih_l", "weight_hh_l", "bias_ih_l", "bias_hh_l")


def torch_model(tensors: Mapping[str, np.ndarray], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the fields of a recipe and the tensors by the names of `tensors.fit`.

    Args:
        tensors: the state dict.
        config: the JSON object: `names` of the modules, and `recipe`, fields that the tensors do not show.

    Raises:
        ValueError: a tensor is missing, superfluous or misshaped, or contradicts a field; names it.
    """
    names, fields = _names(config), _fields(config)
    modules = {part: {} for part in _NAMES}
    for name, tensor in tensors.items():
        module, _, last = name.rpartition(".")
        part = next((part for part, own in names.items() if own == module), None)
        if part is None or (part == "recurrent") != last.startswith(_RECURRENT):
            raise ValueError(
                f"{name} belongs to none of the modules {', '.join(names.values())}. The JSON's names must say which "
                "module is embedding, recurrent and head, and the file must hold no other."
            )
        modules[part][last] = tensor
    table = _matrix(modules["embedding"], names["embedding"], {"weight"})
    network, params = interop.torch.network_from(modules["recurrent"])
    kernel = _matrix(modules["head"], names["head"], {"weight", "bias"}).T
    bias = modules["head"].get("bias", np.zeros_like(kernel[0]))
    if bias.shape != kernel.shape[1:]:
        raise ValueError(f"{names['head']}.bias has shape {bias.shape}, and its weight has {kernel.shape[1]} rows.")
    seen = _seen(network, table, kernel)
    if wrong := sorted(name for name in seen.keys() & fields.keys() if fields[name] != seen[name]):
        shown = "; ".join(f"{name} is {fields[name]!r}, and by the tensors {seen[name]!r}" for name in wrong)
        raise ValueError(f"The JSON's recipe contradicts the tensors: {shown}.")
    named = {"embedding.embedding": table, **recurrent_tensors(params), **head_tensors(kernel, bias)}
    return {**fields, **seen}, named


def _seen(network: Network, table: np.ndarray, kernel: np.ndarray) -> dict[str, Any]:
    """Returns the fields that the tensors decide."""
    (cell,) = {*network.cells}
    return {
        "cell": next(name for name, each in CELLS.items() if each is cell),
        "layers": len(network.cells),
        "hidden_size": network.hidden_sizes[0],
        "bidirectional": network.is_bidirectional,
        "vocabulary_size": table.shape[0],
        "embedding_size": table.shape[1],
        "num_classes": max(kernel.shape[1], 2),
    }


def _names(config: Mapping[str, Any]) -> dict[str, str]:
    given = config.get("names", {})
    is_named = isinstance(given, dict) and set(given) <= set(_NAMES)
    if not is_named or not all(isinstance(each, str) for each in given.values()):
        raise ValueError(f"The JSON's names must give module names for {', '.join(_NAMES)}, such as {_NAMES}.")
    names = {**_NAMES, **given}
    if len(set(names.values())) < len(names):
        raise ValueError("The JSON's names give one module twice.")
    return names


def _fields(config: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(config) - {"format", "names", "recipe"}
    if unknown:
        raise ValueError(f"The JSON has unknown keys {', '.join(sorted(unknown))}; it has format, names and recipe.")
    fields = config.get("recipe")
    if not isinstance(fields, dict) or "cell" not in fields:
        raise ValueError('The JSON needs a recipe with the cell at least, such as {"cell": "lstm"}.')
    if odd := set(fields) - {field.name for field in dataclasses.fields(Recipe)}:
        raise ValueError(f"The JSON's recipe has unknown fields {', '.join(sorted(odd))}.")
    return fields


def _matrix(module: Mapping[str, np.ndarray], name: str, allowed: set[str]) -> np.ndarray:
    """Returns the weight of a module that has the allowed tensors and no others."""
    if "weight" not in module or not set(module) <= allowed:
        raise ValueError(
            f"{name} must have a weight{' and may have a bias' * ('bias' in allowed)}, and the file has "
            f"{', '.join(sorted(module)) or 'nothing'} of it."
        )
    weight = module["weight"]
    if weight.ndim != 2 or 0 in weight.shape:
        raise ValueError(f"{name}.weight has shape {weight.shape}, and must have 2 axes.")
    return weight
