"""`scripts/imdb resume`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.imdb.commands.annotations import FOLDER_OR_FILE
from experiments.imdb.commands.train import Train
from experiments.imdb.runs.files import read_recipe
from experiments.imdb.runs.places import refuse_no_run
from experiments.imdb.training.recipes import Recipe


@dataclasses.dataclass(frozen=True)
class Resume:
    """Trains a run on from where it stopped, with the recipe in its folder."""

    run_dir: Annotated[Path, tyro.conf.Positional, FOLDER_OR_FILE]
    """The run's folder."""
    epochs: int | None = None
    """Passes over the reviews in total. Default: the recipe's."""
    device: Literal["auto", "cpu", "gpu", "tpu"] | None = None
    """The device. Default: the recipe's."""
    data_dir: Annotated[Path | None, FOLDER_OR_FILE] = None
    """The folder of prepared reviews. Default: the run's, or else data/."""
    save_every: int = Train.save_every
    """Steps between checkpoints. Another one is saved at the end of each epoch."""
    deterministic: bool = Train.deterministic
    """On a GPU, sums in a fixed order: as for `train`. A run that began with it needs it for the same bits."""
    log: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = Train.log
    """Also logs to these: as for `train`."""
    coordinator: str | None = None
    """Trains in several processes: as for `train`."""
    num_processes: int | None = None
    """The number of processes."""
    process_id: int | None = None
    """The number of this process, from 0."""
    connect_seconds: int = Train.connect_seconds
    """How long to wait for the other processes at the start."""

    def run(self) -> int:
        """Trains; returns what `train` returns."""
        refuse_no_run(self.run_dir)
        changed = {name: getattr(self, name) for name in ("epochs", "device") if getattr(self, name) is not None}
        # Classes are the data's, and no option.
        recipe = dataclasses.replace(read_recipe(self.run_dir), num_classes=Recipe.num_classes, **changed)
        own = ("epochs", "device")
        same = [field.name for field in dataclasses.fields(self) if field.name not in own]
        return Train(recipe, **{name: getattr(self, name) for name in same}).run()
