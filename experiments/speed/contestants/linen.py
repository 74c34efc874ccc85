"""Flax linen: `nn.RNN` over its own cells, one jit-compiled step with Optax.

With padding masked, padding is behind the words, and the output after the last word is used. This gives the same
numbers as the carries of `nn.RNN` with `seq_lengths`, and is faster.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from experiments.speed.task import DECAY, EPSILON, LEARNING_RATE, Block, Task, Weights, cell_params
from recurrent import interop

PACKAGE = "flax"
_CELLS = {"simple_rnn": nn.SimpleCell, "lstm": nn.OptimizedLSTMCell, "gru": nn.GRUCell}


class _Classifier(nn.Module):
    task: Task
    rnn: Any

    @nn.compact
    def __call__(self, tokens: jax.Array, lengths: jax.Array) -> jax.Array:
        x = nn.Embed(self.task.vocabulary, self.task.width, name="embedding")(tokens)
        outputs: Any = self.rnn(_CELLS[self.task.cell](self.task.width, name="cell"))(x)
        if self.task.padding == "keras":
            last = outputs[:, -1]
        else:
            last = jnp.take_along_axis(outputs, lengths[:, None, None] - 1, axis=1)[:, 0]
        return nn.Dense(1, name="head")(last)[:, 0]


class Linen:
    """Trains batch by batch."""

    def __init__(self, task: Task, weights: Weights, rnn: Any = nn.RNN) -> None:
        self.task = task
        self.model = _Classifier(task, rnn)
        self.optimizer = optax.chain(optax.rmsprop(LEARNING_RATE, decay=DECAY, eps=EPSILON), _as_two_biases(task))
        self.params = {
            "embedding": {"embedding": jnp.asarray(weights.embedding)},
            "cell": jax.tree.map(jnp.asarray, interop.linen.params_to(cell_params(task, weights))),
            "head": {"kernel": jnp.asarray(weights.head_kernel), "bias": jnp.asarray(weights.head_bias)},
        }
        self.optimizer_state = self.optimizer.init(self.params)
        self.step = jax.jit(self._step, donate_argnums=(0, 1))
        self.forward = jax.jit(lambda params, *inputs: self.model.apply({"params": params}, *inputs))

    def _step(self, params: Any, optimizer_state: Any, inputs: Any, labels: jax.Array) -> Any:
        def loss(params: Any) -> jax.Array:
            logits = self.model.apply({"params": params}, *inputs)
            return optax.sigmoid_binary_cross_entropy(logits, labels).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        updates, optimizer_state = self.optimizer.update(gradient, optimizer_state, params)
        return optax.apply_updates(params, updates), optimizer_state, value

    def train(self, block: Block) -> float:
        losses = []
        for step, labels in enumerate(block.labels):
            inputs = self._inputs(block, step)
            self.params, self.optimizer_state, loss = self.step(self.params, self.optimizer_state, inputs, labels)
            losses.append(loss)
        return float(np.mean(jax.device_get(losses)))

    def predict(self, block: Block) -> np.ndarray:
        return np.asarray(self.forward(self.params, *self._inputs(block, 0)))

    def _inputs(self, block: Block, step: int) -> tuple[np.ndarray, np.ndarray]:
        tokens = block.tokens if self.task.padding == "keras" else block.words_first
        return tokens[step], block.lengths[step]


def _as_two_biases(task: Task) -> optax.GradientTransformation:
    """Doubles the updates of a GRU's gate biases: linen has one bias where the others have two that both learn."""
    if task.cell != "gru":
        return optax.identity()

    def double(updates: Any, params: Any = None) -> Any:
        cell = updates["cell"]
        gates = {name: cell[name] | {"bias": 2 * cell[name]["bias"]} for name in ("iz", "ir")}
        return updates | {"cell": cell | gates}

    return optax.stateless(double)


make = Linen
