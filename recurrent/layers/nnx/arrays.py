"""A cell's params in a module: one `nnx.Param` for each array, under the array's own name."""

from dataclasses import replace
from typing import Any

import jax
from flax import nnx

from recurrent.call.arguments import fit
from recurrent.layers.arrays import Layout, Partitioning, Path, flatten, is_trainable

__all__ = ["Arrays"]


class Arrays(nnx.Module):
    """Holds a cell's params: each array is an `nnx.Param`, and an attribute with the name of the params' own field.

    Arrays of nested params are in a module of their own: `gates.kernel`. A name that the module has already gets an
    underscore: `train_`. Arrays without a gradient, such as integers, are an `nnx.Variable`, so that no optimizer is
    given them.
    """

    layout: Layout

    def __init__(self, params: Any, partitioning: Partitioning) -> None:
        """Takes the params."""
        self._hold(params, partitioning)

    def _hold(self, params: Any, partitioning: Partitioning) -> None:
        """Makes variables of the params; to be called once, when the module has all its other attributes."""
        self.layout, arrays = flatten(params)
        paths = []
        for path, array in zip(self.layout.paths, arrays, strict=True):
            paths.append(_add(self, path, _make_variable(array, partitioning.get(path[-1]))))
        self.layout = replace(self.layout, paths=tuple(paths))

    def cell_params(self) -> Any:
        """Returns the params as the cell's own, in the dtype in which they are kept."""
        return self._join()

    def _join(self) -> Any:
        # Apart from `cell_params`, since `nnx.tabulate` lists each public method that a call goes through.
        return self.layout.join([_find(self, path).get_value() for path in self.layout.paths])

    def set_cell_params(self, params: Any) -> None:
        """Replaces the params by others of the same shapes, in the dtype in which they are kept.

        Raises:
            ValueError: they are built otherwise, or a shape differs.
        """
        arrays = jax.tree.leaves(fit("params", params, self._join()))
        for path, array in zip(self.layout.paths, arrays, strict=True):
            _find(self, path).set_value(array)


class _Group(nnx.Module):
    """The arrays of nested params."""


def _add(module: nnx.Module, path: Path, variable: nnx.Variable[Any]) -> Path:
    """Puts a variable at a path and returns the path at which it is."""
    name, *rest = path
    if hasattr(module, name) and not (rest and isinstance(getattr(module, name), _Group)):
        name += "_"
    if not rest:
        setattr(module, name, variable)
        return (name,)
    if not hasattr(module, name):
        setattr(module, name, _Group())
    return (name, *_add(getattr(module, name), tuple(rest), variable))


def _find(module: nnx.Module, path: Path) -> nnx.Variable[Any]:
    found: Any = module
    for name in path:
        found = getattr(found, name)
    return found


def _make_variable(array: Any, axis_names: tuple[str | None, ...] | None) -> nnx.Variable[Any]:
    value = array if axis_names is None else nnx.with_partitioning(lambda: array, axis_names)()
    return nnx.Param(value) if is_trainable(array) else nnx.Variable(value)
