"""Our library's fused backend: segments with a derivative of their own; on a CPU it skips idle rows."""

from functools import partial

from experiments.speed.contestants.ours import Ours

PACKAGE = "recurrent-jax"

make = partial(Ours, backend="fused")
