"""Keras on the JAX backend: a compiled `Sequential`, `train_on_batch` and `predict_on_batch`."""

import os

import numpy as np

from experiments.speed.task import DECAY, EPSILON, LEARNING_RATE, Block, Task, Weights

PACKAGE = "keras"


class KerasJax:
    """Trains batch by batch."""

    def __init__(self, task: Task, weights: Weights) -> None:
        os.environ["KERAS_BACKEND"] = "jax"
        import keras

        cells = {"simple_rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
        self.model = keras.Sequential(
            [
                keras.layers.Input((task.time,), dtype="int32"),
                keras.layers.Embedding(task.vocabulary, task.width),
                cells[task.cell](task.width),
                keras.layers.Dense(1),
            ]
        )
        self.model.compile(
            optimizer=keras.optimizers.RMSprop(LEARNING_RATE, rho=DECAY, epsilon=EPSILON),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
        )
        self.model.set_weights(list(weights))

    def train(self, block: Block) -> float:
        losses = []
        for tokens, labels in zip(*block, strict=True):
            self.model.reset_metrics()  # or the loss would be a running mean
            losses.append(self.model.train_on_batch(tokens, labels[:, None]))
        return float(np.mean(losses))

    def predict(self, block: Block) -> np.ndarray:
        return np.asarray(self.model.predict_on_batch(block.tokens[0]))[:, 0]


make = KerasJax
