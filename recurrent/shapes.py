"""The library's vocabulary of shapes: the axis names used everywhere, and the arrays that have a name of their own.

Axes: `time` (steps of a sequence), `batch`, `input` (features of a step), `hidden` (units of a cell), `gates` (the
units of all gates, side by side in the order of the cell's `GATES`), `output`, `vocab`. A cell sees one example at one
step, so its arrays have neither `batch` nor `time`; both are added from outside.
"""

from jaxtyping import Array, Bool, Float, Key, PyTree

__all__ = ["Cut", "Inputs", "Mask", "Output", "Outputs", "RandomKey", "Step"]

RandomKey = Key[Array, ""]
"""A typed key, as `jax.random.key` makes it."""

Step = Float[Array, "input"]
"""The input of one step."""

Inputs = Float[Array, "time input"]
"""The inputs of one sequence."""

Mask = Bool[Array, "time"]
"""One truth value for each step of a sequence."""

Output = Float[Array, "output"]
"""The output of one step."""

Outputs = Float[Array, "time output"]
"""The outputs of one sequence."""

Cut = PyTree[Float[Array, "..."]]
"""What a cell hands from `project` or `recur` to `update`."""
