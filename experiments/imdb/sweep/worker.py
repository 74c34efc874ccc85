"""One process of a sweep: takes settings that nobody trains, some at a time in one program, until none is left."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.imdb.reviews.dataset import Dataset
from experiments.imdb.runs.cohort import open_cohort
from experiments.imdb.runs.start import environment_of, fit_to_data, num_accelerators, settle
from experiments.imdb.sweep.ledger import Ledger, Setting
from experiments.imdb.sweep.plan import SweepPlan, agree
from experiments.imdb.sweep.samplers import next_values
from experiments.imdb.sweep.space import with_values
from experiments.imdb.training.model import choose_backend
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.train import GOAL
from experiments.imdb.training.train_many import program_of, train_many
from recurrent.training import EpochEnd, RunDirectory, best

__all__ = ["Step", "Worker"]


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
        setting = self._ledger.add(values)
        try:
            self._recipe(setting)
        except ValueError as error:
            setting = setting._replace(failure=str(error))
            self._ledger.finish(setting)
        return setting

    def _recipe(self, setting: Setting) -> Recipe:
        return with_values(self._plan.recipe, setting.values)

    def _train(self, claimed: Sequence[Setting]) -> Iterator[Step]:
        """Trains settings in one program, and writes down what comes of each."""
        seeds = self._plan.seeds
        places = [(setting, seed) for setting in claimed for seed in seeds]
        paths = [self._ledger.place(setting.number) / f"seed{seed}" for setting, seed in places]
        recipes = [dataclasses.replace(self._recipe(setting), seed=seed) for setting, seed in places]
        data = self._load(recipes[0])
        recipes = [
            fit_to_data(settle(recipe, path, num_accelerators()), data)
            for recipe, path in zip(recipes, paths, strict=True)
        ]
        failures: dict[int, str] = {}
        for done in self._follow(recipes, paths, data, failures):
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

    def _follow(
        self, recipes: Sequence[Recipe], paths: Sequence[Path], data: Dataset, failures: dict[int, str]
    ) -> Iterator[int]:
        """Yields how many epochs are done; notes the failures by the place of their setting among those claimed."""
        environment = environment_of(recipes[0], choose_backend(recipes[0]).name)
        with open_cohort(recipes, paths, data, environment, self._data_dir, self._should_stop) as opened:
            done = sum(len(run.records()) for run in opened.runs)
            events = train_many(opened.cohort, opened.states, opened.runs, self._save_every, self._should_stop)
            for number, event in events:
                if isinstance(event, FloatingPointError):
                    failures.setdefault(number // len(self._plan.seeds), f"seed {recipes[number].seed}: {event}")
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
