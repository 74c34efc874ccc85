"""Some steps of all runs of a cohort at once, between which the host looks at each run."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import PartitionSpec

from recurrent.training.cohort.mesh import RUNS, row, stack
from recurrent.training.cohort.steps import CohortSteps, Runs
from recurrent.training.duties import Counters, Duties
from recurrent.training.events import Progress
from recurrent.training.feed import Served
from recurrent.training.mesh import AXIS
from recurrent.training.order import Batches
from recurrent.training.pace import Pace
from recurrent.training.streams import stream

__all__ = ["Dispatch", "or_error"]


class Dispatch:
    """Runs some steps of all runs at once. The states live here, stacked; a run's own is taken out where it is read."""

    def __init__(self, steps: CohortSteps, examples: Any, duties: Sequence[Duties], numbers: Sequence[Any]) -> None:
        """Puts the states on the devices; computes nothing.

        Args:
            steps: of the cohort.
            examples: those of arrays, on all devices; None where each run reads its own.
            duties: one a run.
            numbers: what the optimizers are made from.
        """
        self._steps, self._examples, self._duties = steps, examples, duties
        self._states = stack([each.state for each in duties], steps.mesh)
        self._keys = stack([stream(each.plan.seed, "noise", each.run.streams) for each in duties], steps.mesh)
        self._numbers = stack(list(numbers), steps.mesh)
        self._size = len(self._keys)
        self._pace = Pace()
        self._is_compiled = False
        self._stacked: list[Batches] = []
        self._batches: Any = None
        self._own_examples: Any = None  # of each run, where they are read

    def __call__(self, open_runs: Sequence[int]) -> list[tuple[int, Progress | FloatingPointError]]:
        """Returns the progress of each run, or its error."""
        served = self._serve(open_runs)
        counts = np.zeros(self._size, np.int32)
        if not self._is_compiled:
            self._take(counts)  # compiles before the clock runs
            self._is_compiled = True
        for index in open_runs:
            counts[index] = self._duties[index].count_steps(self._pace.steps, served[index].end)
        start = time.perf_counter()
        counters = self._take(counts)
        seconds = time.perf_counter() - start
        self._pace.note(int(counts.max()), seconds)
        ends = [each.step + int(count) for each, count in zip(self._duties, counts, strict=False)]
        for index in open_runs:
            duties = self._duties[index]
            duties.hold(partial(row, self._states, index), jax.tree.map(lambda leaf, at=index: leaf[at], counters))
            duties.pace.note(int(counts[index]), seconds * counts[index] / counts.sum())
        return [(index, or_error(partial(self._duties[index].end_dispatch, ends[index]))) for index in open_runs]

    def _serve(self, open_runs: Sequence[int]) -> dict[int, Served]:
        """Returns what the open runs read; their batches are stacked anew when one of them begins an epoch."""
        served = {index: self._serve_one(index, open_runs) for index in open_runs}
        filled = [served.get(index, served[open_runs[0]]) for index in range(len(self._duties))]
        batches = [each.batches for each in filled]
        if [id(each) for each in batches] != [id(each) for each in self._stacked]:
            self._batches = stack(batches, self._steps.mesh, PartitionSpec(RUNS, None, AXIS))
            self._stacked = batches
            if self._examples is None:
                examples = [each.examples for each in filled]
                self._own_examples = stack(examples, self._steps.mesh, PartitionSpec(RUNS, AXIS))
        return served

    def _serve_one(self, index: int, open_runs: Sequence[int]) -> Served:
        """Returns what a run reads.

        Raises:
            ValueError: its source does not go on; what all runs have trained is saved, or a note says why it is not.
            OSError: it can't be read; the same.
        """
        try:
            return self._duties[index].serve()
        except (ValueError, OSError) as error:
            for other in open_runs:
                if other != index:
                    self._duties[other].save_despite(error)
            raise

    def _take(self, counts: np.ndarray) -> Counters:
        runs = Runs(self._states, self._batches, self._keys, self._numbers, counts.copy(), self._own_examples)
        self._states = self._steps.take(runs, self._examples)
        return Counters.of(self._states)


def or_error(work: Callable[[], Any]) -> Any:
    """Returns what some work returns, or the error with which a run ends that is not finite."""
    try:
        return work()
    except FloatingPointError as error:
        return error
