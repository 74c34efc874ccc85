"""Keras on the TensorFlow backend, in a Python of its own that has TensorFlow (`--tensorflow-python`).

TensorFlow's gradient of an embedding is sparse, and Keras' RMSprop then squares the gradients of a word's occurrences
one by one, not their sum: other losses from the second step on. With dense gradients the losses agree, at the same
speed.
"""

import importlib
import os
from functools import partial
from typing import Any

from experiments.machine import num_cores
from experiments.speed.contestants.keras_sequential import KerasSequential

PACKAGE = "keras"


def start() -> str:
    """Sets the numbers of threads; TensorFlow flushes denormals by itself."""
    os.environ["KERAS_BACKEND"] = "tensorflow"  # TensorFlow imports Keras
    threading: Any = importlib.import_module("tensorflow").config.threading
    threading.set_intra_op_parallelism_threads(num_cores())
    threading.set_inter_op_parallelism_threads(1)
    return f"{num_cores()} threads in an operation, 1 between operations, denormals flushed"


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
