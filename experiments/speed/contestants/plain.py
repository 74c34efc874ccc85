"""Our own program with the recurrence computed plainly: `lax.scan` and JAX' derivatives, nothing left out."""

from functools import partial

from experiments.speed.contestants.ours import Ours

PACKAGE = "recurrent-jax"

make = partial(Ours, backend="plain")
