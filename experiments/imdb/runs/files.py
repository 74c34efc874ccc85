"""The recipe of a run, as a file and as its checkpoints hold it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from experiments.command_line import command
from experiments.imdb.runs.places import FREE_TO_CHANGE
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.vocabulary import Vocabulary, digest
from recurrent.training.atomic import write_text
from recurrent.training.run.directory import RunDirectory
from recurrent.training.run.examine import examine
from recurrent.training.run.identity import differences

__all__ = ["identity", "problems", "read_recipe", "sealed_recipe", "write_recipe"]


def read_recipe(path: Path) -> Recipe:
    """Reads the recipe a run was started with.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: the file is corrupt, or from another version of this project.
    """
    file = path / "recipe.json"
    if not file.exists():
        if (path / "checkpoints").exists():
            raise FileNotFoundError(f"{file} is missing. {_remedy(path)}")
        made_by = command("imdb", "train")
        raise FileNotFoundError(f"{path} is not a run: it has no recipe.json. `{made_by}` makes runs.")
    try:
        return Recipe(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{file} is not a recipe: {str(error).rstrip('.')}. {_remedy(path)}") from error


def _remedy(path: Path) -> str:
    """Says how to restore a recipe: from an intact checkpoint that holds it, if there is one."""
    if sealed_recipe(RunDirectory(path)) is not None:
        return f"`{command('imdb', 'doctor', path, '--repair')}` restores it from a checkpoint."
    return "No intact checkpoint of this version holds it: restore the file from a backup, or train in another folder."


def sealed_recipe(run: RunDirectory) -> Recipe | None:
    """Returns the recipe that the newest intact checkpoint holds; None if there is none that is valid here."""
    seal = next((each.seal for each in examine(run.latest, run.best) if each.seal), None)
    try:
        return Recipe(**seal.about["identity"]["recipe"]) if seal else None
    except (ValueError, TypeError, KeyError):  # saved by another program, or by another version of this one
        return None


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Writes the recipe of a run."""
    write_text(path / "recipe.json", json.dumps(dataclasses.asdict(recipe), indent=2) + "\n")


def identity(recipe: Recipe, fingerprint: str, vocabulary: Vocabulary) -> dict[str, Any]:
    """Returns all that a run's numbers depend on."""
    return {"recipe": dataclasses.asdict(recipe), "data": fingerprint, "vocabulary": digest(vocabulary)}


def problems(sealed: dict[str, Any], recipe: Recipe | None, vocabulary: Vocabulary | None) -> list[str]:
    """Says which files differ from what a checkpoint of the run holds.

    Args:
        sealed: the checkpoint's identity.
        recipe: as read from its file; None is not compared.
        vocabulary: the same.
    """
    found = []
    if recipe is not None:
        now = {"recipe": dataclasses.asdict(recipe)}
        differing = differences({"recipe": sealed.get("recipe", {})}, now, FREE_TO_CHANGE)
        found += [f"recipe.json is not that of the checkpoint ({'; '.join(differing)})"] if differing else []
    if vocabulary is not None and digest(vocabulary) != sealed.get("vocabulary"):
        found.append("vocabulary.json was changed: its SHA-256 is not the one that the checkpoint holds")
    return found
