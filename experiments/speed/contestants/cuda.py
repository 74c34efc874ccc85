"""Our library's cuda backend: all steps in one launch, on an NVIDIA GPU where it is built."""

from functools import partial

from experiments.speed.contestants.ours import Ours

PACKAGE = "recurrent-jax"

make = partial(Ours, backend="cuda")
