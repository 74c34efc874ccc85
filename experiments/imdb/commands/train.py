"""`scripts/imdb train`."""

import contextlib
import dataclasses
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from experiments.command_line import announce_stop, command
from experiments.imdb.commands.annotations import FOLDER_OR_FILE
from experiments.imdb.runs.places import default_run_dir, find_data_dir
from experiments.imdb.training.recipes import Recipe
from experiments.machine import num_cores, start_jax
from experiments.processes import asked, exit_code, joined

if TYPE_CHECKING:
    from experiments.imdb.reviews.source import OnProgress
    from experiments.imdb.training.model import Backend
    from experiments.imdb.training.train import Training
    from recurrent.training import Interrupt, RunDirectory


@dataclasses.dataclass(frozen=True)
class Train:
    """Trains a recipe. The same command resumes a run that was stopped, bit for bit."""

    settings: Annotated[Recipe, tyro.conf.arg(name="")] = dataclasses.field(default_factory=Recipe)
    recipe: str = "lstm"
    """The recipe that the other options' defaults come from: lstm, gru, simple-rnn, bidirectional, pooled or pairs."""
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
        is_float64 = self.settings.dtype == "float64"
        cluster = asked(self.coordinator, self.num_processes, self.process_id, self.connect_seconds)
        start_jax(self.settings.device, num_cores(), is_float64, self.deterministic, cluster)
        from experiments.imdb.commands.show.terminal import console
        from experiments.imdb.commands.show.training import epochs_table, save_share
        from experiments.imdb.runs.start import settle
        from recurrent.training import Interrupt, RunDirectory, Stopped

        path = self.run_dir or default_run_dir(self.settings)
        out = console()
        with joined() as processes:
            out.quiet = not processes.leads
            settled = processes.led(
                "settle", lambda: dataclasses.asdict(settle(self.settings, path, _num_accelerators()))
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
        else:
            out.print(f"next     {command('imdb', 'evaluate', path)}", markup=False)
        return code

    def _train(self, out: Any, recipe: Recipe, run: "RunDirectory", interrupt: "Interrupt") -> None:
        """Prepares, resumes and trains."""
        from experiments.imdb.commands.show.terminal import progress_bar
        from experiments.imdb.reviews.dataset import load
        from experiments.imdb.runs.start import fit_to_data, start_run
        from experiments.imdb.training.model import choose_backend, former_path
        from experiments.imdb.training.train import prepare, train
        from recurrent.training import Stopped

        def heed(report: "OnProgress") -> "OnProgress":
            def reported(what: str, done: int, total: int) -> None:
                if interrupt:
                    raise Stopped
                report(what, done, total)

            return reported

        data_dir, data = find_data_dir(self.data_dir, run.path), None
        with progress_bar(out, "preparing the reviews") as report, contextlib.suppress(Stopped):
            sizes = recipe.vocabulary_size, recipe.sequence_length
            share, pairs, stream = recipe.validation_share, recipe.num_pairs, recipe.stream
            data = load(recipe.source, data_dir, *sizes, heed(report), share, pairs, stream)
        if run.processes.any(data is None) or data is None:
            raise Stopped
        recipe = fit_to_data(recipe, data)
        backend = choose_backend(recipe)
        training = prepare(recipe, data, lambda: interrupt)  # before anything is written: it refuses some recipes
        for warning in start_run(run, recipe, data, _environment(recipe, backend.name), data_dir):
            out.print(f"warning: {warning}", style="yellow", markup=False)
        _summarise(out, recipe, data, training, backend)
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


def _num_accelerators() -> int:
    import jax

    if jax.default_backend() == "cpu":  # a core of each process, if there are several
        return 0 if jax.process_count() == 1 else max(2, jax.process_count())
    return jax.device_count()


def _environment(recipe: Recipe, backend: str) -> dict[str, Any]:
    from experiments.imdb.runs.start import environment
    from recurrent.training import make_mesh

    return environment(list(make_mesh(recipe.num_shards or 1).devices.flat), backend)


def _summarise(out: Any, recipe: Recipe, data: Any, training: "Training", backend: "Backend") -> None:
    import jax

    from experiments.imdb.commands.show.training import summary

    leaves = jax.tree_util.tree_leaves_with_path(training.start.params)
    params = [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf.shape) for path, leaf in leaves]
    devices = training.trainer.mesh.devices.flat
    summary(out, recipe, data.facts, params, f"{len(devices)} × {devices[0].device_kind}", backend)
