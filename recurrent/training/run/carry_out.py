"""Carries out the plan of a resume: quarantines corrupt checkpoints, deletes leftovers, rewrites records."""

from pathlib import Path

from recurrent.training.atomic import unfinished
from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.run.lines import write_lines
from recurrent.training.run.resume import ResumePlan

__all__ = ["carry_out"]


def carry_out(plan: ResumePlan, path: Path, latest: Checkpoints, best: Checkpoints) -> None:
    """Does to a run's folder what a resume does."""
    for each in plan.rejected:
        name = f"{each.checkpoints.folder.name}-{each.step}"
        each.checkpoints.set_aside(each.step, _free_path(path / "checkpoints" / "rejected", name))
    for leftover in unfinished(path):
        leftover.unlink()
    latest.clear_leftovers()
    best.clear_leftovers()
    for name, lines in (("records", plan.records), ("timings", plan.timings)):
        file = path / f"{name}.jsonl"
        if lines or file.exists():
            write_lines(file, lines)


def _free_path(folder: Path, name: str) -> Path:
    """Returns a path in the folder at which nothing lies yet."""
    target, number = folder / name, 1
    while target.exists() or target.with_name(target.name + ".json").exists():
        number += 1
        target = target.with_name(f"{name}.{number}")
    return target
