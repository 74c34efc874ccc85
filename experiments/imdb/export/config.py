"""The files that every export holds besides its model: `config.json` and `vocabulary.json`.

`config.json` is one JSON object:

- `format`: "recurrent-imdb", and `format_version`: 1. A change that readers would misread raises the version.
- `model_type`, `num_labels`, `id2label`, `label2id`: for Hugging Face.
- `recipe`: all fields of the run's recipe. Where `source` is a path, its last part alone, since a path names folders of
  the machine that trained.
- `classes`: the names of the classes, in the order of labels.
- `run`: `name` of the run's folder, `checkpoint` ("best" or "latest"), `step`, and the SHA-256 of the `data` and of the
  `vocabulary` that the run was trained with (null where the run has no record of it).
- `tokens`: `padding`, `start`, `unknown` and `first_word`, the reserved ids and the id of the most frequent word.
- `characters`: what each character of a text becomes before it is split at spaces; others stay as they are.
- `versions`: of the library that wrote the folder.

`vocabulary.json` is that of the run, byte for byte: `size`, the number of ids; `words`, all words of the training text,
most frequent first; and with bigrams `pairs`, the hashes of known pairs and triples, ascending
(`experiments/imdb/pairs.py`).
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

import recurrent
from experiments.imdb.reviews.words import user_characters
from experiments.imdb.runs.open import Run
from experiments.imdb.vocabulary import ID_OFFSET, PADDING_ID, START_ID, UNKNOWN_ID

__all__ = ["CONFIG", "FORMAT", "FORMAT_VERSION", "VOCABULARY", "describe", "to_json"]

CONFIG, VOCABULARY = "config.json", "vocabulary.json"
FORMAT, FORMAT_VERSION = "recurrent-imdb", 1


def describe(run: Run, name: str, checkpoint: Literal["best", "latest"]) -> dict[str, Any]:
    """Returns the content of `config.json`."""
    recipe = dataclasses.asdict(run.recipe)
    if "/" in run.recipe.source or "\\" in run.recipe.source:
        recipe["source"] = Path(run.recipe.source.replace("\\", "/")).name
    identity = run.manifest.get("identity", {})
    names = dict(enumerate(run.classes))
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "model_type": FORMAT,
        "num_labels": len(run.classes),
        "id2label": {str(number): label for number, label in names.items()},
        "label2id": {label: number for number, label in names.items()},
        "recipe": recipe,
        "classes": list(run.classes),
        "run": {
            "name": name,
            "checkpoint": checkpoint,
            "step": run.step,
            "data": identity.get("data"),
            "vocabulary": identity.get("vocabulary"),
        },
        "tokens": {
            "padding": PADDING_ID,
            "start": START_ID,
            "unknown": UNKNOWN_ID,
            "first_word": ID_OFFSET + 1,
        },
        "characters": user_characters(),
        "versions": {"recurrent": recurrent.__version__},
    }


def to_json(config: dict[str, Any]) -> bytes:
    """Returns the bytes of `config.json`."""
    return (json.dumps(config, indent=2, ensure_ascii=True) + "\n").encode("ascii")
