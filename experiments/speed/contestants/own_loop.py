"""Our library as its pages advise it: `run_final` and Optax in one `jax.jit`, without anything from `training`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import recurrent
from experiments.speed.task import DECAY, EPSILON, LEARNING_RATE, PADDING_ID, Block, Task, Weights

PACKAGE = "recurrent-jax"


class OwnLoop:
    """Trains batch by batch."""

    def __init__(self, task: Task, weights: Weights) -> None:
        self.task = task
        self.cell: Any = recurrent.CELLS[task.cell]
        self.optimizer = optax.rmsprop(LEARNING_RATE, decay=DECAY, eps=EPSILON)
        arrays = jax.tree.map(jnp.asarray, weights)
        self.params = {
            "embedding": arrays.embedding,
            "cell": self.cell.Params(*arrays[1:4]),
            "head": (arrays.head_kernel, arrays.head_bias),
        }
        self.optimizer_state = self.optimizer.init(self.params)
        self.step = jax.jit(self._step, donate_argnums=(0, 1))
        self.forward = jax.jit(self._logits)

    def _logits(self, params: Any, tokens: jax.Array) -> jax.Array:
        is_token = tokens != PADDING_ID if self.task.padding == "masked" else None
        table = params["embedding"]
        final = recurrent.run_final(
            self.cell, params["cell"], tokens, is_token=is_token, make_inputs=lambda token: table[token]
        )
        kernel, bias = params["head"]
        return (final.hidden @ kernel + bias)[:, 0]

    def _step(self, params: Any, optimizer_state: Any, tokens: jax.Array, labels: jax.Array) -> Any:
        def loss(params: Any) -> jax.Array:
            return optax.sigmoid_binary_cross_entropy(self._logits(params, tokens), labels).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        updates, optimizer_state = self.optimizer.update(gradient, optimizer_state, params)
        return optax.apply_updates(params, updates), optimizer_state, value

    def train(self, block: Block) -> float:
        losses = []
        for tokens, labels in zip(block.tokens, block.labels, strict=True):
            self.params, self.optimizer_state, loss = self.step(self.params, self.optimizer_state, tokens, labels)
            losses.append(loss)
        return float(np.mean(jax.device_get(losses)))

    def predict(self, block: Block) -> np.ndarray:
        return np.asarray(self.forward(self.params, block.tokens[0]))


make = OwnLoop
