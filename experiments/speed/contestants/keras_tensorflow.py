"""Keras on the TensorFlow backend; runs in a Python of its own (`--tensorflow-python`), which has TensorFlow.

Its gradient of an embedding is sparse, and Keras' RMSprop then squares the gradients of a word's occurrences one by one
instead of their sum: other losses from the second step on. Made dense, the losses agree; it is no slower so.
"""

import importlib
from functools import partial
from typing import Any

from experiments.speed.contestants.keras_sequential import KerasSequential

PACKAGE = "keras"


class KerasTensorFlow(KerasSequential):
    """Trains batch by batch, with dense gradients."""

    def optimizer_class(self, keras: Any) -> Any:
        tensorflow: Any = importlib.import_module("tensorflow")

        class DenseRMSprop(keras.optimizers.RMSprop):
            def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
                dense = [tensorflow.convert_to_tensor(gradient) for gradient in grads]
                return super().apply(dense, trainable_variables)

        return DenseRMSprop


make = partial(KerasTensorFlow, backend="tensorflow")
