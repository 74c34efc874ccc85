"""The recipe's optimizer, from Optax, with its schedule, clipping and averages of the weights."""

import optax

from experiments.imdb.training.recipes import Recipe
from recurrent.cells.profiles import PROFILES
from recurrent.training import exponential_average, uniform_average
from recurrent.training.average import Average

__all__ = ["make_average", "make_optimizer", "make_schedule"]


def make_optimizer(recipe: Recipe, steps_per_epoch: int) -> optax.GradientTransformation:
    """Returns the optimizer. RMSprop's steps equal Keras' exactly with the default epsilon and no schedule."""
    rate, in_root = make_schedule(recipe, steps_per_epoch), PROFILES[recipe.like].rmsprop.is_epsilon_in_root
    optimizer = {
        "rmsprop": lambda: optax.rmsprop(rate, decay=recipe.decay, eps=recipe.epsilon, eps_in_sqrt=in_root),
        "adam": lambda: optax.adam(rate, eps=recipe.epsilon),
        "adamw": lambda: optax.adamw(rate, eps=recipe.epsilon, weight_decay=recipe.weight_decay),
        "sgd": lambda: optax.sgd(rate, momentum=recipe.momentum or None),
        "lion": lambda: optax.lion(rate, weight_decay=recipe.weight_decay),
    }[recipe.optimizer]()
    if recipe.clip_norm is None:
        return optimizer
    return optax.chain(optax.clip_by_global_norm(recipe.clip_norm), optimizer)


def make_average(recipe: Recipe, steps_per_epoch: int) -> Average | None:
    """Returns the average of the weights; None where the recipe has none."""
    if recipe.ema_decay is not None:
        return exponential_average(recipe.ema_decay)
    if recipe.swa_epochs is not None:
        return uniform_average((recipe.epochs - recipe.swa_epochs) * steps_per_epoch)
    return None


def make_schedule(recipe: Recipe, steps_per_epoch: int) -> float | optax.Schedule:
    """Returns the learning rate, or a schedule: a function of the step.

    Raises:
        ValueError: the warm-up is longer than the run.
    """
    after_warmup = recipe.epochs * steps_per_epoch - recipe.warmup_steps
    if after_warmup <= 0:
        raise ValueError(
            f"warmup_steps ({recipe.warmup_steps}) must be below {recipe.epochs * steps_per_epoch}, the run's steps: "
            "take fewer (--warmup-steps 0) or train longer."
        )
    if recipe.schedule == "constant" and not recipe.warmup_steps:
        return recipe.learning_rate
    falling = {
        "constant": optax.constant_schedule(recipe.learning_rate),
        "cosine": optax.cosine_decay_schedule(recipe.learning_rate, after_warmup),
        "linear": optax.linear_schedule(recipe.learning_rate, 0.0, after_warmup),
    }[recipe.schedule]
    rising = optax.linear_schedule(0.0, recipe.learning_rate, max(recipe.warmup_steps, 1))
    return optax.join_schedules([rising, falling], [recipe.warmup_steps])
