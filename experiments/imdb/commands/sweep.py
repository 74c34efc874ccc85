"""`scripts/imdb sweep`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from experiments.command_line import announce_stop, command
from experiments.imdb.commands.annotations import FOLDER_OR_FILE
from experiments.imdb.commands.prepared import prepared_reviews
from experiments.imdb.runs.places import find_data_dir
from experiments.imdb.runs.seeds import read_seeds
from experiments.imdb.training.recipes import Recipe
from experiments.machine import num_cores, start_jax

if TYPE_CHECKING:
    from experiments.imdb.reviews.dataset import Dataset
    from experiments.imdb.sweep.plan import SweepPlan
    from recurrent.training import Interrupt

VARY = tyro.conf.arg(metavar="FIELD=VALUES", help_behavior_hint="")


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Trains many settings of a recipe; several processes can share the work, and the same command goes on."""

    folder: Annotated[Path, tyro.conf.Positional, FOLDER_OR_FILE]
    """The sweep's folder. Another process with the same command takes part in the sweep."""
    settings: Annotated[Recipe, tyro.conf.arg(name="")] = dataclasses.field(default_factory=Recipe)
    recipe: str = "lstm"
    """The recipe that the other options' defaults come from."""
    vary: Annotated[tuple[str, ...], VARY] = ()
    """What to vary, a field each: its values, such as hidden_size=32,64, or a range for the samplers random and tpe,
    such as learning_rate=1e-4:1e-2:log."""
    sampler: Literal["grid", "random", "tpe"] = "grid"
    """How settings are chosen: all combinations, random ones, or Optuna's suggestions (tpe, needs the extra sweep)."""
    num_settings: int | None = None
    """How many settings to try in all; it may grow later. Default: the whole grid, or 20."""
    sampler_seed: int = 0
    """Seed of the samplers random and tpe, from 0."""
    seeds: str = "0"
    """Seeds of each setting: a range, such as 0:3 for 0 to 2, or a list. A setting's score is the mean of their best
    epochs' accuracies."""
    together: int | None = None
    """How many runs to train in one program; settings that differ in numbers of the optimizer and in seeds can share
    one. Default: 4 per device."""
    data_dir: Annotated[Path | None, FOLDER_OR_FILE] = None
    """The folder of prepared reviews. Default: data/."""
    save_every: int = 1000
    """Steps between checkpoints. Another one is saved at the end of each epoch."""

    def run(self) -> int:
        """Trains what is left to train; returns 0 when it is done, 143 or 130 when a signal stopped it."""
        if self.sampler_seed < 0:
            raise ValueError(f"--sampler-seed must be at least 0, not {self.sampler_seed}.")
        for name in ("num_settings", "together", "save_every"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1, not {value}.")
        seeds = read_seeds(self.seeds)
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"{self.folder} is a file, but must be a folder.")
        is_float64 = self.settings.dtype == "float64"
        from experiments.imdb.training.backend import is_native_at_hand

        keeps_memory = is_native_at_hand(self.settings)
        start_jax(self.settings.device, num_cores(), is_float64, keeps_memory=keeps_memory)
        from experiments.imdb.commands.show.sweep import settings_table
        from experiments.imdb.commands.show.terminal import console
        from experiments.imdb.runs.start import absolute_source
        from experiments.imdb.sweep.ledger import Ledger
        from experiments.imdb.sweep.plan import SweepPlan
        from experiments.imdb.sweep.samplers import check_sampler
        from experiments.imdb.sweep.space import read_space
        from recurrent.training import Interrupt

        space = read_space(self.vary, self.settings)
        check_sampler(self.sampler, space)
        # Absolute, so that another process finds it from any folder.
        recipe = dataclasses.replace(self.settings, source=absolute_source(self.settings.source))
        plan, out = SweepPlan(recipe, space, self.sampler, tuple(seeds), self.sampler_seed), console()
        with Interrupt(announce_stop) as interrupt:
            self._work(out, plan, interrupt)
        settings = Ledger(self.folder).settings()
        for line in settings_table(settings, list(space)):
            out.print(line)
        if interrupt.received:
            out.print(f"stopped by {interrupt.received.name}; the same command goes on", markup=False)
        elif any(setting.is_open for setting in settings):
            out.print("the other settings are being trained by other processes", markup=False)
        else:
            out.print(f"next     {command('imdb', 'report', self.folder)}", markup=False)
        return interrupt.exit_code

    def _work(self, out: Any, plan: "SweepPlan", interrupt: "Interrupt") -> None:
        import jax

        from experiments.imdb.commands.show.sweep import setting_line
        from experiments.imdb.commands.show.terminal import progress_bar
        from experiments.imdb.sweep.samplers import grid
        from experiments.imdb.sweep.worker import Worker
        from recurrent.training import Stopped

        data_dir, loaded = find_data_dir(self.data_dir), dict[Any, "Dataset"]()

        def load(recipe: Recipe) -> "Dataset":
            key = (recipe.vocabulary_size, recipe.sequence_length, recipe.validation_share, recipe.num_pairs)
            if key not in loaded:
                loaded.clear()  # one data set at a time: they are large
                loaded[key] = prepared_reviews(out, recipe, data_dir, interrupt)
            return loaded[key]

        default_settings = sum(1 for _ in grid(plan.space)) if plan.sampler == "grid" else 20
        worker = Worker(
            plan,
            self.folder,
            self.num_settings or default_settings,
            self.together or 4 * jax.local_device_count(),
            load,
            data_dir,
            self.save_every,
            lambda: interrupt,
        )
        try:
            with progress_bar(out, "compiling") as report:
                for step in worker.work():
                    for setting in step.settings if step.finished else ():
                        out.print(setting_line(setting), markup=False)
                    if not step.finished:
                        numbers = ", ".join(str(setting.number) for setting in step.settings)
                        report(f"settings {numbers}: epochs", step.done, step.total)
        except Stopped:  # raised before training began: nothing to save
            pass
