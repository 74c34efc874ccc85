"""Writes an export: the model in one format, its config, the vocabulary and the model card."""

from pathlib import Path
from typing import Any, Literal

from experiments.imdb import vocabulary
from experiments.imdb.export import jax_program, keras_model, model_card, onnx_model, safetensors_folder
from experiments.imdb.export.config import CONFIG, VOCABULARY, describe, to_json
from experiments.imdb.runs.open import Run, open_run
from experiments.new_folder import new_folder

__all__ = ["Format", "export", "write_files"]

CARD = "README.md"
Format = Literal["safetensors", "keras", "onnx", "jax"]

_WRITERS = {
    "safetensors": safetensors_folder.write,
    "keras": keras_model.write,
    "onnx": onnx_model.write,
    "jax": jax_program.write,
}
_CHECKS: dict[str, Any] = {"keras": keras_model.check, "onnx": onnx_model.check}


def export(
    run_dir: Path, file_format: Format, output: Path, checkpoint: Literal["best", "latest"] = "best"
) -> list[Path]:
    """Exports a run to a new folder; returns the files in it. The run is not changed.

    Raises:
        FileNotFoundError: there is no run, or it has no checkpoint yet.
        ValueError: the run is corrupt, the format can't express it, or the folder holds something.
        OSError: the folder can't be written; nothing of it is left.
    """
    _check_new(output, run_dir)
    run = open_run(run_dir, checkpoint)
    if file_format in _CHECKS:
        _CHECKS[file_format](run)
    with new_folder(output) as folder:
        write_files(run, describe(run, run_dir.resolve().name, checkpoint), file_format, folder)
    return sorted(output.iterdir())


def write_files(run: Run, config: dict[str, Any], file_format: str, folder: Path) -> None:
    """Writes all files of an export into a folder; `config` is what `describe` returns."""
    _WRITERS[file_format](run, folder)
    vocabulary.save(run.vocabulary, folder / VOCABULARY)
    (folder / CONFIG).write_bytes(to_json(config))
    (folder / CARD).write_text(model_card.make(run, config, file_format), encoding="utf-8")


def _check_new(path: Path, run_dir: Path) -> None:
    """Checks before the work that a folder is new or empty, and outside of a run.

    Raises:
        ValueError: it holds something, is a file, or lies in the run's folder.
    """
    if path.resolve().is_relative_to(run_dir.resolve()):
        raise ValueError(f"--output {path} lies in the run {run_dir}, which an export does not change: name another.")
    if path.is_dir():
        if found := sorted(each.name for each in path.iterdir()):
            shown = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
            raise ValueError(f"--output {path} holds {shown} already: name a new or an empty folder.")
    elif path.exists() or path.is_symlink():
        raise ValueError(f"--output {path} is a file: name a new or an empty folder.")
