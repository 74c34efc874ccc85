"""The recipe and the classes of a run, as files and as its checkpoints hold them."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.command_line import command
from experiments.imdb.reviews.source import IMDB_CLASSES
from experiments.imdb.runs.places import FREE_TO_CHANGE, runs_within
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.vocabulary import Vocabulary, digest
from recurrent.training.atomic import write_text
from recurrent.training.run.directory import RunDirectory
from recurrent.training.run.examine import examine
from recurrent.training.run.identity import differences

__all__ = [
    "identity",
    "problems",
    "read_classes",
    "read_recipe",
    "recipe_fields",
    "sealed_recipe",
    "write_classes",
    "write_recipe",
]


_FIRST = frozenset(
    (
        *("cell", "epochs", "seed", "source", "vocabulary_size", "sequence_length", "embedding_size", "hidden_size"),
        *("batch_size", "learning_rate", "decay", "epsilon", "schedule", "warmup_steps", "clip_norm", "patience"),
        *("dtype", "device", "num_shards", "padding", "segment_size", "backend", "nonfinite"),
    )
)
"""The fields that every recipe has had; all of them are part of a run's identity."""


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
        remedy = runs_within(path) or f" `{made_by}` makes runs."
        raise FileNotFoundError(f"{path} is not a run: it has no recipe.json.{remedy}")
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


def read_classes(path: Path) -> tuple[str, ...]:
    """Reads the names of a run's classes, in the order of labels; a run on the IMDB reviews has no file of them.

    Raises:
        ValueError: the file is corrupt.
    """
    file = path / "classes.json"
    if not file.exists():
        return IMDB_CLASSES
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not JSON ({error}). The command that trained the run rewrites it.") from error
    is_list = isinstance(content, list) and all(isinstance(name, str) for name in content)
    if not is_list or len(set(content)) != len(content) or len(content) < 2:
        raise ValueError(f"{file} is not a list of classes. The command that trained the run rewrites it.")
    return tuple(content)


def write_classes(path: Path, classes: Sequence[str]) -> None:
    """Writes the names of a run's classes, in the order of labels; those of the IMDB reviews need no file."""
    if tuple(classes) != IMDB_CLASSES:
        write_text(path / "classes.json", json.dumps(list(classes), indent=2) + "\n")


def identity(
    recipe: Recipe, fingerprint: str, vocabulary: Vocabulary, classes: Sequence[str] = IMDB_CLASSES
) -> dict[str, Any]:
    """Returns all that a run's numbers depend on; classes are part of it if they are not those of the IMDB reviews."""
    of_data = {} if tuple(classes) == IMDB_CLASSES else {"classes": list(classes)}
    return {"recipe": recipe_fields(recipe), "data": fingerprint, "vocabulary": digest(vocabulary), **of_data}


def recipe_fields(recipe: Recipe) -> dict[str, Any]:
    """Returns a recipe's fields; those that later versions have added are left out where they have no effect.

    So a run of an earlier version has the same identity.
    """
    default = Recipe()
    values = {
        field.name: (getattr(recipe, field.name), getattr(default, field.name)) for field in dataclasses.fields(recipe)
    }
    return {name: value for name, (value, usual) in values.items() if name in _FIRST or value != usual}


def problems(
    sealed: dict[str, Any],
    recipe: Recipe | None,
    vocabulary: Vocabulary | None,
    classes: Sequence[str] | None = None,
) -> list[str]:
    """Says which files differ from what a checkpoint of the run holds.

    Args:
        sealed: the checkpoint's identity.
        recipe: as read from its file; None is not compared.
        vocabulary: the same.
        classes: the same.
    """
    found = []
    if recipe is not None:
        now = {"recipe": recipe_fields(recipe)}
        differing = differences({"recipe": sealed.get("recipe", {})}, now, FREE_TO_CHANGE)
        found += [f"recipe.json is not that of the checkpoint ({'; '.join(differing)})"] if differing else []
    if vocabulary is not None and digest(vocabulary) != sealed.get("vocabulary"):
        found.append("vocabulary.json was changed: its SHA-256 is not the one that the checkpoint holds")
    elif vocabulary is not None and sealed.get("recipe", {}).get("bigrams") and not len(vocabulary.pairs):
        found.append(
            "vocabulary.json has no pairs of words: an earlier version hashed pairs to rows, and this one can't read "
            "that run. Train it again"
        )
    if classes is not None and list(classes) != sealed.get("classes", list(IMDB_CLASSES)):
        found.append(
            "classes.json was changed or removed: its classes are not those that the checkpoint holds. The command "
            "that trained the run rewrites it"
        )
    return found
