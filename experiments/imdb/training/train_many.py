"""Trains recipes that differ in their seeds, or in numbers of their optimizer, in one program."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from experiments.imdb.reviews.dataset import Dataset
from experiments.imdb.training.optimizer import NUMBERS, make_average, make_optimizer, numbers_of
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.train import Training, plan_of, prepare, start_of
from recurrent.training import (
    CohortSteps,
    OfRun,
    RunDirectory,
    TrainState,
    fit_many,
    make_cohort_mesh,
    make_cohort_steps,
)

__all__ = ["Cohort", "prepare_many", "program_of", "train_many"]

_FREE = frozenset(("seed", "patience", "device"))


class Cohort(NamedTuple):
    """Recipes that are ready to train in one program."""

    recipes: Sequence[Recipe]
    training: Training  # of the first one
    starts: Sequence[TrainState]
    numbers: Sequence[dict[str, Any]]  # of the optimizers, where they differ
    steps: CohortSteps


def program_of(recipe: Recipe) -> dict[str, Any]:
    """Returns the fields that decide the program of a recipe: recipes of the same ones can be trained in one.

    Of the optimizer's numbers it counts whether they are set.
    """
    fields = dataclasses.asdict(recipe) | {name: bool(getattr(recipe, name)) for name in NUMBERS}
    return {name: value for name, value in fields.items() if name not in _FREE}


def prepare_many(
    recipes: Sequence[Recipe], data: Dataset, should_stop: Callable[[], Any] = lambda: False, is_traced: bool = False
) -> Cohort:
    """Returns recipes that are ready to train in one program; nothing is compiled yet.

    Args:
        recipes: with all settings decided; `program_of` is the same for all of them.
        data: their reviews.
        should_stop: as in `prepare`.
        is_traced: makes the optimizer's numbers values of the program also where they are equal, so that bits do not
            depend on which recipes are trained together.

    Raises:
        ValueError: the recipes need different programs.
    """
    first = recipes[0]
    if any(program_of(recipe) != program_of(first) for recipe in recipes):
        raise ValueError("The recipes differ in more than seeds and numbers of the optimizer; train them one by one.")
    training = prepare(first, data, should_stop)
    starts = [start_of(recipe, training.counts, training.steps_per_epoch) for recipe in recipes]
    numbers = [numbers_of(recipe) for recipe in recipes]
    optimizer: Any = training.optimizer
    if not is_traced and all(each == numbers[0] for each in numbers):
        numbers = []
    else:
        optimizer = lambda traced: make_optimizer(first, training.steps_per_epoch, traced)  # noqa: E731
    steps = make_cohort_steps(
        training.objective,
        optimizer,
        make_cohort_mesh(len(recipes), first.num_shards or 1),
        skip_nonfinite=first.nonfinite == "skip",
        average=make_average(first, training.steps_per_epoch),
    )
    return Cohort(recipes, training, starts, numbers, steps)


def train_many(
    cohort: Cohort,
    states: Sequence[TrainState],
    runs: Sequence[RunDirectory],
    save_every: int,
    should_stop: Callable[[], Any],
) -> Iterator[OfRun]:
    """Trains from some states to the end of each recipe; yields progress and epochs."""
    plans = [plan_of(recipe, save_every) for recipe in cohort.recipes]
    trainer = cohort.training.trainer
    return fit_many(cohort.steps, trainer, states, plans, runs, cohort.numbers, should_stop)
