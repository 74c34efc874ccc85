"""Diagnoses a run's folder: what is intact, what is not, and what a resume would do. It changes nothing."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from experiments.command_line import in_words
from experiments.imdb.reviews.source import IMDB_CLASSES
from experiments.imdb.runs.files import problems, read_classes, read_recipe
from experiments.imdb.runs.places import FREE_TO_CHANGE, refuse_no_run
from experiments.imdb.vocabulary import Vocabulary
from experiments.imdb.vocabulary import load as load_vocabulary
from recurrent.training.atomic import unfinished
from recurrent.training.run.directory import RunDirectory
from recurrent.training.run.examine import Finding, examine
from recurrent.training.run.lines import salvage_lines
from recurrent.training.run.lock import RunLock
from recurrent.training.run.manifest import Manifest
from recurrent.training.run.records import Timing
from recurrent.training.run.resume import ResumePlan, plan_resume

__all__ = ["Diagnosis", "Part", "deletions", "diagnose", "to_json"]


class Part(NamedTuple):
    """A part of a run, and what is wrong with it; None if it is intact."""

    name: str
    problem: str | None
    remark: str = ""


class Diagnosis(NamedTuple):
    """What was found."""

    holder: str | None  # the process that is writing there now
    parts: list[Part]
    resume: str  # what the next `train` would do
    is_resumable: bool

    @property
    def is_whole(self) -> bool:
        """Says whether nothing is wrong."""
        return self.is_resumable and all(part.problem is None for part in self.parts)


def diagnose(path: Path) -> Diagnosis:
    """Examines a run without changing it.

    Raises:
        FileNotFoundError: there is no run.
    """
    refuse_no_run(path)
    run, holder = RunDirectory(path), RunLock(path).holder()
    findings = [each for each in examine(run.latest, run.best) if not (holder and _is_being_written(each))]
    sealed = next((each.seal.about.get("identity") for each in findings if each.seal), None)
    parts = _files(run, sealed)
    checkpoints = [_part(finding, findings) for finding in findings]
    _, time_problems = salvage_lines(path / "timings.jsonl", Timing)
    try:
        plan = plan_resume(path, run.latest, run.best)
    except ValueError as error:
        return Diagnosis(holder, [*parts, *checkpoints], str(error), is_resumable=False)
    parts.append(Part("records.jsonl", "; ".join(plan.repairs) or None, f"epochs: {len(plan.records)}"))
    parts.append(Part("timings.jsonl", _first(time_problems), f"epochs: {len(plan.timings)}"))
    return Diagnosis(holder, [*parts, *checkpoints], _what_a_resume_does(path, plan), is_resumable=True)


def _is_being_written(finding: Finding) -> bool:
    """Says whether a step may look corrupt only because a process is saving or deleting it at this moment."""
    return finding.problem is not None and (
        finding.is_unfinished or not finding.checkpoints.path(finding.step).exists()
    )


def _files(run: RunDirectory, sealed: dict[str, Any] | None) -> list[Part]:
    """Compares recipe, vocabulary and manifest with what the newest intact checkpoint holds of them."""
    recipe, recipe_problem = _read(read_recipe, run.path)
    vocabulary, vocabulary_problem = _read(load_vocabulary, run.path / "vocabulary.json")
    classes, classes_problem = _read(read_classes, run.path)
    if sealed and "recipe" in sealed:
        recipe_problem = recipe_problem or _first(problems(sealed, recipe, None))
        vocabulary_problem = vocabulary_problem or _first(problems(sealed, None, vocabulary))
        classes_problem = classes_problem or _first(problems(sealed, None, None, classes))
    try:
        manifest, warnings = run.manifest(FREE_TO_CHANGE)
        manifest_problem, backend = _first(warnings), _backend(manifest)
    except ValueError as error:
        manifest_problem, backend = str(error), ""
    remark = f"{len(vocabulary.words):,} words" if isinstance(vocabulary, Vocabulary) else "train rewrites it"
    has_classes = classes_problem is not None or classes != IMDB_CLASSES
    of_classes = [Part("classes.json", classes_problem, ", ".join(classes or ()))] if has_classes else []
    return [
        Part("recipe.json", recipe_problem, f"{recipe.cell}, seed {recipe.seed}" if recipe else ""),
        Part("vocabulary.json", vocabulary_problem, remark),
        *of_classes,
        Part("manifest.json", manifest_problem, backend),
    ]


def _backend(manifest: Manifest | None) -> str:
    """Names the backend that computed the run last; runs of earlier revisions do not say."""
    found = manifest.environments[-1].get("backend") if manifest else None
    return f"backend {found['name']}" if isinstance(found, dict) and "name" in found else ""


def _read(read: Any, path: Path) -> tuple[Any, str | None]:
    try:
        return read(path), None
    except (ValueError, OSError) as error:
        return None, in_words(error)


def _first(found: list[str]) -> str | None:
    return found[0] if found else None


def _part(finding: Finding, findings: list[Finding]) -> Part:
    """Describes a checkpoint. One without a seal is an interrupted save; several mean that seals were lost."""
    if finding.is_unfinished and sum(each.is_unfinished for each in findings) == 1:
        return Part(finding.name, None, f"unfinished: {finding.problem}")
    records = finding.seal.about.get("records", []) if finding.seal else []
    return Part(finding.name, finding.problem, f"epochs recorded: {len(records)}")


def deletions(path: Path, plan: ResumePlan) -> list[str]:
    """Lists all that a resume deletes: unfinished files of killed processes, and lines of epochs that it repeats."""
    files = [str(each.relative_to(path)) for each in (*plan.leftovers, *unfinished(path))]
    lines = [f"{plan.num_later} lines of records.jsonl, of epochs after {plan.place}"] if plan.num_later else []
    times, _ = salvage_lines(path / "timings.jsonl", Timing)
    num_times = len(times) - len(plan.timings)
    of_times = [f"{num_times} lines of timings.jsonl, duplicates or of such epochs"] if num_times else []
    return files + lines + of_times


def _what_a_resume_does(path: Path, plan: ResumePlan) -> str:
    doings = [f"quarantines {each.name}" for each in plan.rejected]
    doings += ["repairs records.jsonl"] if plan.repairs else []
    doings += [f"deletes {each}" for each in deletions(path, plan)]
    if plan.chosen is None:
        return ", ".join([*doings, "starts at step 0: nothing was saved yet"])
    return ", ".join([*doings, f"continues from {plan.place}, epochs recorded: {len(plan.records)}"])


def to_json(diagnosis: Diagnosis) -> str:
    """Returns a diagnosis as one JSON object."""
    parts = [part._asdict() for part in diagnosis.parts]
    return json.dumps({**diagnosis._asdict(), "parts": parts, "is_whole": diagnosis.is_whole})
