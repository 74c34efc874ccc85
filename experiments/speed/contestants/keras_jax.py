"""Keras on the JAX backend."""

from functools import partial

from experiments.speed.contestants.keras_sequential import KerasSequential

PACKAGE = "keras"
make = partial(KerasSequential, backend="jax")
