"""Verifies the checkpoints of a run, newest first, and changes nothing."""

from collections.abc import Iterator
from typing import NamedTuple

from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.checkpoints.hashes import Corrupt
from recurrent.training.checkpoints.seal import Seal

__all__ = ["Finding", "examine"]


class Finding(NamedTuple):
    """A checkpoint that was examined."""

    checkpoints: Checkpoints
    step: int
    problem: str | None  # None: intact
    seal: Seal | None  # None where there is a problem
    is_unfinished: bool = False  # whether its save was interrupted; a kill leaves at most one such step

    @property
    def state(self) -> str:
        """Returns intact, incomplete or corrupt."""
        if self.problem is None:
            return "intact"
        return "incomplete" if self.is_unfinished else "corrupt"

    @property
    def name(self) -> str:
        """Returns its name in messages: latest/942."""
        return f"{self.checkpoints.folder.name}/{self.step}"


def examine(latest: Checkpoints, best: Checkpoints) -> Iterator[Finding]:
    """Yields the checkpoints, newest first. Each is read completely, but only when it is asked for."""
    both = [(step, checkpoints) for checkpoints in (latest, best) for step in checkpoints.steps()]
    for step, checkpoints in sorted(both, key=lambda each: each[0], reverse=True):
        yield _examine_step(checkpoints, step)


def _examine_step(checkpoints: Checkpoints, step: int) -> Finding:
    try:
        return Finding(checkpoints, step, None, checkpoints.check(step))
    except Corrupt as error:
        is_unfinished = not checkpoints.seal_path(step).exists()
        return Finding(checkpoints, step, str(error), None, is_unfinished)
