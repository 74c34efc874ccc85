"""Our library's plain backend: `lax.scan` with JAX's own derivatives; it computes all padding."""

from functools import partial

from experiments.speed.contestants.ours import Ours

PACKAGE = "recurrent-jax"

make = partial(Ours, backend="plain")
