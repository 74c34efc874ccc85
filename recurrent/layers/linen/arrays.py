"""A cell's params in a Linen module: one param per array, under the array's own name.

Arrays of nested params are in nested dicts. Arrays without a gradient, such as integers, are in the collection
"constants", so that optimizers skip them.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import unflatten_dict

from recurrent.call.arguments import as_arrays
from recurrent.layers.arrays import ParamTree, Partitioning, Path, check_partitioning, flatten, is_trainable
from recurrent.shapes import RandomKey

__all__ = ["declare", "find", "input_size", "name_variables"]

Draw = Callable[[RandomKey], Any]
Rename = Callable[[Path], Path]


def declare(module: nn.Module, draw: Draw, partitioning: Partitioning, rename: Rename = tuple) -> Any:
    """Returns a module's params in the cell's structure, drawn if there are none yet; for compact methods.

    Args:
        draw: draws all params from one key.
        rename: an array's path in the cell's params -> its path in the module.

    Raises:
        ValueError: `partitioning` has a name that no array has.
    """
    tree, like = _draw_shapes(draw, rename)
    check_partitioning(partitioning, tree.paths)
    drawn: list[Any] = []

    def make(key: RandomKey, index: int) -> Any:
        if not drawn:
            drawn.extend(flatten(draw(key))[1])
        axis_names = partitioning.get(tree.paths[index][-1])
        return drawn[index] if axis_names is None else nn.with_partitioning(lambda: drawn[index], axis_names)()

    def blank(key: RandomKey, index: int) -> Any:
        return jnp.zeros(like[index].shape, like[index].dtype)

    values = {}
    for (collection, name), members in _group(tree, like).items():
        init = blank if module.has_variable(collection, name) else make

        def init_members(key: RandomKey, init: Any = init, members: Any = members) -> Any:
            return _nest({path: init(key, index) for path, index in members.items()})

        if collection == "params":
            values[collection, name] = module.param(name, init_members)
        else:
            variable = module.variable(collection, name, lambda make=init_members: make(module.make_rng("params")))
            values[collection, name] = variable.value
    return _join(tree, like, values)


def input_size(inputs: Any, make_inputs: Callable[[Any], Any] | None = None) -> int:
    """Returns the size of the cell's input at a step, or of the first array in it."""
    inputs = as_arrays("inputs", inputs)
    made = inputs if make_inputs is None else jax.eval_shape(make_inputs, inputs)
    return jax.tree.leaves(made)[0].shape[-1]


def find(module: nn.Module, draw: Draw, rename: Rename = tuple) -> Any:
    """Returns a module's params in the cell's structure.

    Raises:
        ValueError: the module has no params yet.
    """
    tree, like = _draw_shapes(draw, rename)
    values = {place: nn.meta.unbox(module.get_variable(*place)) for place in _group(tree, like)}
    if any(value is None for value in values.values()):
        raise ValueError("The layer has no params yet: call it first, or pass its variables to `apply`.")
    return _join(tree, like, values)


def name_variables(params: Any, rename: Rename = tuple) -> dict[str, Any]:
    """Returns the variables of a module for a cell's params."""
    tree, arrays = flatten(params)
    named = {(_collection(array), *rename(path)): array for path, array in zip(tree.paths, arrays, strict=True)}
    return unflatten_dict(named)


def _draw_shapes(draw: Draw, rename: Rename) -> tuple[ParamTree, list[Any]]:
    tree, like = flatten(jax.eval_shape(draw, jax.random.key(0)))
    return replace(tree, paths=tuple(rename(path) for path in tree.paths)), like


def _collection(array: Any) -> str:
    return "params" if is_trainable(array) else "constants"


def _group(tree: ParamTree, like: list[Any]) -> dict[tuple[str, str], dict[Path, int]]:
    """Returns (collection, first name) -> the rest of each array's path -> the array's index."""
    groups: dict[tuple[str, str], dict[Path, int]] = {}
    for index, ((name, *rest), array) in enumerate(zip(tree.paths, like, strict=True)):
        groups.setdefault((_collection(array), name), {})[tuple(rest)] = index
    return groups


def _nest(members: dict[Path, Any]) -> Any:
    return members[()] if () in members else unflatten_dict(members)


def _join(tree: ParamTree, like: list[Any], values: dict[tuple[str, str], Any]) -> Any:
    arrays = []
    for (name, *rest), array in zip(tree.paths, like, strict=True):
        value = values[_collection(array), name]
        for key in rest:
            value = value[key]
        arrays.append(value)
    return tree.join(arrays)
