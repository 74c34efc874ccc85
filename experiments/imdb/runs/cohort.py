"""Opens the folders of many runs that are trained in one program, and starts or resumes each."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.imdb.reviews.dataset import Dataset
from experiments.imdb.runs.start import environment_of, start_run
from experiments.imdb.training.model import former_path
from experiments.imdb.training.train_many import Cohort
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
    cohort: Cohort, paths: Sequence[Path], data: Dataset, backend: str, data_dir: Path
) -> Iterator[OpenCohort]:
    """Takes the locks of all folders, and yields the runs in them, new or resumed.

    Args:
        cohort: of `prepare_many`.
        paths: of the runs' folders.
        data: their reviews.
        backend: the name of the recurrence's implementation.
        data_dir: where the reviews were prepared.

    Raises:
        ValueError: a folder holds another run.
        RuntimeError: another process has one of the folders open.
        OSError: a folder can't be made or written.
    """
    first, is_vmapped = cohort.recipes[0], cohort.steps.is_vmapped
    environment = environment_of(first, backend, is_traced=bool(cohort.numbers), is_vmapped=is_vmapped)
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(RunDirectory(path)) for path in paths]
        warnings, states = [], []
        for run, recipe, start in zip(runs, cohort.recipes, cohort.starts, strict=True):
            of_start = start_run(run, recipe, data, environment, data_dir)
            resumed = run.resume(start, former_path)
            states.append(resumed.state)
            warnings += [f"{run.path.name}: {warning}" for warning in [*of_start, *resumed.notes]]
        yield OpenCohort(cohort, runs, states, warnings)
