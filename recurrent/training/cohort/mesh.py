"""The devices of a cohort, and the arrays of its runs, stacked along a first axis that the devices share."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from recurrent.call.arguments import integer
from recurrent.training.mesh import AXIS

__all__ = ["RUNS", "make_cohort_mesh", "row", "stack"]

RUNS = "runs"


def make_cohort_mesh(num_runs: int, num_shards: int, devices: Sequence[Any] | None = None) -> Mesh:
    """Returns a mesh for a cohort: its devices share the runs first, and then the shards of each run's batches.

    Args:
        num_runs: of the cohort, at least 1.
        num_shards: parts that a batch is cut into, at least 1; as in `make_mesh`.
        devices: to choose from; all local devices by default.

    Raises:
        ValueError: a number is not an integer of at least 1.

    >>> from recurrent.training import make_cohort_mesh
    >>> make_cohort_mesh(num_runs=1, num_shards=1).axis_names
    ('runs', 'data')
    """
    num_runs, num_shards = integer("num_runs", num_runs, 1), integer("num_shards", num_shards, 1)
    found = list(devices or jax.local_devices())
    over_runs = min(num_runs, len(found))
    over_shards = max(count for count in range(1, len(found) // over_runs + 1) if num_shards % count == 0)
    chosen = np.array(found[: over_runs * over_shards]).reshape(over_runs, over_shards)
    return Mesh(chosen, (RUNS, AXIS), axis_types=(AxisType.Auto, AxisType.Auto))


def stack(trees: Sequence[Any], mesh: Mesh, spec: PartitionSpec | None = None) -> Any:
    """Returns a tree of arrays `[runs, ...]` on the devices of a cohort.

    The runs are filled up with the first one to a multiple of the devices that share them.

    Args:
        trees: one a run, of the same structure, shapes and dtypes.
        mesh: of `make_cohort_mesh`.
        spec: how the devices share the arrays; by default they share the runs.
    """
    missing = -len(trees) % mesh.shape[RUNS]
    sharding = NamedSharding(mesh, PartitionSpec(RUNS) if spec is None else spec)

    def stacked(*leaves: Any) -> Array:
        if any(jnp.issubdtype(getattr(leaf, "dtype", float), jax.dtypes.prng_key) for leaf in leaves):
            return jax.device_put(jnp.stack(leaves), sharding)
        return jax.device_put(np.stack(jax.device_get(leaves)), sharding)

    return jax.tree.map(stacked, *trees, *[trees[0]] * missing)


def row(tree: Any, index: int) -> Any:
    """Returns the arrays of one run, each on a device that holds them."""

    def of_leaf(leaf: Array) -> Array:
        for shard in leaf.addressable_shards:
            first = shard.index[0].start or 0
            if first <= index < first + len(shard.data):
                return shard.data[index - first]
        raise IndexError(f"There is no run {index}.")

    return jax.tree.map(of_leaf, tree)
