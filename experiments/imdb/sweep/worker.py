"""One process of a sweep: takes settings that nobody trains, some at a time in one program, until none is left."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.imdb.reviews.dataset import Dataset
from experiments.imdb.runs.cohort import open_cohort
from experiments.imdb.runs.start import fit_to_data, num_accelerators, settle
from experiments.imdb.sweep.ledger import Ledger, Setting
from experiments.imdb.sweep.plan import SweepPlan, agree, agree_on_data
from experiments.imdb.sweep.samplers import next_values
from experiments.imdb.sweep.space import with_values
from experiments.imdb.training.model import choose_backend
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.train import GOAL
from experiments.imdb.training.train_many import Cohort, prepare_many, program_of, train_many
from recurrent.training import EpochEnd, RunDirectory, best

__all__ = ["Step", "Worker"]


_OF_DATA = frozenset(("vocabulary_size", "sequence_length", "validation_share", "bigrams"))
"""Fields that decide which reviews are loaded, and how."""


class _RefusedError(ValueError):
    """Settings that no run can be trained with."""


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
        self._plan, self._ledger, self._num_settings, self._together = plan, Ledger(folder), num_settings, together
        self._load, self._data_dir, self._save_every, self._should_stop = load, data_dir, save_every, should_stop

    def work(self) -> Iterator[Step]:
        """Trains until no setting is left that nobody trains, and yields what it does.

        Raises:
            ValueError: the folder holds another sweep, or its ledger is corrupt.
            OSError: something can't be written; what was finished stays.
        """
        while not self._should_stop():
            with contextlib.ExitStack() as locks:
                claimed = self._claim(locks)
                if not claimed:
                    return
                yield from self._train(claimed)

    def _claim(self, locks: contextlib.ExitStack) -> list[Setting]:
        """Takes open settings that nobody trains, then new ones, as long as they share a program."""
        most, claimed = max(1, self._together // len(self._plan.seeds)), list[Setting]()

        def take(setting: Setting) -> bool:
            if claimed and program_of(self._recipe(setting)) != program_of(self._recipe(claimed[0])):
                return False
            if (lock := self._ledger.claim(setting.number)) is not None:
                locks.callback(lock.release)
                claimed.append(setting)
            return lock is not None

        with self._ledger.held():
            agree(self._plan, self._ledger.folder)
            known = self._ledger.settings()
            for setting in [each for each in known if each.is_open]:
                if len(claimed) < most:
                    take(setting)
            while len(claimed) < most and (setting := self._next(known)) is not None:
                known.append(setting)
                if setting.is_open and not take(setting):
                    break  # it needs another program, and waits for the next round
            return claimed

    def _next(self, known: Sequence[Setting]) -> Setting | None:
        """Adds a new setting to the ledger; one that no recipe has is finished at once, as a failure."""
        if len(known) >= self._num_settings:
            return None
        plan = self._plan
        values = next_values(plan.sampler, plan.space, plan.sampler_seed, [each.tried() for each in known])
        if values is None:
            return None
        try:
            with_values(plan.recipe, values)
        except ValueError as error:
            return self._ledger.add(values, failure=str(error))
        return self._ledger.add(values)

    def _recipe(self, setting: Setting) -> Recipe:
        return with_values(self._plan.recipe, setting.values)

    def _train(self, claimed: Sequence[Setting]) -> Iterator[Step]:
        """Trains settings in one program, and writes down what comes of each."""
        seeds = self._plan.seeds
        places = [(setting, seed) for setting in claimed for seed in seeds]
        paths = [self._ledger.place(setting.number) / f"seed{seed}" for setting, seed in places]
        recipes = [dataclasses.replace(self._recipe(setting), seed=seed) for setting, seed in places]
        failures: dict[int, str] = {}
        try:
            data, cohort = self._prepare(recipes, paths)
        except _RefusedError as error:
            failures = dict.fromkeys(range(len(claimed)), str(error))
        else:
            for done in self._follow(cohort, paths, data, failures):
                yield Step(claimed, done, sum(recipe.epochs for recipe in recipes))
            if self._should_stop():
                return
        finished = [
            self._outcome(setting, paths[number * len(seeds) :][: len(seeds)], failures.get(number))
            for number, setting in enumerate(claimed)
        ]
        with self._ledger.held():
            for setting in finished:
                self._ledger.finish(setting)
        yield Step(finished, 0, 0, finished=True)

    def _prepare(self, recipes: Sequence[Recipe], paths: Sequence[Path]) -> tuple[Dataset, Cohort]:
        """Loads the reviews, and makes the program; nothing is written.

        Raises:
            _RefusedError: no run of these settings can be trained.
        """
        first = recipes[0]
        try:
            data = self._load(first)
        except ValueError as error:
            if _OF_DATA & self._plan.space.keys():
                raise _RefusedError(str(error)) from error
            raise
        with self._ledger.held():
            agree_on_data(self._ledger.folder, first.validation_share, data.fingerprint)
        settled = [
            fit_to_data(settle(recipe, path, num_accelerators()), data)
            for recipe, path in zip(recipes, paths, strict=True)
        ]
        try:
            choose_backend(settled[0])
            # Traced, so that a run's bits do not depend on which settings this process could claim.
            return data, prepare_many(settled, data, self._should_stop, is_traced=True)
        except ValueError as error:
            raise _RefusedError(str(error)) from error

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
