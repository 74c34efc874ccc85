"""The YAML in front of a model card, which Hugging Face reads; JSON values are valid YAML."""

import json
from typing import Any

from experiments.imdb.reviews.source import IMDB_CLASSES
from experiments.imdb.runs.open import Run
from recurrent.training.run.records import Record

__all__ = ["front_matter", "is_imdb"]

_LIBRARIES = {"safetensors": "recurrent-jax", "keras": "keras", "onnx": "onnx", "jax": "jax"}


def is_imdb(run: Run) -> bool:
    """Says whether a run's reviews are those of IMDB and not own data, whose classes the run records."""
    facts = run.manifest.get("facts", {})
    if not facts:
        return run.recipe.source in ("wheel", "archive")
    return facts.get("classes") is None and tuple(run.classes) == IMDB_CLASSES


def front_matter(run: Run, name: str, file_format: str, exported: Record | None) -> list[str]:
    """Returns the lines.

    Args:
        run: the run.
        name: of the model.
        file_format: of the export.
        exported: what the run recorded of the epoch that is exported.
    """
    fields: dict[str, Any] = {
        "library_name": _LIBRARIES[file_format],
        "pipeline_tag": "text-classification",
        "tags": ["jax", "recurrent-neural-network", *dict.fromkeys(run.recipe.cells)],
        "metrics": ["accuracy"],
    }
    if is_imdb(run):
        fields |= {"language": ["en"], "datasets": ["stanfordnlp/imdb"]}
    if exported is not None:
        fields["model-index"] = [{"name": name, "results": [_result(run, exported)]}]
    return ["---", *(f"{field}: {json.dumps(value, ensure_ascii=False)}" for field, value in fields.items()), "---"]


def _result(run: Run, exported: Record) -> dict[str, Any]:
    own = {"name": "own data, validation split", "type": "own-data"}
    imdb = {
        "name": "IMDB reviews, the last fifth of the training split in Keras' order",
        "type": "stanfordnlp/imdb",
        "split": "train",
    }
    return {
        "task": {"type": "text-classification"},
        "dataset": imdb if is_imdb(run) else own,
        "metrics": [{"type": "accuracy", "value": exported.validation["acc"], "name": "validation accuracy"}],
    }
