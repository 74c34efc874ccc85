"""One process of a sweep: takes settings that nobody trains, some at a time in one program, until none is left."""

import contextlib
import dataclasses
import gc
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.imdb.reviews.dataset import Dataset
from experiments.imdb.reviews.own.shards import CorruptShardError
from experiments.imdb.runs.cohort import open_cohort
from experiments.imdb.runs.start import fit_to_data, num_accelerators, settle
from experiments.imdb.sweep.claims import Claims
from experiments.imdb.sweep.ledger import Ledger, Setting
from experiments.imdb.sweep.plan import SweepPlan, agree_on_data
from experiments.imdb.sweep.starts import DataError
from experiments.imdb.training.backend import choose_backend
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.train import GOAL
from experiments.imdb.training.train_many import Cohort, prepare_many, train_many
from experiments.machine import is_out_of_memory
from recurrent.training import EpochEnd, RunDirectory, best

__all__ = ["Step", "Worker"]


_OF_DATA = frozenset(("vocabulary_size", "sequence_length", "validation_share", "bigrams", "trigrams"))
"""Fields that decide which reviews are loaded, and how."""


class _FailedError(Exception):
    """Settings that can't be trained, together or alone."""


class Step(NamedTuple):
    """Something that a worker did.

    Attributes:
        settings: those that are being trained, or that are finished now.
        done: epochs of them that are done.
        total: all their epochs.
        finished: whether they are finished.
    """

    settings: Sequence[Setting]
    done: int
    total: int
    finished: bool = False


class Worker:
    """Takes part in a sweep.

    Args:
        plan: the sweep.
        folder: the sweep's; other processes may work on it at the same time.
        num_settings: how many settings are tried in all.
        together: runs that are trained in one program, at most; a setting's seeds are never apart.
        load: recipe -> its reviews.
        data_dir: where they were prepared.
        save_every: steps between checkpoints.
        should_stop: asked between dispatches and within evaluations.
    """

    def __init__(
        self,
        plan: SweepPlan,
        folder: Path,
        num_settings: int,
        together: int,
        load: Callable[[Recipe], Dataset],
        data_dir: Path,
        save_every: int,
        should_stop: Callable[[], Any],
    ) -> None:
        """Stores the arguments; nothing is touched."""
        self._plan, self._ledger = plan, Ledger(folder)
        self._claims = Claims(plan, self._ledger, num_settings, max(1, together // len(plan.seeds)))
        self._load, self._data_dir, self._save_every, self._should_stop = load, data_dir, save_every, should_stop

    def work(self) -> Iterator[Step]:
        """Trains until no setting is left that nobody trains, and yields what it does.

        A setting that is refused, or for which memory runs out, fails with the reason, and the others go on.

        Raises:
            ValueError: the folder holds another sweep, or its ledger is corrupt.
            OSError: something can't be written; what was finished stays.
        """
        while not self._should_stop():
            with contextlib.ExitStack() as locks:
                claimed = self._claims.take(locks)
                if claimed.given_up:
                    yield Step(claimed.given_up, 0, 0, finished=True)
                elif not claimed.settings:
                    return
                if claimed.settings:
                    yield from self._train(claimed.settings)

    def _train(self, claimed: Sequence[Setting]) -> Iterator[Step]:
        """Trains settings in one program, or each alone where that fails, and writes down what comes of each."""
        failure, finished = None, list[Setting]()
        try:
            finished = yield from self._train_together(claimed)
        except _FailedError as error:
            failure = str(error)  # the error itself would hold the arrays
        if failure is not None:
            gc.collect()
            if len(claimed) > 1:
                for setting in claimed:
                    if not self._should_stop():
                        yield from self._train([setting])
                return
            finished = [claimed[0]._replace(failure=failure)]
        if finished:
            with self._ledger.held():
                for setting in finished:
                    self._ledger.finish(setting)
            yield Step(finished, 0, 0, finished=True)

    def _train_together(self, claimed: Sequence[Setting]) -> Generator[Step, None, list[Setting]]:
        """Trains settings in one program; returns what comes of each, or nothing if it was stopped.

        Raises:
            _FailedError: they can't be trained, at least not together.
        """
        seeds = self._plan.seeds
        paths = [path for setting in claimed for path in self._claims.paths(setting)]
        recipes = [dataclasses.replace(self._claims.recipe(each), seed=seed) for each in claimed for seed in seeds]
        data = self._load_reviews(recipes[0])
        failures: dict[int, str] = {}
        with _as_failure():
            cohort = self._prepare(recipes, paths, data)
            for done in self._follow(cohort, paths, data, failures):
                yield Step(claimed, done, sum(recipe.epochs for recipe in recipes))
        if self._should_stop():
            return []
        return [
            self._outcome(setting, paths[number * len(seeds) :][: len(seeds)], failures.get(number))
            for number, setting in enumerate(claimed)
        ]

    def _load_reviews(self, recipe: Recipe) -> Dataset:
        """Loads the reviews.

        Raises:
            _FailedError: they can't be loaded for these settings.
            DataError: they can't be loaded for any, or have changed.
        """
        try:
            with _as_failure() if _OF_DATA & self._plan.space.keys() else contextlib.nullcontext():
                data = self._load(recipe)
            with self._ledger.held():
                agree_on_data(self._ledger.folder, recipe.validation_share, data.fingerprint)
        except ValueError as error:
            raise DataError(str(error)) from error
        return data

    def _prepare(self, recipes: Sequence[Recipe], paths: Sequence[Path], data: Dataset) -> Cohort:
        """Makes the program; nothing is written."""
        settled = [
            fit_to_data(settle(recipe, path, num_accelerators()), data)
            for recipe, path in zip(recipes, paths, strict=True)
        ]
        choose_backend(settled[0])
        # Traced, so that a run's bits do not depend on which settings this process could claim.
        return prepare_many(settled, data, self._should_stop, is_traced=True)

    def _follow(self, cohort: Cohort, paths: Sequence[Path], data: Dataset, failures: dict[int, str]) -> Iterator[int]:
        """Yields how many epochs are done; notes the failures by the place of their setting among those claimed."""
        recipes, num_seeds = cohort.recipes, len(self._plan.seeds)
        with open_cohort(cohort, paths, data, choose_backend(recipes[0]).name, self._data_dir) as opened:
            done = sum(len(run.records()) for run in opened.runs)
            events = train_many(cohort, opened.states, opened.runs, self._save_every, self._should_stop)
            for number, event in events:
                if isinstance(event, FloatingPointError):
                    failures.setdefault(number // num_seeds, f"seed {recipes[number].seed}: {event}")
                done += isinstance(event, EpochEnd)
                yield done

    def _outcome(self, setting: Setting, paths: Sequence[Path], failure: str | None) -> Setting:
        if failure is not None:
            return setting._replace(failure=failure)
        records = [RunDirectory(path).records() for path in paths]
        leaders = [best(of_run, GOAL) or of_run[-1] for of_run in records]
        metric = GOAL.metric
        return setting._replace(
            best=[leader.validation[metric] for leader in leaders],
            last=[of_run[-1].validation[metric] for of_run in records],
        )


@contextlib.contextmanager
def _as_failure() -> Iterator[None]:
    """Raises _FailedError where settings are refused, or memory runs out."""
    try:
        yield
    except CorruptShardError:  # it is no fault of the settings
        raise
    except (ValueError, FloatingPointError) as error:
        raise _FailedError(str(error)) from None
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not is_out_of_memory(error):
            raise
        raise _FailedError(f"out of memory ({' '.join(str(error).split())[:200]})") from None
