"""Loggers of training's events, for other libraries. Each library is imported when its logger is made.

A logger is any callable that takes an event of `fit`. Those here are context managers, which close what they write:

    with loggers.tensorboard("runs/one/tensorboard") as log:
        for event in fit(...):
            log(event)

Every number is logged with its step. A run that resumes in the same folder repeats the same numbers at the same steps,
since it computes the same bits; wall-clock times are left to `timings.jsonl` and to the libraries.
"""

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from recurrent.call.arguments import integer
from recurrent.extras import needs
from recurrent.training.events import EpochEnd, Progress

__all__ = ["mlflow", "profile", "scalars", "tensorboard", "wandb"]

Event = Progress | EpochEnd
Logger = Callable[[Event], None]


def scalars(event: Event) -> tuple[int, dict[str, float]]:
    """Returns an event's step and its numbers by name: progress/NAME within an epoch, epoch/NAME at its end.

    >>> from recurrent.training import Progress
    >>> from recurrent.training.loggers import scalars
    >>> scalars(Progress(epoch=1, step=20, means={"loss": 0.69}))
    (20, {'progress/loss': 0.69})
    """
    if isinstance(event, Progress):
        return event.step, {f"progress/{name}": float(value) for name, value in event.means.items()}
    fields = event.record.fields()
    return fields.pop("step"), {f"epoch/{name}": float(fields[name]) for name in fields if name != "epoch"}


@contextlib.contextmanager
def tensorboard(folder: str | os.PathLike[str]) -> Iterator[Logger]:
    """Writes TensorBoard's event files, by tensorboardX.

    After a resume, TensorBoard no longer shows what an earlier process logged beyond the resumed step.

    Args:
        folder: for the files of one run; `tensorboard --logdir` shows it.

    >>> import tempfile
    >>> from recurrent.training import Progress
    >>> from recurrent.training.loggers import tensorboard
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with tensorboard(folder) as log:
    ...         log(Progress(epoch=1, step=20, means={"loss": 0.69}))
    """
    with needs("loggers.tensorboard", "loggers", {"tensorboardX": "tensorboardX"}):
        from tensorboardX import SummaryWriter
    writer: Any = None

    def log(event: Event) -> None:
        nonlocal writer
        step, numbers = scalars(event)
        if writer is None:  # an epoch's end has the step of the progress before it, which stays
            purged = step + isinstance(event, EpochEnd)
            # The suffix: two files of the same second would be one.
            suffix = f".{uuid.uuid4().hex[:8]}"
            writer = SummaryWriter(os.fspath(folder), purge_step=purged, filename_suffix=suffix, flush_secs=10)
        for name, value in numbers.items():
            writer.add_scalar(name, value, step)

    try:
        yield log
    finally:
        if writer is not None:
            writer.close()


@contextlib.contextmanager
def wandb(folder: str | os.PathLike[str], **options: Any) -> Iterator[Logger]:
    """Logs to Weights & Biases: offline, into the folder, unless `mode` or the variable WANDB_MODE says otherwise.

    Offline, `wandb sync` sends the files later. The run's id is kept in the folder, so that a resumed run continues it.

    Args:
        folder: for the files of one run.
        options: of `wandb.init`, such as project, name, config and mode.

    >>> from recurrent.training import loggers
    >>> def train(training):  # of fit(...)
    ...     with loggers.wandb("runs/one/wandb", project="reviews", name="one") as log:
    ...         for event in training:
    ...             log(event)
    """
    with needs("loggers.wandb", "loggers", {"wandb": "Weights & Biases"}):
        import wandb as library
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    mode = os.environ.get("WANDB_MODE", "offline")
    quiet = library.Settings(silent=True, console="off")
    given: dict[str, Any] = {
        "dir": str(path),
        "mode": mode,
        "id": _kept_id(path / "id"),
        "resume": "allow",
        "settings": quiet,
        **options,
    }

    def log(event: Event) -> None:
        step, numbers = scalars(event)
        run.log(numbers, step=step)

    with library.init(**given) as run:
        yield log


def _kept_id(file: Path) -> str:
    if not file.exists():
        file.write_text(uuid.uuid4().hex[:8])
    return file.read_text()


@contextlib.contextmanager
def mlflow(uri: str, experiment: str, run: str) -> Iterator[Logger]:
    """Logs to MLflow. A run of the same name in the same experiment is continued.

    Args:
        uri: of the tracking server, such as http://localhost:5000 or sqlite:///mlflow.db. A folder, file:///..., works
            where the environment says MLFLOW_ALLOW_FILE_STORE=true.
        experiment: its name; it is made where it does not exist.
        run: the run's name.

    >>> from recurrent.training import loggers
    >>> def train(training):  # of fit(...)
    ...     with loggers.mlflow("http://localhost:5000", experiment="reviews", run="one") as log:
    ...         for event in training:
    ...             log(event)
    """
    with needs("loggers.mlflow", "loggers", {"mlflow": "MLflow", "mlflow.entities": "MLflow"}):
        from mlflow.entities import Metric
        from mlflow.tracking import MlflowClient
    client = MlflowClient(uri)
    there = client.get_experiment_by_name(experiment)
    experiment_id = there.experiment_id if there else client.create_experiment(experiment)
    found = client.search_runs([experiment_id], f"attributes.run_name = {run!r}", max_results=1)
    run_id = (found[0] if found else client.create_run(experiment_id, run_name=run)).info.run_id
    client.update_run(run_id, status="RUNNING")

    def log(event: Event) -> None:
        step, numbers = scalars(event)
        now = time.time_ns() // 1_000_000
        client.log_batch(run_id, [Metric(name, value, now, step) for name, value in numbers.items()])

    try:
        yield log
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


@contextlib.contextmanager
def profile(folder: str | os.PathLike[str], skip: int = 2, count: int = 2) -> Iterator[Logger]:
    """Writes a trace of some steps by `jax.profiler`, which XProf, TensorBoard's profiler and Perfetto show.

    It begins after the first dispatches, which compile and measure, and ends when training does at the latest. If there
    are no more events than `skip`, nothing is written.

    Args:
        folder: for the trace.
        skip: `Progress` events before the trace begins.
        count: `Progress` events that it spans; one takes about half a second.

    Raises:
        ValueError: `skip` or `count` is not an integer of at least 1.

    >>> from recurrent.training import loggers
    >>> def train(training):  # of fit(...)
    ...     with loggers.profile("runs/one/profile") as log:
    ...         for event in training:
    ...             log(event)
    """
    skip, count, seen = integer("skip", skip, 1), integer("count", count, 1), 0
    with contextlib.ExitStack() as trace:

        def log(event: Event) -> None:
            nonlocal seen
            seen += isinstance(event, Progress)
            if isinstance(event, Progress) and seen == skip:
                trace.enter_context(jax.profiler.trace(os.fspath(folder)))
            if seen == skip + count:
                trace.close()

        yield log
