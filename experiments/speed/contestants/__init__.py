"""The contestants, one per module, each with `PACKAGE`, whose version is reported, and `make(task, weights)`.

A module may have `start()`, which sets its library up in a process of its own and returns the settings in words.
"""

import importlib.util
from dataclasses import dataclass
from typing import Literal, get_args

from experiments.speed.devices import Engine
from experiments.speed.task import Task

__all__ = [
    "BACKENDS",
    "CONTESTANTS",
    "NAMES",
    "OF_SUITES",
    "OURS",
    "Description",
    "LeftOut",
    "Name",
    "missing",
    "unfit",
]

Name = Literal[
    "ours",
    "cuda",
    "native",
    "fused",
    "plain",
    "own_loop",
    "keras_drop_in",
    "linen_drop_in",
    "pytorch",
    "pytorch_packed",
    "linen",
    "keras_jax",
    "keras_tensorflow",
]
NAMES: tuple[Name, ...] = get_args(Name)
BACKENDS = ("cuda", "native", "fused", "plain")
"""Contestants that are `ours` on the backend of their name."""
OF_SUITES = ("own_loop", "keras_drop_in", "linen_drop_in")
"""Contestants that take part in the suites that name them alone."""
OURS = ("ours", *BACKENDS, *OF_SUITES)
"""Contestants of this library; ratios are to the fastest of the others, the peers."""


class LeftOut(Exception):
    """What `make` raises if its contestant can't take part here, such as on a backend that is not built."""


@dataclass(frozen=True)
class Description:
    """A contestant as reports show it."""

    label: str
    engine: Engine
    package: str | None = None
    """The package it needs besides this project; None if another Python runs it."""


CONTESTANTS: dict[str, Description] = {
    "ours": Description("recurrent", "jax"),
    "cuda": Description("recurrent, cuda", "jax"),
    "native": Description("recurrent, native", "jax"),
    "fused": Description("recurrent, fused", "jax"),
    "plain": Description("recurrent, plain scan", "jax"),
    "own_loop": Description("recurrent, own loop", "jax"),
    "keras_drop_in": Description("recurrent, Keras layer", "jax", "keras"),
    "linen_drop_in": Description("recurrent, linen RNN", "jax", "flax"),
    "pytorch": Description("PyTorch", "torch", "torch"),
    "pytorch_packed": Description("PyTorch, packed", "torch", "torch"),
    "linen": Description("Flax linen", "jax", "flax"),
    "keras_jax": Description("Keras on JAX", "jax", "keras"),
    "keras_tensorflow": Description("Keras on TensorFlow", "tensorflow"),
}


def missing(name: str) -> str | None:
    """Returns a message about the package that a contestant lacks; None if it lacks none."""
    package = CONTESTANTS[name].package
    if package is None or importlib.util.find_spec(package) is not None:
        return None
    return f"the package {package} is not installed; run pip install 'recurrent-jax[peers]'"


def unfit(name: str, task: Task) -> str | None:
    """Returns why a contestant can't run a task; None if it can."""
    if name == "pytorch_packed" and task.padding == "keras":
        return "packing skips padding, and here padding is input"
    return None
