"""Flax linen: `nn.RNN` over its own cells, one jit-compiled step with Optax.

Its GRU has one bias where Keras' has two that learn side by side, so its losses leave the others' after the first step,
by about 1e-5 a step.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from experiments.speed.task import DECAY, EPSILON, LEARNING_RATE, Block, Task, Weights

PACKAGE = "flax"
_CELLS = {"simple_rnn": nn.SimpleCell, "lstm": nn.OptimizedLSTMCell, "gru": nn.GRUCell}


class _Classifier(nn.Module):
    task: Task

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        x = nn.Embed(self.task.vocabulary, self.task.width, name="embedding")(tokens)
        outputs: Any = nn.RNN(_CELLS[self.task.cell](self.task.width, name="cell"))(x)
        return nn.Dense(1, name="head")(outputs[:, -1])[:, 0]


class Linen:
    """Trains batch by batch."""

    def __init__(self, task: Task, weights: Weights) -> None:
        self.model = _Classifier(task)
        self.optimizer = optax.rmsprop(LEARNING_RATE, decay=DECAY, eps=EPSILON)
        self.params = {
            "embedding": {"embedding": jnp.asarray(weights.embedding)},
            "cell": jax.tree.map(jnp.asarray, _cell_params(task, weights)),
            "head": {"kernel": jnp.asarray(weights.head_kernel), "bias": jnp.asarray(weights.head_bias)},
        }
        self.optimizer_state = self.optimizer.init(self.params)
        self.step = jax.jit(self._step, donate_argnums=(0, 1))
        self.forward = jax.jit(lambda params, tokens: self.model.apply({"params": params}, tokens))

    def _step(self, params: Any, optimizer_state: Any, tokens: jax.Array, labels: jax.Array) -> Any:
        def loss(params: Any) -> jax.Array:
            logits = self.model.apply({"params": params}, tokens)
            return optax.sigmoid_binary_cross_entropy(logits, labels).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        updates, optimizer_state = self.optimizer.update(gradient, optimizer_state, params)
        return optax.apply_updates(params, updates), optimizer_state, value

    def train(self, block: Block) -> float:
        losses = []
        for tokens, labels in zip(*block, strict=True):
            self.params, self.optimizer_state, loss = self.step(self.params, self.optimizer_state, tokens, labels)
            losses.append(loss)
        return float(np.mean(jax.device_get(losses)))

    def predict(self, block: Block) -> np.ndarray:
        return np.asarray(self.forward(self.params, block.tokens[0]))


def _cell_params(task: Task, weights: Weights) -> dict[str, dict[str, np.ndarray]]:
    """Cuts Keras' joint kernels into linen's, one for each gate."""
    arrays = (weights.input_kernel, weights.recurrent_kernel, weights.bias)
    if task.cell == "simple_rnn":
        return {"i": {"kernel": arrays[0], "bias": arrays[2]}, "h": {"kernel": arrays[1]}}
    gates = {"lstm": "ifgo", "gru": "zrn"}[task.cell]
    params = {}
    for gate, x, h, bias in zip(gates, *(np.split(array, len(gates), axis=-1) for array in arrays), strict=True):
        params[f"i{gate}"], params[f"h{gate}"] = {"kernel": x}, {"kernel": h}
        if task.cell == "lstm":
            params[f"h{gate}"]["bias"] = bias
        elif gate == "n":  # like Keras, linen has two biases for the candidate, but one for each gate
            params["in"]["bias"], params["hn"]["bias"] = bias
        else:
            params[f"i{gate}"]["bias"] = bias.sum(axis=0)
    return params


make = Linen
