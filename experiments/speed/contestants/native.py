"""Our library's native backend: compiled C++ loops, where they are built."""

from functools import partial

from experiments.speed.contestants.ours import Ours

PACKAGE = "recurrent-jax"

make = partial(Ours, backend="native")
