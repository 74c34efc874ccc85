"""What the loggers write is read back with the libraries' own readers, over a run that was abandoned and resumed."""

import contextlib
import itertools
import math
import struct
import subprocess
import sys
from collections import defaultdict
from unittest import mock

import pytest

from recurrent.training import EpochEnd, Progress, Record, RunDirectory, Timing, fit, loggers
from tests.logged import read_mlflow, read_wandb
from tests.training.conftest import ROOT


def train(made, path, log, max_events=None):
    """Trains, and abandons the run after some events without the save that a signal would bring."""
    with RunDirectory(path / "run") as run:
        events = fit(made.trainer, run.resume(made.start).state, made.plan, run)
        seen = list(itertools.islice(events, max_events))
        for event in seen:
            log(event)
        return seen


def train_in_two_processes(experiment, path, make_logger):
    """Returns the events that were logged; the second process repeats steps of the first."""
    made, seen = experiment(save_every=100), []
    with mock.patch("recurrent.training.pace.DISPATCH_SECONDS", 0):  # an event for each step
        for max_events in (8, None):
            with make_logger() as log:
                seen += train(made, path, log, max_events)
    steps = [event.step for event in seen if isinstance(event, Progress)]
    assert len(set(steps)) < len(steps)
    return seen


def expected(events):
    """Returns {name: {step: value}} of events, in which nothing has two values."""
    found = defaultdict(dict)
    for step, numbers in map(loggers.scalars, events):
        for name, value in numbers.items():
            assert found[name].setdefault(step, value) == value
    assert list(found["epoch/val_acc"]) == [5, 10, 15]
    return found


def gather(logged):
    """Returns {name: {step: value}} of (name, step, value), in which nothing has two values."""
    found = defaultdict(dict)
    for name, step, value in logged:
        assert found[name].setdefault(step, value) == value, (name, step)
    return found


def test_scalars_are_the_numbers_of_a_record_and_no_times():
    record = Record(2, 20, {"loss": 0.5, "mae": 3.0}, {"rmse": 0.25}, skipped=1)
    event = EpochEnd(record, Timing(2, 10, 1.0, 0.1), is_best=True)
    assert loggers.scalars(event) == (
        20,
        {"epoch/loss": 0.5, "epoch/mae": 3.0, "epoch/val_rmse": 0.25, "epoch/skipped": 1.0},
    )


def test_tensorboard_holds_each_number_once_for_each_step(experiment, tmp_path):
    pytest.importorskip("tensorboardX")
    folder = tmp_path / "tensorboard"
    events = train_in_two_processes(experiment, tmp_path, lambda: loggers.tensorboard(folder))
    files = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    assert len(files) == 2
    logged, purged = [], []
    for message in itertools.chain.from_iterable(map(tensorboard_messages, files)):
        if message.HasField("session_log"):  # what TensorBoard no longer shows
            purged.append(message.step)
            logged = [each for each in logged if each[1] < message.step]
        logged += [(value.tag, message.step, value.simple_value) for value in message.summary.value]
    assert len(logged) == len({(name, step) for name, step, _ in logged})
    assert len(purged) == 2
    assert as_float32(gather(logged)) == as_float32(expected(events))


