"""`scripts/imdb import`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from experiments.command_line import command
from experiments.imdb.commands.annotations import FOLDER_OR_FILE, SOURCE
from experiments.imdb.runs.places import find_data_dir
from experiments.machine import num_cores, start_jax

if TYPE_CHECKING:
    from experiments.imdb.importing.make import Made

_FROM_FILE = tyro.conf.arg(help_behavior_hint="(default: the file's, or else train's)")
_TRAINING = ("epochs", "seed", "source", "sequence_length", "batch_size", "optimizer", "learning_rate", "device")


@dataclasses.dataclass(frozen=True)
class Import:
    """Makes a run of a model that Keras, PyTorch or `export` saved. Nothing in the file is executed."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """A .keras, .h5 or .safetensors file (with a JSON file beside it), or a folder of config.json and
    model.safetensors."""
    run_dir: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """The new run's folder."""
    word_index: Annotated[Path | None, FOLDER_OR_FILE] = None
    """The words' ids in the model: Keras' imdb_word_index.json, or a run's vocabulary.json. Default: vocabulary.json
    in the model's folder, or else the ids of the prepared reviews, which follow Keras' rule."""
    ignore_training_options: bool = False
    """Leaves out what acts in training alone (dropout, penalties, constraints, frozen layers) where no recipe field
    does the same. The answers are the same."""
    epochs: Annotated[int | None, _FROM_FILE] = None
    """Epochs of later training."""
    seed: Annotated[int | None, _FROM_FILE] = None
    """Seed of later training."""
    source: Annotated[str | None, SOURCE] = None
    """The reviews to evaluate and to train on, as in `train`. Default: the file's, or else wheel."""
    sequence_length: Annotated[int | None, _FROM_FILE] = None
    """Ids per review."""
    batch_size: Annotated[int | None, _FROM_FILE] = None
    """Reviews per step of later training."""
    optimizer: Annotated[Literal["rmsprop", "adam", "adamw", "sgd", "lion"] | None, _FROM_FILE] = None
    """Optimizer of later training; it starts anew."""
    learning_rate: Annotated[float | None, _FROM_FILE] = None
    """Its learning rate."""
    device: Annotated[Literal["auto", "cpu", "gpu", "tpu"] | None, _FROM_FILE] = None
    """The device."""
    data_dir: Annotated[Path | None, FOLDER_OR_FILE] = None
    """The folder of prepared reviews. Default: data/."""

    def run(self) -> int:
        """Imports, measures and writes the run."""
        from experiments.imdb.importing.read import read_imported, recipe_of
        from experiments.imdb.importing.run import refuse_existing

        refuse_existing(self.run_dir)
        imported = read_imported(self.file, self.word_index, self.ignore_training_options)
        given = {name: getattr(self, name) for name in _TRAINING if getattr(self, name) is not None}
        recipe = recipe_of(imported, given)
        start_jax(recipe.device, num_cores(), recipe.dtype == "float64")
        from experiments.imdb.commands.show.terminal import console, progress_bar
        from experiments.imdb.importing.make import make_run

        out = console()
        with progress_bar(out, "preparing the reviews") as report:
            made = make_run(imported, recipe, self.run_dir, find_data_dir(self.data_dir), report)
        for line in _lines(imported.origin["format"], made):
            out.print(line, markup=False)
        out.print(f"run      {self.run_dir}", markup=False)
        out.print(f"next     {command('imdb', 'evaluate', self.run_dir)}", markup=False)
        out.print(f"train on {command('imdb', 'resume', self.run_dir)}", markup=False)
        return 0


def _lines(kind: str, made: "Made") -> list[str]:
    """Says what was imported."""
    recipe, moved = made.recipe, made.moved
    cells = ", ".join(f"{cell} {size}" for cell, size in zip(recipe.cells, recipe.sizes, strict=True))
    ways = "both directions" if recipe.bidirectional else "forwards"
    lines = [
        f"model    {kind} · {recipe.vocabulary_size:,} ids × {recipe.embedding_size} · {cells} · {ways}"
        f" · padding {recipe.padding} · pooling {recipe.pooling} · {recipe.sequence_length} ids per review"
    ]
    if moved is not None and moved.num_moved:
        lines.append(f"words    {moved.num_moved:,} have other ids among the reviews: their rows were moved there")
    if moved is not None and moved.num_lost:
        lines.append(f"warning  {moved.num_lost:,} words of the model are in no review of the source: not read")
    if moved is not None and moved.num_unknown:
        lines.append(f"warning  {moved.num_unknown:,} words of the reviews are not in the word index: read as unknown")
    numbers = [f"{name} {value:.4f}" for name, value in made.record.fields().items() if isinstance(value, float)]
    return [*lines, f"measured {'  '.join(numbers)}"]
