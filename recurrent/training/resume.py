"""Where a resume goes on: read off a run directory without changing it, so that it can be told before it is done.

The newest checkpoint that is whole is chosen. Newer ones that are not are moved aside, never deleted; records are cut
back to the chosen step, and mended from what its manifest remembers of them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from recurrent.training.checkpoint import Checkpoints
from recurrent.training.manifest import Damaged, Manifest
from recurrent.training.records import Record, Timing, from_fields, salvage_lines

__all__ = ["Finding", "ResumePlan", "examine", "plan_resume"]


class Finding(NamedTuple):
    """A checkpoint that was looked into."""

    checkpoints: Checkpoints
    step: int
    problem: str | None  # None: whole
    manifest: Manifest | None

    @property
    def is_unfinished(self) -> bool:
        """Says whether its save never came to an end; a kill leaves at most one such step."""
        return not self.checkpoints.manifest_path(self.step).exists()

    @property
    def name(self) -> str:
        """Names it as people see it: latest/942."""
        return f"{self.checkpoints.folder.name}/{self.step}"


class ResumePlan(NamedTuple):
    """What a resume will do."""

    chosen: Finding | None  # None: start at step 0
    rejected: list[Finding]
    records: list[Record]  # to keep
    timings: list[Timing]
    repairs: list[str]  # what is wrong with the lines on disk, for people
    leftovers: list[Path]  # of killed saves

    def notes(self) -> list[str]:
        """Says what a person should know; nothing where all is well."""
        rejected = [f"checkpoint {each.name} is not whole: {each.problem}; moved aside" for each in self.rejected]
        if rejected:
            rejected.append(f"going on from {self.chosen.name if self.chosen else 'step 0'}")
        return rejected + self.repairs


def examine(latest: Checkpoints, best: Checkpoints) -> Iterator[Finding]:
    """Looks into the checkpoints, newest first; each is read whole, but only when it is asked for."""
    both = [(step, checkpoints) for checkpoints in (latest, best) for step in checkpoints.steps()]
    for step, checkpoints in sorted(both, key=lambda each: each[0], reverse=True):
        yield _look_into(checkpoints, step)


def _look_into(checkpoints: Checkpoints, step: int) -> Finding:
    try:
        return Finding(checkpoints, step, None, checkpoints.check(step))
    except Damaged as error:
        return Finding(checkpoints, step, str(error), None)


def plan_resume(path: Path, latest: Checkpoints, best: Checkpoints) -> ResumePlan:
    """Decides where a run goes on.

    Raises:
        ValueError: there was a run, and none of its checkpoints is whole. It never starts over in silence.
    """
    chosen, rejected = None, []
    for finding in examine(latest, best):
        if finding.problem is None:
            chosen = finding
            break
        rejected.append(finding)
    # The best one is looked into wherever it stands: it is read later, when nobody thinks of resuming.
    kept_best = [_look_into(best, step) for step in best.steps()]
    rejected += [finding for finding in kept_best if finding.problem is not None and finding not in rejected]
    records, record_problems = salvage_lines(path / "records.jsonl", Record)
    timings, _ = salvage_lines(path / "timings.jsonl", Timing)
    if chosen is None and (records or record_problems or not _is_first_save(rejected)):
        raise ValueError(_nothing_whole(path, rejected))
    kept, repairs = _mend(records, record_problems, chosen)
    epochs = {record.epoch for record in kept}
    # The last of doubles: a kill between a time and its record leaves a time that is then written again.
    times = {timing.epoch: timing for timing in timings if timing.epoch in epochs}
    leftovers = latest.leftovers() + best.leftovers()
    return ResumePlan(chosen, rejected, kept, list(times.values()), repairs, leftovers)


def _is_first_save(rejected: list[Finding]) -> bool:
    """Says whether there is at most a first save that a kill cut short, so that starting at step 0 loses nothing."""
    return not rejected or (len(rejected) == 1 and rejected[0].is_unfinished)


def _mend(records: list[Record], problems: list[str], chosen: Finding | None) -> tuple[list[Record], list[str]]:
    """Returns the records up to the chosen step, as its manifest remembers them, and says what was wrong with them."""
    remembered = _remembered(chosen.manifest) if chosen and chosen.manifest else []
    step = chosen.step if chosen else 0
    kept = list(remembered)
    for record in records:  # the epoch that ended with the chosen step is recorded after its save
        if record.epoch == len(kept) + 1 and record.step <= step:
            kept.append(record)
    repairs = [f"records.jsonl, {problem}; mended" for problem in problems]
    on_disk = [record for record in records if record.step <= step]
    if not problems and on_disk != kept:
        repairs.append("records.jsonl has lines that are missing, doubled or changed; mended from the checkpoint")
    later = len(records) - len(on_disk)
    if later:
        repairs.append(f"epochs recorded after step {step}, to be done again: {later}")
    return kept, repairs


def _remembered(manifest: Manifest) -> list[Record]:
    remembered: Any = manifest.about.get("records", [])
    return [from_fields(fields, Record) for fields in remembered]


def _nothing_whole(path: Path, rejected: list[Finding]) -> str:
    found = "; ".join(f"{each.name}: {each.problem}" for each in rejected) or "no checkpoint is there, but records are"
    return (
        f"{path} can't be resumed: none of its checkpoints is whole ({found}). Nothing was changed. "
        "Bring a whole one back, or use another folder to start anew."
    )
