"""How a training state lies on a mesh of several axes: which arrays are split over the axes that are not the data's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from recurrent.training.mesh import AXIS, has_more_axes, split_over
from recurrent.training.state import TrainState

__all__ = ["WHOLE", "Layout"]

Tree = TypeVar("Tree")


@dataclass(frozen=True)
class Layout:
    """The shardings of a state. Without constraints, XLA would gather whole params for the loop over the steps."""

    structure: Any = None
    shardings: tuple[NamedSharding, ...] = ()

    @classmethod
    def of(cls, state: TrainState, mesh: Mesh) -> Self:
        """Returns how a state lies on a mesh; what is not split over it is whole on each device."""
        leaves, structure = jax.tree.flatten(state)
        if not has_more_axes(mesh) or any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            return cls()
        whole = NamedSharding(mesh, PartitionSpec())
        return cls(structure, tuple(split_over(leaf, mesh) or whole for leaf in leaves))

    @property
    def state(self) -> Any:
        """Returns a state of shardings; None where everything is whole."""
        return None if self.structure is None else jax.tree.unflatten(self.structure, self.shardings)

    def keep(self, state: TrainState) -> TrainState:
        """Returns a state within a step, each array split as it was."""
        return state if self.structure is None else _constrain(state, self.state)

    def keep_params(self, params: Tree) -> Tree:
        """Returns params split as the state's params; the gradient of the result is split so too."""
        return params if self.structure is None else _constrain(params, self.state.params)

    def by_hand(self, total: Callable[[Any], Any], own: tuple[Any, Any]) -> Any:
        """Calls `total` on the parts that a device has of the shards' gradients; XLA would gather them whole.

        Args:
            total: ((the shards' gradients, their sums)) -> both in total.
            own: the shards of this device.
        """
        if self.structure is None:
            return total(own)
        params = jax.tree.map(lambda sharding: sharding.spec, self.state.params)
        whole, of_shards = PartitionSpec(), jax.tree.map(lambda spec: PartitionSpec(None, *spec), params)
        others = set(self.shardings[0].mesh.axis_names) - {AXIS}
        specs = {"in_specs": ((of_shards, whole),), "out_specs": (params, whole)}
        return jax.shard_map(total, axis_names=others, check_vma=False, **specs)(own)


WHOLE = Layout()


def _constrain(tree: Tree, shardings: Any) -> Tree:
    return jax.tree.map(lambda leaf, own: jax.lax.with_sharding_constraint(leaf, own.spec), tree, shardings)
