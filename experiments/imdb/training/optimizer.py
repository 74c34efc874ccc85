"""The recipe's optimizer, from Optax, with its schedule, clipping and averages of the weights."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import optax

from experiments.imdb.training.recipes import Recipe
from recurrent.cells.profiles import PROFILES
from recurrent.training import exponential_average, uniform_average
from recurrent.training.average import Average

__all__ = ["NUMBERS", "make_average", "make_optimizer", "make_schedule", "numbers_of"]

NUMBERS = ("learning_rate", "decay", "epsilon", "momentum", "weight_decay", "clip_norm")
"""Fields of a recipe that are numbers of its optimizer: recipes that differ in them can share a compiled program."""

_NONE: MappingProxyType[str, Any] = MappingProxyType({})


def numbers_of(recipe: Recipe) -> dict[str, np.ndarray]:
    """Returns the numbers of a recipe's optimizer that are set, in the dtype of its weights."""
    dtype = np.float64 if recipe.dtype == "float64" else np.float32
    values = {name: getattr(recipe, name) for name in NUMBERS}
    return {name: np.asarray(value, dtype) for name, value in values.items() if value}


def make_optimizer(
    recipe: Recipe, steps_per_epoch: int, numbers: Mapping[str, Any] = _NONE
) -> optax.GradientTransformation:
    """Returns the optimizer. RMSprop's steps equal Keras' exactly with the default epsilon and no schedule.

    Args:
        recipe: the recipe.
        steps_per_epoch: for its schedule.
        numbers: in place of the recipe's own, such as values that are traced; see `numbers_of`.
    """
    number = {name: getattr(recipe, name) for name in NUMBERS} | dict(numbers)
    rate = make_schedule(recipe, steps_per_epoch, number["learning_rate"])
    in_root = PROFILES[recipe.like].rmsprop.is_epsilon_in_root
    epsilon, weight_decay = number["epsilon"], number["weight_decay"]
    optimizer = {
        "rmsprop": lambda: optax.rmsprop(rate, decay=number["decay"], eps=epsilon, eps_in_sqrt=in_root),
        "adam": lambda: optax.adam(rate, eps=epsilon),
        "adamw": lambda: optax.adamw(rate, eps=epsilon, weight_decay=weight_decay),
        "sgd": lambda: optax.sgd(rate, momentum=number["momentum"] if recipe.momentum else None),
        "lion": lambda: optax.lion(rate, weight_decay=weight_decay),
    }[recipe.optimizer]()
    if recipe.pair_rate != 1:
        optimizer = optax.chain(optimizer, optax.masked(optax.scale(recipe.pair_rate), _are_pairs))
    if recipe.clip_norm is None:
        return optimizer
    return optax.chain(optax.clip_by_global_norm(number["clip_norm"]), optimizer)


def _are_pairs(params: Any) -> dict[str, bool]:
    """Says which of the model's params are the table of pairs."""
    return {name: name == "pairs" for name in params}


def make_average(recipe: Recipe, steps_per_epoch: int) -> Average | None:
    """Returns the average of the weights; None where the recipe has none."""
    if recipe.ema_decay is not None:
        return exponential_average(recipe.ema_decay)
    if recipe.swa_epochs is not None:
        return uniform_average((recipe.epochs - recipe.swa_epochs) * steps_per_epoch)
    return None


def make_schedule(recipe: Recipe, steps_per_epoch: int, rate: Any = None) -> float | optax.Schedule:
    """Returns the learning rate, or a schedule: a function of the step.

    Args:
        recipe: the recipe.
        steps_per_epoch: for its length.
        rate: its maximum; by default the recipe's learning rate.

    Raises:
        ValueError: the warm-up is longer than the run.
    """
    after_warmup = recipe.epochs * steps_per_epoch - recipe.warmup_steps
    if after_warmup <= 0:
        raise ValueError(
            f"warmup_steps ({recipe.warmup_steps}) must be below {recipe.epochs * steps_per_epoch}, the run's steps: "
            "take fewer (--warmup-steps 0) or train longer."
        )
    rate = recipe.learning_rate if rate is None else rate
    if recipe.schedule == "constant" and not recipe.warmup_steps:
        return rate
    falling = {
        "constant": optax.constant_schedule(rate),
        "cosine": optax.cosine_decay_schedule(rate, after_warmup),
        "linear": optax.linear_schedule(rate, 0.0, after_warmup),
    }[recipe.schedule]
    rising = optax.linear_schedule(0.0, rate, max(recipe.warmup_steps, 1))
    return optax.join_schedules([rising, falling], [recipe.warmup_steps])
