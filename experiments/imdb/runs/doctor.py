"""What is whole in a run's folder, what is not, and what a resume would do. Looking changes nothing."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from experiments.command_line import in_words
from experiments.imdb.reviews.vocabulary import Vocabulary
from experiments.imdb.reviews.vocabulary import load as load_vocabulary
from experiments.imdb.runs.files import problems, read_recipe, remembered_recipe, write_recipe
from experiments.imdb.runs.places import FREE_TO_CHANGE
from recurrent.training.atomic import unfinished
from recurrent.training.run.directory import RunDirectory
from recurrent.training.run.lock import RunLock
from recurrent.training.run.records import Timing, salvage_lines
from recurrent.training.run.resume import Finding, ResumePlan, examine, plan_resume

__all__ = ["Diagnosis", "Part", "diagnose", "repair", "to_json"]


class Part(NamedTuple):
    """A part of a run, and what is wrong with it; None where it is whole."""

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
    _refuse_no_run(path)
    run, holder = RunDirectory(path), RunLock(path).holder()
    findings = [each for each in examine(run.latest, run.best) if not (holder and _is_under_way(each))]
    sealed = next((each.manifest.about.get("identity") for each in findings if each.manifest), None)
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


def _is_under_way(finding: Finding) -> bool:
    """Says whether a step looks damaged only since a process is just now saving or deleting it."""
    return finding.problem is not None and (
        finding.is_unfinished or not finding.checkpoints.path(finding.step).exists()
    )


def repair(path: Path) -> list[str]:
    """Does what a resume would do to the folder, and writes anew what a checkpoint remembers; says what it did.

    Raises:
        FileNotFoundError: there is no run.
        RuntimeError: a process is writing there.
        ValueError: no checkpoint is whole; nothing is changed.
    """
    _refuse_no_run(path)
    with RunDirectory(path) as run:
        plan = plan_resume(path, run.latest, run.best)
        deleted = _deletions(path, plan)
        description, done = run.description(FREE_TO_CHANGE)
        run.carry_out(plan)
        if description is not None and done:
            run.begin(description.identity, FREE_TO_CHANGE, description.environments[-1])
        if description is not None and "recipe" in description.identity:
            done += _mend_recipe(run, description.identity)
    return [*plan.notes(), *(f"deleted {each}" for each in deleted), *(f"{each}; written anew" for each in done)]


def _refuse_no_run(path: Path) -> None:
    if not any((path / name).exists() for name in ("recipe.json", "manifest.json", "checkpoints")):
        raise FileNotFoundError(f"{path} is no run: it has neither recipe.json nor checkpoints.")


def _mend_recipe(run: RunDirectory, identity: dict[str, Any]) -> list[str]:
    recipe, problem = _read(read_recipe, run.path)
    if problem is None and not problems(identity, recipe, None):
        return []
    remembered = remembered_recipe(run)
    if remembered is None:  # of another version: what it says can't be written as a recipe here
        return []
    write_recipe(run.path, remembered)
    return ["recipe.json was not the run's"]


def _files(run: RunDirectory, sealed: dict[str, Any] | None) -> list[Part]:
    """Examines recipe, vocabulary and manifest, against what the newest whole checkpoint remembers of them."""
    recipe, recipe_problem = _read(read_recipe, run.path)
    vocabulary, vocabulary_problem = _read(load_vocabulary, run.path / "vocabulary.json")
    if sealed and "recipe" in sealed:
        recipe_problem = recipe_problem or _first(problems(sealed, recipe, None))
        vocabulary_problem = vocabulary_problem or _first(problems(sealed, None, vocabulary))
    try:
        _, warnings = run.description(FREE_TO_CHANGE)
        manifest_problem = _first(warnings)
    except ValueError as error:
        manifest_problem = str(error)
    remark = f"{len(vocabulary.words):,} words" if isinstance(vocabulary, Vocabulary) else "train writes it anew"
    return [
        Part("recipe.json", recipe_problem, f"{recipe.cell}, seed {recipe.seed}" if recipe else ""),
        Part("vocabulary.json", vocabulary_problem, remark),
        Part("manifest.json", manifest_problem),
    ]


def _read(read: Any, path: Path) -> tuple[Any, str | None]:
    try:
        return read(path), None
    except (ValueError, OSError) as error:
        return None, in_words(error)


def _first(found: list[str]) -> str | None:
    return found[0] if found else None


def _part(finding: Finding, findings: list[Finding]) -> Part:
    """Describes a checkpoint. One whose save a kill cut short is no damage; several are manifests that were lost."""
    if finding.is_unfinished and sum(each.is_unfinished for each in findings) == 1:
        return Part(finding.name, None, f"unfinished: {finding.problem}")
    records = finding.manifest.about.get("records", []) if finding.manifest else []
    return Part(finding.name, finding.problem, f"epochs recorded: {len(records)}")


def _deletions(path: Path, plan: ResumePlan) -> list[str]:
    """Lists all that a resume deletes: what kills left half-written, and lines of epochs that will be done again."""
    files = [str(each.relative_to(path)) for each in (*plan.leftovers, *unfinished(path))]
    lines = [f"{plan.num_later} lines of records.jsonl, of epochs after {plan.place}"] if plan.num_later else []
    times, _ = salvage_lines(path / "timings.jsonl", Timing)
    num_times = len(times) - len(plan.timings)
    return files + lines + ([f"{num_times} lines of timings.jsonl, of such epochs or doubled"] if num_times else [])


def _what_a_resume_does(path: Path, plan: ResumePlan) -> str:
    doings = [f"moves {each.name} aside" for each in plan.rejected]
    doings += ["mends records.jsonl"] if plan.repairs else []
    doings += [f"deletes {each}" for each in _deletions(path, plan)]
    if plan.chosen is None:
        return ", ".join([*doings, "starts at step 0: nothing was saved yet"])
    return ", ".join([*doings, f"goes on from {plan.place}, epochs recorded: {len(plan.records)}"])


def to_json(diagnosis: Diagnosis) -> str:
    """Writes a diagnosis as one JSON object."""
    parts = [part._asdict() for part in diagnosis.parts]
    return json.dumps({**diagnosis._asdict(), "parts": parts, "is_whole": diagnosis.is_whole})
