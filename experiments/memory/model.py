"""The model: a cell, and a linear head on its hidden state at the steps that need a prediction."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import recurrent
from experiments.memory.contestants import Contestant
from experiments.memory.tasks import Examples, Task
from recurrent.cells.initializers import glorot_uniform
from recurrent.shapes import RandomKey

__all__ = ["Params", "init_params", "last_loss", "loss", "read"]


class Params(NamedTuple):
    """Trainable arrays."""

    cell: Any
    kernel: Float[Array, "hidden output"]
    bias: Float[Array, "output"]


def init_params(key: RandomKey, contestant: Contestant, task: Task, width: int) -> Params:
    """Returns initial params, with Keras' initializers; with chrono initialization for the task's lag if asked for."""
    cell_key, head_key = jax.random.split(key)
    options: dict[str, Any] = {"chrono_steps": task.lag} if contestant.is_chrono else {}
    return Params(
        cell=recurrent.CELLS[contestant.cell].init(cell_key, task.INPUT_SIZE, width, **options),
        kernel=glorot_uniform(head_key, (width, task.OUTPUT_SIZE)),
        bias=jnp.zeros(task.OUTPUT_SIZE),
    )


def read(params: Params, hidden: Float[Array, "*steps hidden"]) -> Float[Array, "*steps output"]:
    """Returns the head's predictions from hidden states."""
    answers = hidden @ params.kernel
    return answers + jnp.broadcast_to(params.bias, answers.shape)


def loss(cell: Any, params: Params, task: Task, examples: Examples) -> Float[Array, ""]:
    """Returns the task's loss over all predictions of a batch."""
    if task.num_answers == 1:
        return last_loss(params, task, recurrent.run_final(cell, params.cell, examples.inputs).hidden, examples)
    outputs, _ = recurrent.run(cell, params.cell, examples.inputs)
    return task.loss(read(params, outputs[..., -task.num_answers :, :]), examples.targets)


def last_loss(
    params: Params, task: Task, hidden: Float[Array, "*batch hidden"], examples: Examples
) -> Float[Array, ""]:
    """Returns the loss of the last prediction alone, from the last hidden state."""
    return task.loss(read(params, hidden)[..., None, :], examples.targets[..., -1:])
