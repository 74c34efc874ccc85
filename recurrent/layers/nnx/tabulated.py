"""A layer's results in a form that `nnx.tabulate` can print.

Flax (up to at least 0.12.12) cannot print a NamedTuple inside a tuple, such as outputs and states. `nnx.tabulate` marks
the modules of the copy that it runs; marked layers return a tuple with the same items, whose arrays have one name each.
"""

from typing import Any

import jax
from flax import nnx

__all__ = ["tabulated"]

MARK = "_nnx_tabulate_id"


def tabulated(layer: nnx.Module, results: tuple[Any, ...]) -> Any:
    """Returns the results unchanged, or, if `nnx.tabulate` runs the layer, as a tuple that it can print."""
    return _Flat(results) if hasattr(layer, MARK) else results


@jax.tree_util.register_pytree_with_keys_class
class _Flat(tuple):
    """A tuple that is a flat pytree: its arrays are on one level, with names such as `1/hidden`."""

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], Any]:
        """Returns the arrays with their names, and the structure of the tuple."""
        leaves, treedef = jax.tree_util.tree_flatten_with_path(tuple(self))
        names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
        return [(jax.tree_util.DictKey(name), leaf) for name, (_, leaf) in zip(names, leaves, strict=True)], treedef

    @classmethod
    def tree_unflatten(cls, treedef: Any, arrays: Any) -> "_Flat":
        """Returns the tuple made of `arrays`."""
        return cls(jax.tree.unflatten(treedef, arrays))
