"""The recipe's optimizer, from Optax: Keras' RMSprop, optionally with warm-up, decay of the rate and clipping."""

import optax

from experiments.imdb.training.recipes import Recipe

__all__ = ["make_optimizer", "make_schedule"]


def make_optimizer(recipe: Recipe, steps_per_epoch: int) -> optax.GradientTransformation:
    """Returns the optimizer. With the default epsilon and no schedule, its steps equal Keras' exactly."""
    rmsprop = optax.rmsprop(make_schedule(recipe, steps_per_epoch), decay=recipe.decay, eps=recipe.epsilon)
    if recipe.clip_norm is None:
        return rmsprop
    return optax.chain(optax.clip_by_global_norm(recipe.clip_norm), rmsprop)


def make_schedule(recipe: Recipe, steps_per_epoch: int) -> float | optax.Schedule:
    """Returns the learning rate, or a schedule: a function of the step.

    Raises:
        ValueError: the warm-up is longer than the run.
    """
    after_warmup = recipe.epochs * steps_per_epoch - recipe.warmup_steps
    if after_warmup <= 0:
        raise ValueError(
            f"warmup_steps ({recipe.warmup_steps}) must be below {recipe.epochs * steps_per_epoch}, the run's steps."
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
