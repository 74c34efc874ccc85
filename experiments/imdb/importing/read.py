"""Reads a model in any of the formats, and makes the recipe of its run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.imdb.export.safetensors_folder import MODEL
from experiments.imdb.importing.imported import Imported
from experiments.imdb.importing.keras_file import KERAS_SUFFIXES, read_keras
from experiments.imdb.importing.safetensors_file import read_safetensors_model
from experiments.imdb.importing.word_index import read_word_index
from experiments.imdb.reviews.dataset import SOURCE_NAMES
from experiments.imdb.training.recipes import Recipe

__all__ = ["read_imported", "recipe_of"]

_MOST = {"layers": 100, "sequence_length": 1 << 16}
"""Limits of what a file may ask memory for before its tensors are compared with it."""


def read_imported(path: Path, word_index: Path | None = None, ignores_training: bool = False) -> Imported:
    """Reads a model; the ending of its file's name says how.

    Args:
        path: a .keras, .h5 or .safetensors file, or a folder of config.json and model.safetensors.
        word_index: the ranks of the words; None for those that the model's folder holds, or else Keras' rule.
        ignores_training: leaves out what acts in training alone and has no field in a recipe.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, hostile, or not a model of the benchmark's family.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist.")
    suffix = path.suffix.lower()
    if path.is_dir() and (others := _models_of_other_formats(path)):
        raise ValueError(f"{path} holds no {MODEL}: name the file, {' or '.join(map(str, others))}.")
    if path.is_dir() or suffix == ".safetensors":
        imported = read_safetensors_model(path)
    elif suffix in KERAS_SUFFIXES:
        imported = read_keras(path, ignores_training)
    else:
        raise ValueError(
            f"{path} is not read: a model is a {', '.join(KERAS_SUFFIXES)} or .safetensors file, or a folder of "
            "config.json and model.safetensors. Other files may hold a pickle, which can execute any code."
        )
    if word_index is None:
        return imported
    origin = {**imported.origin, "word_index": word_index.name}
    return imported._replace(words=read_word_index(word_index), origin=origin)


def _models_of_other_formats(folder: Path) -> list[Path]:
    """Returns the files that a folder without model.safetensors may be meant for."""
    if (folder / MODEL).exists():
        return []
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in (*KERAS_SUFFIXES, ".safetensors"))


def recipe_of(imported: Imported, given: Mapping[str, Any]) -> Recipe:
    """Returns the recipe of an imported model's run.

    Args:
        imported: the model.
        given: fields that the user sets: how training goes on, and what the file does not say.

    Raises:
        ValueError: a field contradicts the file, or is out of range; or the source of the reviews must be given.
    """
    fields = imported.fields
    if (length := fields.get("sequence_length")) is not None and given.get("sequence_length", length) != length:
        raise ValueError(
            f"The model reads {length} ids per review, and --sequence-length is {given['sequence_length']}."
        )
    source = given.get("source", fields.get("source", "wheel"))
    if source not in SOURCE_NAMES and "source" not in given:
        raise ValueError(f"The model was trained on {source}: --source PATH says where that is on this machine.")
    values: dict[str, Any] = {**fields, **given, "source": source}
    try:
        recipe = Recipe(**values)
    except TypeError as error:
        raise ValueError(f"The model's recipe is not one of this program's version: {error}.") from error
    for name, most in _MOST.items():
        if getattr(recipe, name) > most:
            raise ValueError(f"The model has {name} {getattr(recipe, name):,}; at most {most:,} are imported.")
    return recipe
