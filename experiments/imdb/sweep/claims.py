"""Which settings of a sweep a process trains next: those that nobody trains, as long as they share a program."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.imdb.runs.soak import newest_step
from experiments.imdb.sweep.ledger import Ledger, Setting
from experiments.imdb.sweep.plan import SweepPlan, agree
from experiments.imdb.sweep.samplers import next_values
from experiments.imdb.sweep.space import with_values
from experiments.imdb.sweep.starts import Starts
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.train_many import program_of

__all__ = ["Claimed", "Claims"]


class Claimed(NamedTuple):
    """What a process got.

    Attributes:
        settings: to train, whose locks it holds.
        given_up: settings that have failed, since they ended every process that began to train them.
    """

    settings: list[Setting]
    given_up: list[Setting]


class Claims:
    """Takes settings of a sweep, and adds new ones.

    Args:
        plan: the sweep.
        ledger: its ledger.
        num_settings: how many settings are tried in all.
        most: settings that are trained together.
    """

    def __init__(self, plan: SweepPlan, ledger: Ledger, num_settings: int, most: int) -> None:
        """Stores the arguments."""
        self._plan, self._ledger, self._num_settings, self._most = plan, ledger, num_settings, most
        self._room = most  # settings that may still be taken in this round

    def take(self, locks: contextlib.ExitStack) -> Claimed:
        """Takes open settings that nobody trains, then new ones, as long as they share a program.

        One that an earlier process began and did not end is trained alone: if memory runs out again, the others live.

        Args:
            locks: gets the locks of the settings, and what ends their starts.
        """
        found, self._room = Claimed([], []), self._most
        with self._ledger.held():
            agree(self._plan, self._ledger.folder)
            known = self._ledger.settings()
            for setting in [each for each in known if each.is_open]:
                self._take(setting, found, locks)
            while self._room and (new := self._next(known)) is not None:
                known.append(new)
                if new.is_open and not self._take(new, found, locks):
                    break  # it needs another program, and waits for the next round
        return found

    def _take(self, setting: Setting, found: Claimed, locks: contextlib.ExitStack) -> bool:
        """Takes a setting if nobody trains it and it fits to those that are taken already."""
        first = next(iter(found.settings), setting)
        if not self._room or program_of(self.recipe(setting)) != program_of(self.recipe(first)):
            return False
        with contextlib.ExitStack() as own:
            if (lock := self._ledger.claim(setting.number)) is None:
                return False
            own.callback(lock.release)
            starts = Starts(self._ledger.place(setting.number), sum(map(newest_step, self.paths(setting))))
            if starts.failure is not None:
                self._give_up(setting._replace(failure=starts.failure), starts, found)
                return True
            if starts.count and found.settings:
                return False
            own.enter_context(starts)
            locks.push(own.pop_all())
        found.settings.append(setting)
        self._room = 0 if starts.count else self._room - 1
        return True

    def _give_up(self, failed: Setting, starts: Starts, found: Claimed) -> None:
        self._ledger.finish(failed)
        starts.forget()
        found.given_up.append(failed)

    def recipe(self, setting: Setting) -> Recipe:
        """Returns the recipe of a setting."""
        return with_values(self._plan.recipe, setting.values)

    def paths(self, setting: Setting) -> list[Path]:
        """Returns the folders of a setting's runs, one a seed."""
        return [self._ledger.place(setting.number) / f"seed{seed}" for seed in self._plan.seeds]

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
