"""Where a resume goes on: read off a run directory without changing it, so that it can be told before it is done.

The newest checkpoint that is whole is chosen. Newer ones that are not are moved aside, never deleted; records are cut
back to the chosen step, and mended from what its manifest remembers of them.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.checkpoints.seal import Damaged, Manifest
from recurrent.training.run.manifest import read_description
from recurrent.training.run.records import Record, Timing, from_fields, salvage_lines
from recurrent.training.run.records import best as best_record

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
    repairs: list[str]  # what is wrong with the lines on disk, and what can't be had back, for people
    leftovers: list[Path]  # of killed saves
    num_later: int  # epochs recorded after the chosen step, which will be done again

    def notes(self) -> list[str]:
        """Says what a person should know; nothing where all is well."""
        rejected = [f"checkpoint {each.name} is not whole: {each.problem}; moved aside" for each in self.rejected]
        if rejected:
            rejected.append(f"going on from {self.place}")
        later = [f"epochs recorded after {self.place}, to be done again: {self.num_later}"] if self.num_later else []
        return rejected + self.repairs + later

    @property
    def place(self) -> str:
        """Names where the run goes on."""
        return self.chosen.name if self.chosen else "step 0"


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
    findings = list(examine(latest, best))
    chosen = next((finding for finding in findings if finding.problem is None), None)
    rejected = [finding for finding in findings if finding.problem is not None]
    records, record_problems = salvage_lines(path / "records.jsonl", Record)
    timings, time_problems = salvage_lines(path / "timings.jsonl", Timing)
    was_saved = bool(records or record_problems or timings or time_problems) or _was_saved(path)
    if chosen is None and (was_saved or not _is_first_save(rejected)):
        raise ValueError(_nothing_whole(path, rejected))
    kept, repairs = _mend(records, record_problems, chosen)
    repairs += [f"timings.jsonl, {problem}" for problem in time_problems]
    repairs += _lost_best(kept, latest, best, rejected)
    epochs = {record.epoch for record in kept}
    # The last of doubles: a kill between a time and its record leaves a time that is then written again.
    times = {timing.epoch: timing for timing in timings if timing.epoch in epochs}
    leftovers = latest.leftovers() + best.leftovers()
    num_later = sum(record.step > (chosen.step if chosen else 0) for record in records)
    return ResumePlan(chosen, rejected, kept, list(times.values()), repairs, leftovers, num_later)


def _lost_best(records: list[Record], latest: Checkpoints, best: Checkpoints, rejected: list[Finding]) -> list[str]:
    """Says so where the best epoch's checkpoint is in neither folder; where it is in one, the loop sees to it."""
    leader = best_record(records)
    bad = {(finding.checkpoints.folder, finding.step) for finding in rejected}
    places = [each for each in (best, latest) if leader and leader.step in each.sealed_steps()]
    if leader is None or any((each.folder, leader.step) not in bad for each in places):
        return []
    return [f"the checkpoint of the best epoch, {leader.epoch}, is lost; a run from the start would make it again"]


def _was_saved(path: Path) -> bool:
    try:
        return read_description(path / "manifest.json").is_saved
    except (FileNotFoundError, Damaged):
        return False


def _is_first_save(rejected: list[Finding]) -> bool:
    """Says whether there is at most a first save that a kill cut short, so that starting at step 0 loses nothing."""
    return not rejected or (len(rejected) == 1 and rejected[0].is_unfinished)


def _mend(records: list[Record], problems: list[str], chosen: Finding | None) -> tuple[list[Record], list[str]]:
    """Returns the records that the chosen step's manifest remembers, and says what was wrong with those on disk.

    An epoch that a kill left recorded on disk alone is evaluated again: nothing vouches for that line.
    """
    step = chosen.step if chosen else 0
    kept, repairs = _remembered(chosen.manifest, step) if chosen and chosen.manifest else ([], [])
    if repairs:
        return kept, repairs
    repairs = [f"records.jsonl, {problem}; the checkpoint knows it" for problem in problems]
    on_disk = [record for record in records if record.step <= step]
    is_just_recorded = len(on_disk) == len(kept) + 1 and on_disk[-1].step == step
    # As text, in which NaN equals NaN.
    if not problems and list(map(str, on_disk[: len(on_disk) - is_just_recorded])) != list(map(str, kept)):
        repairs.append("records.jsonl has lines that are missing, doubled or changed; the checkpoint knows them")
    return kept, repairs


def _remembered(manifest: Manifest, step: int) -> tuple[list[Record], list[str]]:
    """Reads the records in a manifest. Earlier revisions wrote down whatever `evaluate` returned, null for instance.

    The epoch at whose end the checkpoint was saved is evaluated again then; of one before it, the state is gone.
    """
    kept, repairs = [], []
    remembered: Any = manifest.about.get("records", [])
    for fields in remembered:
        verdict = {name: fields.get(name) for name in ("val_loss", "val_acc")}
        verdict = {name: value for name, value in verdict.items() if type(value) not in (int, float)}
        record = from_fields(fields | dict.fromkeys(verdict, math.nan), Record)
        if not verdict:
            kept.append(record)
            continue
        found = ", ".join(f"{name} {value!r}" for name, value in verdict.items())
        is_here = record.step == step
        kept += [] if is_here else [record]
        what_now = "it is evaluated again" if is_here else "NaN stands for it, since the state of its end is gone"
        repairs.append(f"epoch {record.epoch} was recorded with {found}, which is no number: {what_now}")
    return kept, repairs


def _nothing_whole(path: Path, rejected: list[Finding]) -> str:
    found = "; ".join(f"{each.name}: {each.problem}" for each in rejected) or "there were some, and now there is none"
    return (
        f"{path} can't be resumed: none of its checkpoints is whole ({found}). Nothing was changed. "
        "Bring a whole one back, or use another folder to start anew."
    )
