"""The weights of this project's model by name: those of an export's safetensors file, which end up in a run.

A name is the path of a leaf of `init_params(recipe)` with dots, such as recurrent.layers.0.forward.bias.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from experiments.imdb.training.model import init_params
from experiments.imdb.training.recipes import Recipe
from recurrent.network import Directions
from recurrent.network.params import each

__all__ = ["fit", "head_tensors", "recurrent_tensors"]

_WIDER = {"float32": ("float16", "bfloat16", "float32"), "float64": ("float16", "bfloat16", "float32", "float64")}
"""The dtypes that can be stored in another without rounding."""


def recurrent_tensors(layers: tuple[Directions, ...]) -> dict[str, np.ndarray]:
    """Returns the tensors of a network's layers."""
    if len(layers) == 1 and layers[0].backward is None:
        return {f"recurrent.{name}": array for name, array in layers[0].forward._asdict().items()}
    return {
        f"recurrent.layers.{number}.{'backward' if is_backward else 'forward'}.{name}": array
        for number, own in enumerate(layers)
        for is_backward, params in each(own)
        for name, array in params._asdict().items()
    }


def head_tensors(
    kernel: Float[np.ndarray, "features units"], bias: Float[np.ndarray, "units"]
) -> dict[str, np.ndarray]:
    """Returns the tensors of the last layer; two logits become their difference, whose sigmoid is their softmax."""
    if kernel.shape[1] == 2:
        kernel, bias = kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]
    return {"head.kernel": kernel, "head.bias": bias}


def fit(recipe: Recipe, tensors: Mapping[str, np.ndarray]) -> Any:
    """Returns the params of a recipe's model, as nested dicts.

    Raises:
        ValueError: a tensor is missing, superfluous, misshaped, of a wider dtype or not finite; names it.
    """
    like = jax.eval_shape(lambda: init_params(recipe))
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    wanted = {".".join(str(key.key) for key in path): leaf for path, leaf in leaves}
    for verb, names in (("lacks", wanted.keys() - tensors.keys()), ("has superfluous", tensors.keys() - wanted.keys())):
        if names:
            raise ValueError(f"The model {verb} {', '.join(sorted(names))}, by its recipe.")
    return jax.tree.unflatten(structure, [_leaf(name, tensors[name], leaf) for name, leaf in wanted.items()])


def _leaf(name: str, tensor: np.ndarray, like: Any) -> np.ndarray:
    if tensor.shape != like.shape:
        raise ValueError(f"{name} has shape {tensor.shape}, and by its recipe it must have {like.shape}.")
    if str(tensor.dtype) not in _WIDER[str(like.dtype)]:
        raise ValueError(
            f"{name} is {tensor.dtype}, and the recipe stores {like.dtype}: a recipe of dtype float64 fits."
        )
    tensor = tensor.astype(like.dtype)
    if not np.isfinite(tensor).all():
        raise ValueError(f"{name} has values that are not finite.")
    return tensor
