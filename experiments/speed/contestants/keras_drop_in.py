"""Keras on the JAX backend with the layers of `recurrent.layers.keras` in place of Keras' own."""

from functools import partial

from experiments.speed.contestants.keras_sequential import KerasSequential

PACKAGE = "recurrent-jax"
make = partial(KerasSequential, backend="jax", layers="recurrent.layers.keras")
