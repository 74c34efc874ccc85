"""A safetensors file with a JSON file beside it: an export of this project, or a PyTorch model."""

import dataclasses
from pathlib import Path
from typing import Any

from experiments.imdb import vocabulary
from experiments.imdb.export.config import CONFIG, FORMAT, FORMAT_VERSION, VOCABULARY
from experiments.imdb.export.safetensors_folder import MODEL
from experiments.imdb.importing.file import TEXT_MAX_BYTES, check_file, read_json
from experiments.imdb.importing.imported import Imported, origin_of
from experiments.imdb.importing.torch_file import TORCH_FORMAT, torch_model
from experiments.imdb.training.recipes import Recipe
from recurrent.interop.files import read_safetensors

__all__ = ["read_safetensors_model"]


def read_safetensors_model(path: Path) -> Imported:
    """Reads a folder of config.json and model.safetensors, or a .safetensors file with a JSON file beside it.

    That file is NAME.json beside NAME.safetensors, or config.json.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: one is damaged, or they do not fit each other; names the tensor.
    """
    file = path / MODEL if path.is_dir() else path
    config_file = next((each for each in (file.with_suffix(".json"), file.parent / CONFIG) if each.is_file()), None)
    check_file(file)
    if config_file is None:
        names = f"{file.with_suffix('.json').name} or {CONFIG}"
        raise FileNotFoundError(f"{file} has no JSON file beside it that says what model it is: {names}.")
    config = read_json(config_file)
    kind = config.get("format") if isinstance(config, dict) else None
    if kind not in (FORMAT, TORCH_FORMAT):
        raise ValueError(f'{config_file} has format {kind!r}: it must be "{FORMAT}" or "{TORCH_FORMAT}".')
    tensors = read_safetensors(file)
    try:
        if kind == TORCH_FORMAT:
            return Imported(origin_of(file, "PyTorch, safetensors"), *torch_model(tensors, config))
        fields, classes = _exported(config)
    except ValueError as error:
        raise ValueError(f"{file} with {config_file.name} can't be imported. {error}") from error
    words = file.parent / VOCABULARY
    imported = Imported(origin_of(file, "export, safetensors"), fields, tensors, classes=classes)
    if not words.is_file():
        return imported
    check_file(words, TEXT_MAX_BYTES)
    known = vocabulary.load(words)
    return imported._replace(words=known.ranks, pairs=known.pairs)


def _exported(config: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Returns the recipe and the classes of an export."""
    if config.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"Its format_version is {config.get('format_version')!r}; this program reads {FORMAT_VERSION}."
        )
    recipe, classes = config.get("recipe"), config.get("classes")
    known = {field.name for field in dataclasses.fields(Recipe)}
    if not isinstance(recipe, dict) or not set(recipe) <= known:
        raise ValueError("Its recipe is not one of this program's version.")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError("Its classes are not a list of names.")
    return recipe, tuple(classes)
