"""`scripts/imdb export`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.imdb.commands.annotations import FOLDER_OR_FILE
from experiments.machine import start_jax


@dataclasses.dataclass(frozen=True)
class Export:
    """Writes a trained run for other programs: safetensors, Keras, ONNX or a JAX program, with a model card."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    output: Annotated[Path, FOLDER_OR_FILE]
    """The folder to write: a new or an empty one."""
    format: Literal["safetensors", "keras", "onnx", "jax"] = "safetensors"
    """safetensors: weights in Hugging Face's layout. keras: a .keras model. onnx: an ONNX model. jax: a program of
    jax.export for CPU, CUDA and TPU."""
    checkpoint: Literal["best", "latest"] = "best"
    """Which checkpoint of the run."""

    def run(self) -> int:
        """Writes the folder and prints its files."""
        from experiments.imdb.runs.files import read_recipe

        start_jax("cpu", 1, read_recipe(self.run_dir).dtype == "float64")
        from experiments.imdb.commands.show.terminal import console
        from experiments.imdb.export.write import export

        out = console()
        for file in export(self.run_dir, self.format, self.output, self.checkpoint):
            out.print(f"written  {file}  {file.stat().st_size:,} bytes", markup=False)
        return 0
