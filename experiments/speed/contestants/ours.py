"""Our library: the same program that `scripts/imdb train` runs."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

import recurrent
from experiments.imdb.reviews.examples import Examples
from experiments.imdb.training.model import make_forward
from experiments.imdb.training.objective import make_objective
from experiments.imdb.training.optimizer import make_optimizer
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.shards import usual_shards
from experiments.speed.contestants import LeftOut
from experiments.speed.task import DECAY, EPSILON, LEARNING_RATE, Block, Task, Weights
from recurrent.backends import BACKENDS
from recurrent.call.call import make_call
from recurrent.training import init_state, make_mesh, make_predict, make_train_steps, replicate
from recurrent.training.order import Batches

PACKAGE = "recurrent-jax"


class Ours:
    """Trains on all batches of a turn in one dispatch."""

    def __init__(self, task: Task, weights: Weights, backend: str = "auto", num_shards: int | None = None) -> None:
        if reason := _why_not(task, backend):
            raise LeftOut(reason)
        self.task = task
        self.recipe = recipe = Recipe(
            cell=task.cell,
            vocabulary_size=task.vocabulary,
            embedding_size=task.width,
            hidden_size=task.width,
            sequence_length=task.time,
            batch_size=task.batch,
            learning_rate=LEARNING_RATE,
            decay=DECAY,
            epsilon=EPSILON,
            padding=task.padding,
            backend=cast(Any, backend),
        )
        num_accelerators = 0 if jax.default_backend() == "cpu" else 1
        self.num_shards = num_shards or usual_shards(recipe, num_accelerators)
        self.mesh = make_mesh(self.num_shards)
        optimizer, forward = make_optimizer(recipe, task.steps), make_forward(recipe)
        cell_params = recurrent.CELLS[task.cell].Params(*map(jnp.asarray, weights[1:4]))
        params = {
            "embedding": {"embedding": jnp.asarray(weights.embedding)},
            "recurrent": cell_params._asdict(),
            "head": {"kernel": jnp.asarray(weights.head_kernel), "bias": jnp.asarray(weights.head_bias)},
        }
        self.state = replicate(init_state(params, optimizer), self.mesh)
        self.steps = make_train_steps(make_objective(forward, recipe), optimizer, self.mesh)
        self.predictor = make_predict(forward, self.mesh, chunk_size=max(1, task.batch // self.num_shards))
        self.key = replicate(jax.random.key(0), self.mesh)

    def train(self, block: Block) -> float:
        return self.take_steps(self.arguments(block))

    def take_steps(self, arguments: tuple[Any, ...]) -> float:
        self.state = self.steps(self.state, *arguments)
        return float(self.state.sums.loss) / float(self.state.sums.weight)

    def arguments(self, block: Block) -> tuple[Any, ...]:
        shape = (self.task.steps, self.num_shards, self.task.batch // self.num_shards)
        rows = np.arange(self.task.steps * self.task.batch, dtype=np.int32).reshape(shape)
        batches = Batches(rows, np.ones(shape, np.float32))
        examples = Examples(block.tokens.reshape(-1, self.task.time), block.labels.reshape(-1))
        return examples, batches, self.key, np.int32(self.task.steps)

    def predict(self, block: Block) -> np.ndarray:
        return self.predictor(self.state.params, block.tokens[0])


def _why_not(task: Task, backend: str) -> str | None:
    """Returns why a backend can't run the cell here; None if it can, and for auto."""
    if backend == "auto":
        return None
    if backend not in BACKENDS:
        return f"this version has no backend {backend!r}"
    cell = recurrent.CELLS[task.cell]
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), task.width, task.width))
    inputs = jax.ShapeDtypeStruct((task.batch, task.time, task.width), jnp.float32)
    return BACKENDS[backend].why_not(make_call(cell, params, inputs))


make = Ours
