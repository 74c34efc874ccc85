"""Examples that are read by number train like the same examples in arrays, on any number of devices and processes."""

import threading

import jax
import numpy as np
import pytest

from recurrent.training import ExampleReader, RunDirectory, fit
from recurrent.training import chunk as chunks
from recurrent.training.ahead import Ahead
from recurrent.training.chunk import own_shards
from recurrent.training.reader_feed import ReaderFeed
from tests.training.conftest import NUM_EXAMPLES
from tests.training.test_loop import assert_same, outcome, run_to_the_end

SIZES = np.random.default_rng(0).integers(1, 9, NUM_EXAMPLES)


def reading(made, read=None, sizes=None, num_examples=NUM_EXAMPLES):
    take = read or (lambda rows: jax.tree.map(lambda leaf: leaf[rows], made.examples))
    return made._replace(trainer=made.trainer._replace(examples=ExampleReader(take, num_examples), sizes=sizes))


@pytest.fixture(params=[32, 3], ids=["long chunks", "short chunks"])
def max_chunk(request, monkeypatch):
    monkeypatch.setattr(chunks, "_MAX_CHUNK", request.param)


@pytest.mark.parametrize("sizes", [None, SIZES], ids=["shuffled", "by size"])
def test_a_reader_trains_as_the_arrays_do(experiment, tmp_path, sizes, max_chunk):
    made = experiment()
    run_to_the_end(made._replace(trainer=made.trainer._replace(sizes=sizes)), tmp_path / "arrays")
    for num_devices in (1, 2):
        run_to_the_end(reading(experiment(num_devices), sizes=sizes), tmp_path / str(num_devices))
        assert_same(outcome(made, tmp_path / "arrays"), outcome(made, tmp_path / str(num_devices)))


@pytest.mark.parametrize("max_events", [1, 3, 6, 8])
def test_a_resume_needs_the_number_of_the_step_alone(experiment, tmp_path, max_chunk, max_events):
    """It may also continue on arrays, and what began on arrays on a reader."""
    run_to_the_end(experiment(), tmp_path / "whole")
    for before, after in ((reading, reading), (reading, lambda made: made), (lambda made: made, reading)):
        path = tmp_path / f"{before.__name__} {after.__name__}"
        run_to_the_end(before(experiment()), path, max_events)
        run_to_the_end(after(experiment()), path)
        assert_same(outcome(experiment(), tmp_path / "whole"), outcome(experiment(), path))


def test_each_device_holds_the_rows_of_its_own_shards(experiment):
    made = reading(experiment())
    served = ReaderFeed(made.trainer, made.plan, 2).serve(0)
    batches = jax.device_get(served.batches)
    (_, _, rows), per_device = batches.rows.shape, len(batches.rows) * batches.rows.shape[2]
    held = [np.asarray(each.data) for each in served.examples.x.addressable_shards]
    assert [len(each) for each in held] == [per_device, per_device]
    for shard in (0, 1):
        expected = made.examples.x[batches.number[:, shard].reshape(-1, rows)]
        np.testing.assert_array_equal(held[shard][batches.rows[:, shard]], expected)


@pytest.mark.parametrize(
    "num_shards, processes, expected",
    [(4, [0, 0], [[0, 1, 2, 3]]), (4, [0, 1], [[0, 1], [2, 3]]), (4, [0, 0, 1, 1], [[0, 1], [2, 3]])],
)
def test_a_process_reads_the_shards_of_its_own_devices(num_shards, processes, expected):
    found = [own_shards(num_shards, processes, process) for process in sorted(set(processes))]
    assert found == expected


def test_the_next_chunk_is_read_while_the_devices_compute(experiment):
    made, was_read = experiment(), threading.Event()

    def read(rows):
        if threading.current_thread() is not threading.main_thread():
            was_read.set()
        return jax.tree.map(lambda leaf: leaf[rows], made.examples)

    feed = ReaderFeed(reading(experiment(epochs=20), read).trainer, experiment(epochs=20).plan, 2)
    feed.serve(0)
    assert was_read.wait(10)
    feed.close()


def test_what_is_drawn_ahead_is_taken_in_any_order_and_its_error_is_raised_there():
    ahead = Ahead(lambda number: 1 // number)
    ahead.announce(1)
    assert ahead.take(1) == 1
    ahead.announce(1)
    assert ahead.take(2) == 0
    ahead.announce(0)
    with pytest.raises(ZeroDivisionError):
        ahead.take(0)
    ahead.close()


WRONG = {
    "too few": (lambda examples, rows: examples.x[rows[:-1]], r"asked for 1 examples and returned 0"),
    "wide integers": (
        lambda examples, rows: examples._replace(x=examples.x[rows], labels=np.full(len(rows), 2**31)),
        "What the reader returned: examples.labels holds 2147483648, and JAX makes int32 of int64",
    ),
    "other forms": (
        lambda examples, rows: examples.x[rows].astype("f4" if len(rows) == 1 else "f8"),
        "has the form .*float64",
    ),
    "nothing": (lambda examples, rows: (), "holds no arrays"),
}


@pytest.mark.parametrize("read, message", WRONG.values(), ids=WRONG.keys())
def test_a_reader_that_does_not_fit_is_refused_in_words(experiment, tmp_path, read, message):
    made = experiment()
    with pytest.raises(ValueError, match=message):
        run_to_the_end(reading(made, lambda rows: read(made.examples, rows)), tmp_path)


def test_what_is_no_reader_is_refused_at_once(experiment, tmp_path):
    with RunDirectory(tmp_path) as run:
        for wrong, message in (
            (reading(experiment(), num_examples=0), "num_examples must be an integer from 1 to .*, not 0"),
            (reading(experiment(), sizes=SIZES[1:]), r"sizes must be one integer per example, \[90\]"),
            (reading(experiment(), [1]), "read must be a function, not a list"),
        ):
            with pytest.raises(ValueError, match=message):
                fit(wrong.trainer, experiment().start, experiment().plan, run)


@pytest.mark.fault(33)
def test_what_was_trained_is_kept_when_reading_fails(experiment, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "_MAX_CHUNK", 2)
    made, calls = experiment(), []

    def read(rows):
        calls.append(len(rows))
        if len(calls) == 5:
            raise OSError(5, "Input/output error", "shard-3")
        return jax.tree.map(lambda leaf: leaf[rows], made.examples)

    with pytest.raises(OSError, match="shard-3"):
        run_to_the_end(reading(made, read), tmp_path / "torn")
    with RunDirectory(tmp_path / "torn") as run:
        assert int(run.resume(made.start).state.step) == 6
    run_to_the_end(reading(made), tmp_path / "torn")
    run_to_the_end(made, tmp_path / "whole")
    assert_same(outcome(made, tmp_path / "whole"), outcome(made, tmp_path / "torn"))
