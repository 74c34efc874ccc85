"""Trains a recipe: combines data, model, optimizer and run directory."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import optax
from jaxtyping import Float, Int, Shaped

from experiments.imdb.reviews.dataset import Dataset
from experiments.imdb.reviews.examples import Examples
from experiments.imdb.reviews.own.classes import class_weights
from experiments.imdb.reviews.stored import StoredTokens
from experiments.imdb.training import class_metrics
from experiments.imdb.training import metrics as two_class_metrics
from experiments.imdb.training.model import init_params, make_forward
from experiments.imdb.training.naive_bayes import Counts, count_rows, own_counts, with_ratios
from experiments.imdb.training.objective import make_objective
from experiments.imdb.training.optimizer import make_average, make_optimizer
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.vocabulary import PADDING_ID
from recurrent.training import (
    EpochEnd,
    ExampleReader,
    Goal,
    Plan,
    Progress,
    RunDirectory,
    Trainer,
    TrainState,
    fit,
    init_state,
    make_mesh,
    make_predict,
    make_train_steps,
    replicate,
)
from recurrent.training.batch_loss import Objective
from recurrent.training.order import num_batches

__all__ = ["GOAL", "Training", "evaluation", "make_start", "plan_of", "prepare", "start_of", "state_of", "train"]

GOAL = Goal("acc", "highest")
"""The best epoch is the one of the highest validation accuracy."""


class Training(NamedTuple):
    """A recipe that is ready to train."""

    trainer: Trainer
    objective: Objective
    optimizer: optax.GradientTransformation
    start: TrainState
    steps_per_epoch: int
    counts: Counts | None  # of naive Bayes' ratios


def prepare(recipe: Recipe, data: Dataset, should_stop: Callable[[], Any] = lambda: False) -> Training:
    """Returns a recipe that is ready to train; nothing is compiled yet.

    Args:
        recipe: with all settings decided.
        data: its reviews.
        should_stop: asked within evaluations, which then raise `Stopped`.
    """
    steps_per_epoch = num_batches(len(data.train.labels), recipe.batch_size)
    optimizer = make_optimizer(recipe, steps_per_epoch)
    mesh = make_mesh(recipe.num_shards or 1)
    pairs = data.vocabulary.pairs
    predict = make_predict(make_forward(recipe, pairs), mesh, should_stop=should_stop)

    def evaluate(params: Any) -> dict[str, float]:
        return evaluation(recipe, predict(params, data.validation.tokens), data.validation.labels)

    weights = None
    if recipe.class_weights != "none":
        weights = class_weights(data.train.labels, data.classes, recipe.class_weights)
    counts = count_rows(recipe, data.train, data.vocabulary) if recipe.naive_bayes else None
    own = own_counts(recipe, counts) if recipe.leave_one_out and counts is not None else None
    objective = make_objective(make_forward(recipe, pairs, own), recipe, weights)
    steps = make_train_steps(
        objective,
        optimizer,
        mesh,
        skip_nonfinite=recipe.nonfinite == "skip",
        average=make_average(recipe, steps_per_epoch),
    )
    sizes = _num_tokens(data.train.tokens) if recipe.batching == "by_length" else None
    return Training(
        trainer=Trainer(steps, _examples(data.train), evaluate, mesh, sizes),
        objective=objective,
        optimizer=optimizer,
        start=replicate(start_of(recipe, counts, steps_per_epoch), mesh),
        steps_per_epoch=steps_per_epoch,
        counts=counts,
    )


def _num_tokens(tokens: Any) -> Int[np.ndarray, "examples"]:
    return tokens.num_tokens if isinstance(tokens, StoredTokens) else np.sum(tokens != PADDING_ID, axis=1)


def _examples(train: Examples) -> Examples | ExampleReader:
    """Returns the arrays, or a reader of those that lie on disk."""
    tokens: Any = train.tokens
    if not isinstance(tokens, StoredTokens):
        return train
    return ExampleReader(lambda rows: Examples(tokens[rows], train.labels[rows]), len(tokens))


def evaluation(
    recipe: Recipe, logits: Float[np.ndarray, "examples *classes"], labels: Shaped[np.ndarray, "examples"]
) -> dict[str, float]:
    """Returns the numbers of an evaluation by name: `loss`, in nats, and `acc`."""
    metrics = class_metrics if recipe.num_classes > 2 else two_class_metrics
    return {"loss": metrics.cross_entropy(logits, labels), "acc": metrics.accuracy(logits, labels)}


def start_of(recipe: Recipe, counts: Counts | None, steps_per_epoch: int) -> TrainState:
    """Returns the state before the first step of a recipe, whose initial weights may depend on counts of the data."""
    if counts is None:
        return make_start(recipe, steps_per_epoch)
    return state_of(with_ratios(init_params(recipe), recipe, counts), recipe, steps_per_epoch)


def make_start(recipe: Recipe, steps_per_epoch: int = 1_000_000) -> TrainState:
    """Returns a state before the first step; its structure does not depend on the number of steps.

    It is where training starts, unless the initial weights depend on the data.
    """
    return state_of(init_params(recipe), recipe, steps_per_epoch)


def state_of(params: Any, recipe: Recipe, steps_per_epoch: int) -> TrainState:
    """Returns the state before the first step from given weights."""
    has_average = make_average(recipe, steps_per_epoch) is not None
    return init_state(params, make_optimizer(recipe, steps_per_epoch), has_average=has_average)


def train(
    training: Training,
    state: TrainState,
    recipe: Recipe,
    run: RunDirectory,
    save_every: int,
    should_stop: Callable[[], Any],
) -> Iterator[Progress | EpochEnd]:
    """Trains from a state to the end of the recipe; yields progress and epochs."""
    return fit(training.trainer, state, plan_of(recipe, save_every), run, should_stop)


def plan_of(recipe: Recipe, save_every: int) -> Plan:
    """Returns the plan of a recipe."""
    return Plan(
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        num_shards=recipe.num_shards or 1,
        save_every=save_every,
        patience=recipe.patience,
        goal=GOAL,
    )
