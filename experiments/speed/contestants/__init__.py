"""The contestants, a module each with `PACKAGE`, whose version is reported, and `make(task, weights)`."""

from dataclasses import dataclass
from typing import Literal, get_args

from experiments.speed.devices import Engine
from experiments.speed.task import Task

__all__ = ["CONTESTANTS", "NAMES", "OURS", "Description", "Name", "unfit"]

Name = Literal["ours", "plain", "pytorch", "pytorch_packed", "linen", "keras_jax", "keras_tensorflow"]
NAMES: tuple[Name, ...] = get_args(Name)
OURS = ("ours", "plain")
"""Those that are no peers: ratios are to the fastest of the others."""


@dataclass(frozen=True)
class Description:
    """A contestant as reports show it."""

    label: str
    engine: Engine


CONTESTANTS: dict[str, Description] = {
    "ours": Description("recurrent", "jax"),
    "plain": Description("recurrent, plain scan", "jax"),
    "pytorch": Description("PyTorch", "torch"),
    "pytorch_packed": Description("PyTorch, packed", "torch"),
    "linen": Description("Flax linen", "jax"),
    "keras_jax": Description("Keras on JAX", "jax"),
    "keras_tensorflow": Description("Keras on TensorFlow", "tensorflow"),
}


def unfit(name: str, task: Task) -> str | None:
    """Says why a contestant cannot do a task, or nothing where it can."""
    if name == "pytorch_packed" and task.padding == "keras":
        return "packing leaves padding out, and here it is read like words"
    return None
