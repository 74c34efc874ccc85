"""A module that holds a cell's params, with one `nnx.Param` per array."""

from dataclasses import replace
from typing import Any

import jax
from flax import nnx

from recurrent.call.arguments import fit
from recurrent.layers.arrays import ParamTree, Partitioning, Path, flatten, is_trainable

__all__ = ["Arrays"]


class Arrays(nnx.Module):
    """Holds a cell's params: each array is an `nnx.Param`, in an attribute named like its field.

    Arrays of nested params are in a module of their own: `gates.kernel`. A name that the module already has gets an
    underscore: ``train_``. Arrays without a gradient, such as integers, are an `nnx.Variable`, which optimizers skip.
    """

    param_tree: ParamTree

    def __init__(self, params: Any, partitioning: Partitioning) -> None:
        """Stores the params."""
        self._hold(params, partitioning)

    def _hold(self, params: Any, partitioning: Partitioning) -> None:
        """Stores the params as variables; call it once, after all other attributes are set."""
        self.param_tree, arrays = flatten(params)
        paths = []
        for path, array in zip(self.param_tree.paths, arrays, strict=True):
            paths.append(_add(self, path, _make_variable(array, partitioning.get(path[-1]))))
        self.param_tree = replace(self.param_tree, paths=tuple(paths))

    def cell_params(self) -> Any:
        """Returns the params as the cell's `init` returns them, in the dtype in which they are stored."""
        return self._join()

    def _join(self) -> Any:
        # Not in `cell_params`: `nnx.tabulate` lists each public method that a call enters.
        return self.param_tree.join([_find(self, path).get_value() for path in self.param_tree.paths])

    def set_cell_params(self, params: Any) -> None:
        """Replaces the params by others of the same shapes, cast to the dtype in which they are stored.

        Raises:
            ValueError: the structure or a shape differs.
        """
        arrays = jax.tree.leaves(fit("params", params, self._join()))
        for path, array in zip(self.param_tree.paths, arrays, strict=True):
            _find(self, path).set_value(array)


class _Group(nnx.Module):
    """The arrays of nested params."""


def _add(module: nnx.Module, path: Path, variable: nnx.Variable[Any]) -> Path:
    """Adds a variable at a path; returns the path with underscores where names were taken."""
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
