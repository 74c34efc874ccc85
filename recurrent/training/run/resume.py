"""Plans a resume: reads a run directory without changing it, so that the plan can be shown before it is carried out.

The newest intact checkpoint is chosen. Corrupt ones are quarantined, never deleted. Records are cut back to the chosen
step, and restored from its seal.
"""

from pathlib import Path
from typing import NamedTuple

from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.checkpoints.hashes import Corrupt
from recurrent.training.run.examine import Finding, examine
from recurrent.training.run.lines import salvage_lines
from recurrent.training.run.manifest import read_manifest
from recurrent.training.run.records import Goal, Record, Timing
from recurrent.training.run.records import best as best_record
from recurrent.training.run.restored_records import restore_records

__all__ = ["ResumePlan", "plan_resume"]


class ResumePlan(NamedTuple):
    """What a resume will do."""

    chosen: Finding | None  # None: start at step 0
    rejected: list[Finding]
    records: list[Record]  # to keep
    timings: list[Timing]
    repairs: list[str]  # for people: what is wrong with the lines on disk, and what can't be restored
    leftovers: list[Path]  # of killed saves
    num_later: int  # epochs recorded after the chosen step, which are trained again

    def notes(self) -> list[str]:
        """Returns what a person should know; nothing if all is in order."""
        rejected = [f"checkpoint {each.name} is {each.state}: {each.problem}; quarantined" for each in self.rejected]
        if rejected:
            rejected.append(f"continuing from {self.place}")
        later = [f"epochs recorded after {self.place}, trained again: {self.num_later}"] if self.num_later else []
        return rejected + self.repairs + later

    @property
    def place(self) -> str:
        """Returns the name of the checkpoint from which the run continues, or "step 0"."""
        return self.chosen.name if self.chosen else "step 0"


def plan_resume(path: Path, latest: Checkpoints, best: Checkpoints) -> ResumePlan:
    """Decides from where a run continues.

    Raises:
        ValueError: there was a run, and none of its checkpoints is intact. A run never silently starts over.
    """
    findings = list(examine(latest, best))
    chosen = next((finding for finding in findings if finding.problem is None), None)
    rejected = [finding for finding in findings if finding.problem is not None]
    records, record_problems = salvage_lines(path / "records.jsonl", Record)
    timings, time_problems = salvage_lines(path / "timings.jsonl", Timing)
    was_saved = bool(records or record_problems or timings or time_problems) or _was_saved(path)
    if chosen is None and (was_saved or not _is_first_save(rejected)):
        raise ValueError(_nothing_intact(path, rejected))
    kept, repairs = restore_records(records, record_problems, chosen)
    repairs += [f"timings.jsonl, {problem}" for problem in time_problems]
    repairs += _lost_best(kept, _goal(chosen), latest, best, rejected)
    epochs = {record.epoch for record in kept}
    # The last of duplicates: after a kill between a time and its record, the time is written again.
    times = {timing.epoch: timing for timing in timings if timing.epoch in epochs}
    leftovers = latest.leftovers() + best.leftovers()
    num_later = sum(record.step > (chosen.step if chosen else 0) for record in records)
    return ResumePlan(chosen, rejected, kept, list(times.values()), repairs, leftovers, num_later)


def _lost_best(
    records: list[Record], goal: Goal, latest: Checkpoints, best: Checkpoints, rejected: list[Finding]
) -> list[str]:
    """Reports a best epoch whose checkpoint is in neither folder. If it is in one, the training loop restores it."""
    leader = best_record(records, goal)
    bad = {(finding.checkpoints.folder, finding.step) for finding in rejected}
    places = [each for each in (best, latest) if leader and leader.step in each.sealed_steps()]
    if leader is None or any((each.folder, leader.step) not in bad for each in places):
        return []
    return [f"the checkpoint of the best epoch, {leader.epoch}, is lost; training from the start would make it again"]


def _goal(chosen: Finding | None) -> Goal:
    """Returns the goal in the identity of a checkpoint; where it holds none, that of earlier revisions."""
    identity = chosen.seal.about.get("identity", {}) if chosen and chosen.seal else {}
    return Goal(**identity["plan"]["goal"]) if "plan" in identity else Goal("acc", "highest")


def _was_saved(path: Path) -> bool:
    try:
        return read_manifest(path / "manifest.json").is_saved
    except (FileNotFoundError, Corrupt):
        return False


def _is_first_save(rejected: list[Finding]) -> bool:
    """Says whether there is at most an interrupted first save, so that starting at step 0 loses nothing."""
    return not rejected or (len(rejected) == 1 and rejected[0].is_unfinished)


def _nothing_intact(path: Path, rejected: list[Finding]) -> str:
    found = "; ".join(f"{each.name}: {each.problem}" for each in rejected) or "there were some, and none is left"
    return (
        f"{path} can't be resumed: none of its checkpoints is intact ({found}). Nothing was changed. "
        "Restore an intact one from a backup, or use another folder to start a new run."
    )
