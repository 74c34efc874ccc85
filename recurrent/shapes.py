"""Axis names of the library, and array types with a name of their own.

Axes: `time` (steps of a sequence), `batch`, `input` (features of a step), `hidden` (units of a cell), `gates` (the
units of all gates in the order of the cell's `GATES`), `output`, `vocab`. A cell computes one example at one step, so
its arrays have neither `batch` nor `time`: `vmap` adds the first and `scan_cell` the second.
"""

from jaxtyping import Array, Bool, Float, Key, PyTree

__all__ = ["Cut", "Mask", "Output", "RandomKey", "Step"]

RandomKey = Key[Array, ""]
"""A typed key, from `jax.random.key`."""

Step = Float[Array, "input"]
"""The input of one step."""

Mask = Bool[Array, "time"]
"""One bool per step of a sequence."""

Output = Float[Array, "output"]
"""The output of one step."""

Cut = PyTree[Float[Array, "..."]]
"""The results of a cell's `project` and `recur`, which `update` takes."""
