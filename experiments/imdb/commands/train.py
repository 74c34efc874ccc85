"""`scripts/imdb train`."""

import contextlib
import dataclasses
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from experiments.cluster import asked
from experiments.command_line import announce_stop, command
from experiments.imdb.commands.annotations import FOLDER_OR_FILE
from experiments.imdb.commands.prepared import prepared_reviews
from experiments.imdb.runs.places import choose_data_dir, default_run_dir, remembered_data_dir
from experiments.imdb.runs.seeds import read_seeds
from experiments.imdb.training.recipes import Recipe
from experiments.machine import num_cores, start_jax
from experiments.processes import exit_code, joined

if TYPE_CHECKING:
    from recurrent.training import Interrupt, RunDirectory


@dataclasses.dataclass(frozen=True)
class Train:
    """Trains a recipe. The same command resumes a run that was stopped, bit for bit."""

    settings: Annotated[Recipe, tyro.conf.arg(name="")] = dataclasses.field(default_factory=Recipe)
    recipe: str = "lstm"
    """The recipe that the other options' defaults come from: lstm, gru, simple-rnn, bidirectional, pooled,
    best-in-ten-minutes or best."""
    run_dir: Annotated[Path | None, FOLDER_OR_FILE] = None
    """The run's folder. Default: runs/imdb-CELL-seedSEED; other options that change its numbers are in the name too."""
    data_dir: Annotated[Path | None, FOLDER_OR_FILE] = None
    """The folder of prepared reviews. Default: the run's, or else data/."""
    save_every: int = 1000
    """Steps between checkpoints. Another one is saved at the end of each epoch."""
    deterministic: bool = False
    """On a GPU, sums in a fixed order: the same seed gives the same bits. A CPU always does."""
    log: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ()
    """Also logs to these, into folders of these names in the run's folder. W&B stays offline unless WANDB_MODE says
    otherwise; MLFLOW_TRACKING_URI names a server."""
    seeds: str | None = None
    """Trains with several seeds in one program: a range, such as 0:5 for 0 to 4, or a list, such as 0,3,7. Each has a
    run's folder of its own; --run-dir then names the folder of these folders."""
    profile: bool = False
    """Writes a JAX trace of some steps after the first dispatches into the folder profile of the run's."""
    coordinator: str | None = None
    """Trains in several processes: where process 0 listens, HOST:PORT; or auto, if Slurm, Kubernetes, MPI or a TPU pod
    says which processes take part."""
    num_processes: int | None = None
    """The number of processes."""
    process_id: int | None = None
    """The number of this process, from 0. Process 0 writes the run's folder."""
    connect_seconds: int = 50
    """How long to wait for the other processes at the start."""

    def run(self) -> int:
        """Trains; returns 0 when the recipe is complete, 143 or 130 when a signal stopped it."""
        if self.save_every < 1:
            raise ValueError(f"--save-every must be at least 1, not {self.save_every}.")
        if self.settings.num_classes != Recipe().num_classes:
            raise ValueError("--num-classes has no effect: train takes the classes from the reviews. Leave it out.")
        seeds = None if self.seeds is None else read_seeds(self.seeds)
        if seeds is not None and self.settings.seed != Recipe().seed:
            raise ValueError("--seeds names all seeds: leave out --seed.")
        if seeds is not None and self.profile:
            raise ValueError("--profile traces one run: leave out --seeds.")
        is_float64 = self.settings.dtype == "float64"
        cluster = asked(self.coordinator, self.num_processes, self.process_id, self.connect_seconds)
        if seeds is not None and cluster is not None:
            raise ValueError("--seeds trains in one process: leave out --coordinator.")
        from experiments.imdb.training.backend import is_native_at_hand

        keeps_memory = is_native_at_hand(self.settings)
        start_jax(self.settings.device, num_cores(), is_float64, self.deterministic, cluster, keeps_memory)
        if seeds is not None:
            from experiments.imdb.commands.train_seeds import train_seeds

            return train_seeds(self.settings, seeds, self.run_dir, self.data_dir, self.save_every, self.log)
        from experiments.imdb.commands.show.terminal import console
        from experiments.imdb.commands.show.training import epochs_table, save_share
        from experiments.imdb.runs.start import num_accelerators, settle
        from recurrent.training import Interrupt, RunDirectory, Stopped

        path = self.run_dir or default_run_dir(self.settings)
        out = console()
        with joined() as processes:
            out.quiet = not processes.leads
            settled = processes.led(
                "settle", lambda: dataclasses.asdict(settle(self.settings, path, num_accelerators(), processes.count))
            )
            with Interrupt(announce_stop) as interrupt, RunDirectory(path) as run:
                with contextlib.suppress(Stopped):  # raised before training began: nothing to save
                    self._train(out, Recipe(**settled), run, interrupt)
                records, timings = run.records(), run.timings()
            if records:
                out.print(epochs_table(records, timings, out.width))
                out.print(save_share(timings))
            code = exit_code(processes, interrupt)
        out.print(f"run      {path}", markup=False)
        if code:
            name = signal.Signals(code - 128).name
            out.print(f"stopped by {name}; the same command resumes the run", markup=False)
            options = ["--deterministic"] * self.deterministic + (["--log", *self.log] if self.log else [])
            out.print(f"next     {command('imdb', 'resume', path, *options)}", markup=False)
        else:
            out.print(f"next     {command('imdb', 'evaluate', path)}", markup=False)
        return code

    def _train(self, out: Any, recipe: Recipe, run: "RunDirectory", interrupt: "Interrupt") -> None:
        """Prepares, resumes and trains."""
        from experiments.imdb.commands.show.training import shapes_of, summary
        from experiments.imdb.runs.start import environment_of, fit_to_data, refuse_other_recipe, start_run
        from experiments.imdb.training.backend import choose_backend
        from experiments.imdb.training.model import former_path
        from experiments.imdb.training.train import prepare, train
        from recurrent.training import Stopped

        remembered = run.processes.led("data_dir", lambda: remembered_data_dir(run.path))
        data_dir, data = choose_data_dir(self.data_dir, [remembered]), None
        run.processes.led("refuse", lambda: refuse_other_recipe(run, recipe))
        with contextlib.suppress(Stopped):
            data = prepared_reviews(out, recipe, data_dir, interrupt)
        if run.processes.any(data is None) or data is None:
            raise Stopped
        recipe = fit_to_data(recipe, data)
        backend = choose_backend(recipe)
        training = prepare(recipe, data, lambda: interrupt)  # before anything is written: it refuses some recipes
        for warning in start_run(run, recipe, data, environment_of(recipe, backend.name), data_dir):
            out.print(f"warning: {warning}", style="yellow", markup=False)
        devices = training.trainer.mesh.devices.flat
        device = f"{len(devices)} × {devices[0].device_kind}"
        summary(out, recipe, data.facts, shapes_of(training.start.params), device, backend)
        resumed = run.resume(training.start, former_path)
        for note in resumed.notes:
            out.print(f"warning: {note}", style="yellow", markup=False)
        events = train(training, resumed.state, recipe, run, self.save_every, lambda: interrupt)
        self._follow(out, events, recipe.epochs, recipe.epochs * training.steps_per_epoch, interrupt, run.path)

    def _follow(self, out: Any, events: Any, epochs: int, total: int, interrupt: "Interrupt", path: Path) -> None:
        """Shows a bar during an epoch and a line at its end."""
        from experiments.imdb.commands.show.terminal import progress_bar
        from experiments.imdb.commands.show.training import epoch_line
        from experiments.imdb.runs.loggers import log_to
        from recurrent.training import EpochEnd

        is_new = False
        logs = log_to(() if out.quiet else self.log, self.profile and not out.quiet, path)  # process 0 alone
        with logs as log, progress_bar(out, "compiling") as report:
            for event in events:
                is_new = True
                log(event)
                if isinstance(event, EpochEnd):
                    line = epoch_line(event.record, event.timing, epochs, event.is_best, out.width)
                    out.print(line, markup=False)
                else:
                    means = "  ".join(f"{name} {value:.4f}" for name, value in event.means.items())
                    report(f"epoch {event.epoch}  {means}", event.step, total)
        if not is_new and not interrupt:
            out.print("nothing to do: the run is complete")
        if self.profile:
            said = path / "profile" if (path / "profile").exists() else "none: training ended before the steps to trace"
            out.print(f"profile  {said}", markup=False)
