"""Opens the folders of many runs that are trained in one program, and starts or resumes each."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.imdb.reviews.dataset import Dataset
from experiments.imdb.runs.start import start_run
from experiments.imdb.training.model import former_path
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.train_many import Cohort, prepare_many
from recurrent.training import RunDirectory, TrainState

__all__ = ["OpenCohort", "open_cohort"]


class OpenCohort(NamedTuple):
    """The runs of a cohort, under their locks."""

    cohort: Cohort
    runs: Sequence[RunDirectory]
    states: Sequence[TrainState]
    warnings: Sequence[str]


@contextlib.contextmanager
def open_cohort(
    recipes: Sequence[Recipe],
    paths: Sequence[Path],
    data: Dataset,
    environment: dict[str, Any],
    data_dir: Path,
    should_stop: Callable[[], Any],
) -> Iterator[OpenCohort]:
    """Takes the locks of all folders, and yields the runs in them, new or resumed.

    Args:
        recipes: with all settings decided, one a run.
        paths: of their folders.
        data: their reviews.
        environment: of `start.environment`.
        data_dir: where the reviews were prepared.
        should_stop: asked within evaluations.

    Raises:
        ValueError: the recipes need different programs, or a folder holds another run.
        RuntimeError: another process has one of the folders open.
        OSError: a folder can't be made or written.
    """
    cohort = prepare_many(recipes, data, should_stop)  # before anything is written: it refuses some recipes
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(RunDirectory(path)) for path in paths]
        warnings, states = [], []
        for run, recipe, start in zip(runs, recipes, cohort.starts, strict=True):
            of_start = start_run(run, recipe, data, environment, data_dir)
            resumed = run.resume(start, former_path)
            states.append(resumed.state)
            warnings += [f"{run.path.name}: {warning}" for warning in [*of_start, *resumed.notes]]
        yield OpenCohort(cohort, runs, states, warnings)
