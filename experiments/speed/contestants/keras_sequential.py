"""Keras on any backend: a compiled `Sequential`, `train_on_batch` and `predict_on_batch`.

With padding masked, the embedding has `mask_zero=True`.
"""

import importlib
import os
from typing import Any

import numpy as np

from experiments.speed.task import DECAY, EPSILON, LEARNING_RATE, Block, Task, Weights

__all__ = ["KerasSequential"]


class KerasSequential:
    """Trains batch by batch."""

    def __init__(self, task: Task, weights: Weights, backend: str, layers: str = "keras.layers") -> None:
        os.environ["KERAS_BACKEND"] = backend
        import keras

        if keras.backend.backend() != backend:
            raise ValueError(f"Keras runs on {keras.backend.backend()} in this process already, not on {backend}.")
        package = importlib.import_module(layers)
        cells = {"simple_rnn": package.SimpleRNN, "lstm": package.LSTM, "gru": package.GRU}
        self.model = keras.Sequential(
            [
                keras.layers.Input((task.time,), dtype="int32"),
                keras.layers.Embedding(task.vocabulary, task.width, mask_zero=task.padding == "masked"),
                cells[task.cell](task.width),
                keras.layers.Dense(1),
            ]
        )
        self.model.compile(
            optimizer=self.optimizer_class(keras)(LEARNING_RATE, rho=DECAY, epsilon=EPSILON),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
        )
        self.model.set_weights(list(weights))

    def optimizer_class(self, keras: Any) -> Any:
        """Returns the optimizer's class, which a backend may need to correct."""
        return keras.optimizers.RMSprop

    def train(self, block: Block) -> float:
        losses = []
        for tokens, labels in zip(block.tokens, block.labels, strict=True):
            self.model.reset_metrics()  # else the loss would be a running mean
            losses.append(self.model.train_on_batch(tokens, labels[:, None]))
        return float(np.mean(losses))

    def predict(self, block: Block) -> np.ndarray:
        return np.asarray(self.model.predict_on_batch(block.tokens[0]))[:, 0]
