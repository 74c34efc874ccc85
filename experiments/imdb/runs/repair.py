"""Repairs a run's folder: does what a resume would do, and restores files from a checkpoint."""

from pathlib import Path
from typing import Any

from experiments.imdb.runs.doctor import deletions
from experiments.imdb.runs.files import problems, read_recipe, sealed_recipe, write_recipe
from experiments.imdb.runs.places import FREE_TO_CHANGE, refuse_no_run
from recurrent.training.run.directory import RunDirectory
from recurrent.training.run.resume import plan_resume

__all__ = ["repair"]


def repair(path: Path) -> list[str]:
    """Repairs a run and returns what it did.

    Raises:
        FileNotFoundError: there is no run.
        RuntimeError: a process is writing there.
        ValueError: no checkpoint is intact; nothing is changed.
    """
    refuse_no_run(path)
    with RunDirectory(path) as run:
        plan = plan_resume(path, run.latest, run.best)
        deleted = deletions(path, plan)
        manifest, done = run.manifest(FREE_TO_CHANGE)
        run.carry_out(plan)
        if manifest is not None and done:
            own = {name: value for name, value in manifest.identity.items() if name != "plan"}  # `begin` keeps fit's
            run.begin(own, FREE_TO_CHANGE, manifest.environments[-1])
        if manifest is not None and "recipe" in manifest.identity:
            done += _repair_recipe(run, manifest.identity)
    return [*plan.notes(), *(f"deleted {each}" for each in deleted), *(f"{each}; rewritten" for each in done)]


def _repair_recipe(run: RunDirectory, identity: dict[str, Any]) -> list[str]:
    try:
        if not problems(identity, read_recipe(run.path), None):
            return []
    except (ValueError, OSError):
        pass  # it is corrupt or missing
    recipe = sealed_recipe(run)
    if recipe is None:  # of another version: it can't be written as a recipe of this one
        return []
    write_recipe(run.path, recipe)
    return ["recipe.json was not the run's"]
