"""Starting a run or going on with it: open settings are decided, its files written or compared."""

import dataclasses
import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.imdb.reviews.dataset import SOURCE_NAMES, Dataset
from experiments.imdb.reviews.vocabulary import digest
from experiments.imdb.reviews.vocabulary import save as save_vocabulary
from experiments.imdb.runs.files import identity, read_recipe, write_recipe
from experiments.imdb.runs.places import FREE_TO_CHANGE
from experiments.imdb.training.recipes import Recipe
from recurrent.training.environment import describe_environment
from recurrent.training.run.directory import RunDirectory

__all__ = ["environment", "settle", "start_run"]


def settle(recipe: Recipe, path: Path, num_accelerators: int) -> Recipe:
    """Decides what the recipe left open: as the run in this folder did, or else for this machine.

    A source's path becomes absolute, so that the run can be evaluated from any folder.
    """
    there = read_recipe(path) if (path / "recipe.json").exists() else None
    if recipe.source not in SOURCE_NAMES and Path(recipe.source).exists():
        is_same = there is not None and Path(there.source).absolute() == Path(recipe.source).absolute()
        recipe = dataclasses.replace(recipe, source=there.source if is_same else str(Path(recipe.source).absolute()))
    if recipe.num_shards is not None:
        return recipe
    if there is not None:
        return dataclasses.replace(recipe, num_shards=there.num_shards)
    divisors = [count for count in range(1, (num_accelerators or 2) + 1) if recipe.batch_size % count == 0]
    return dataclasses.replace(recipe, num_shards=divisors[-1])


def start_run(
    run: RunDirectory, recipe: Recipe, data: Dataset, environment: dict[str, Any], data_dir: Path | None = None
) -> list[str]:
    """Writes a new run's files, or checks that the run which is there is the same; returns warnings.

    Args:
        data_dir: where the reviews were prepared, for the run to remember.

    Raises:
        ValueError: the folder holds a run with another recipe, vocabulary or other data; lists what differs.
    """
    free = set(FREE_TO_CHANGE)
    if recipe.schedule != "constant":
        free.remove("recipe.epochs")
    if recipe.nonfinite == "stop":  # a run that may have skipped steps is no longer one that stops
        free.remove("recipe.nonfinite")
    now = identity(recipe, data.fingerprint, data.vocabulary)
    try:
        facts = data.facts._asdict() | ({} if data_dir is None else {"data_dir": str(data_dir.absolute())})
        warnings = run.begin(now, free, environment, facts)
    except ValueError as error:
        raise ValueError(f"{error} --run-dir names the folder.") from error
    file = run.path / "vocabulary.json"
    if not file.exists() or digest(data.vocabulary) != hashlib.sha256(file.read_bytes()).hexdigest():
        warnings += ["vocabulary.json was damaged; written anew from the reviews"] if file.exists() else []
        save_vocabulary(data.vocabulary, file)
    # The recipe comes last: where it stands, the rest stands too.
    write_recipe(run.path, recipe)
    return warnings


def environment(devices: Sequence[Any]) -> dict[str, Any]:
    """Describes what decides the last bits of a run, and which revision of this project made it."""
    return {**describe_environment(devices), "git_revision": _git_revision()}


def _git_revision() -> str | None:
    here = Path(__file__).parent
    try:
        answer = subprocess.run(
            ["git", "-C", here, "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