def tensorboard_messages(file):
    """Yields a TFRecord file's messages: length, checksum, bytes, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data, start = file.read_bytes(), 0
    while start < len(data):
        (size,) = struct.unpack_from("<Q", data, start)
        yield Event.FromString(data[start + 12 : start + 12 + size])
        start += 16 + size


def as_float32(found):
    return {
        name: {step: struct.unpack("<f", struct.pack("<f", value))[0] for step, value in steps.items()}
        for name, steps in found.items()
    }


def test_wandb_holds_each_number_offline_under_one_id(experiment, tmp_path, monkeypatch):
    library = pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    folder = tmp_path / "wandb"
    events = train_in_two_processes(experiment, tmp_path, lambda: loggers.wandb(folder, project="tests", name="one"))
    library.teardown()  # waits for its service, as the end of a process does: it still writes after a run has finished
    logged, ids = read_wandb(folder)
    assert ids == {((folder / "id").read_text(), "tests", "one")}
    assert gather(logged) == expected(events)


def test_mlflow_holds_each_number_in_one_run(experiment, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow.tracking import MlflowClient

    uri = (tmp_path / "mlflow").as_uri()
    events = train_in_two_processes(experiment, tmp_path, lambda: loggers.mlflow(uri, "tests", "it's one"))
    client = MlflowClient(uri)
    run, logged = read_mlflow(uri, "tests")
    assert (run.run_name, run.status) == ("it's one", "FINISHED")
    assert gather(logged) == expected(events)
    with pytest.raises(KeyError), loggers.mlflow(uri, "tests", "it's one"):
        raise KeyError
    assert client.get_run(run.run_id).info.status == "FAILED"


def test_a_loss_that_is_nan_is_logged(tmp_path):
    pytest.importorskip("tensorboardX")
    with loggers.tensorboard(tmp_path) as log:
        log(Progress(1, 3, {"loss": math.nan}))
    (file,) = tmp_path.iterdir()
    assert any(math.isnan(value.simple_value) for each in tensorboard_messages(file) for value in each.summary.value)


def test_without_events_nothing_is_written(tmp_path):
    pytest.importorskip("tensorboardX")
    with loggers.tensorboard(tmp_path / "none"):
        pass
    assert not (tmp_path / "none").exists()


def progress(step):
    return Progress(1, step, {"loss": 0.5})


def traces(folder):
    return sorted(path.suffix for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("num_events", [2, 3, 4, 9])
def test_a_trace_is_written_even_if_training_ends_within_it(tmp_path, num_events):
    with loggers.profile(tmp_path) as log:
        for step in range(num_events):
            log(progress(step))
            log(EpochEnd(Record(1, step, {}, {}), Timing(1, 1, 1.0, 0.1), is_best=False))
    assert ".pb" in traces(tmp_path)
    assert len(list(tmp_path.rglob("*.xplane.pb"))) == 1


def test_an_error_ends_a_trace_and_a_short_training_has_none(tmp_path):
    with loggers.profile(tmp_path / "short") as log:
        log(progress(1))
    assert not (tmp_path / "short").exists()
    with contextlib.suppress(KeyError), loggers.profile(tmp_path / "error") as log:
        log(progress(1))
        log(progress(2))
        raise KeyError
    assert ".pb" in traces(tmp_path / "error")


@pytest.mark.parametrize("wrong", [{"skip": 0}, {"count": 1.5}], ids=str)
def test_spans_that_are_none_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))), loggers.profile(tmp_path, **wrong):
        pass


MISSING = """
import sys
sys.modules[sys.argv[1]] = None  # what Python itself finds where a module is not installed
from recurrent.training import loggers
logger = {
    "tensorboardX": lambda: loggers.tensorboard("folder"),
    "wandb": lambda: loggers.wandb("folder"),
    "mlflow": lambda: loggers.mlflow("http://localhost:1", "experiment", "run"),
}[sys.argv[1]]
try:
    logger().__enter__()
except ModuleNotFoundError as error:
    print(error)
assert {"tensorboardX", "wandb", "mlflow"} & {name for name in sys.modules if sys.modules[name]} == set()
"""


@pytest.mark.parametrize(
    "module, function, library",
    [
        ("tensorboardX", "tensorboard", "tensorboardX"),
        ("wandb", "wandb", "Weights & Biases"),
        ("mlflow", "mlflow", "MLflow"),
    ],
)
def test_a_missing_library_is_named_and_the_others_are_not_imported(module, function, library, tmp_path):
    run = subprocess.run([sys.executable, "-c", MISSING, module], cwd=ROOT, check=True, capture_output=True, text=True)
    assert run.stdout.strip() == f"loggers.{function} needs {library}: pip install 'recurrent-jax[loggers]'"
