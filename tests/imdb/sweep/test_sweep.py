"""Spaces, samplers and the ledger of sweeps, and workers on a few reviews."""

import contextlib
import dataclasses
import itertools
import json
import math
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.imdb.report.sweep import sweep_table, write_sweep
from experiments.imdb.reviews.dataset import load
from experiments.imdb.reviews.own.shards import CorruptShardError
from experiments.imdb.sweep import worker as sweep_worker
from experiments.imdb.sweep.ledger import Ledger, Setting
from experiments.imdb.sweep.plan import SweepPlan, agree_on_data
from experiments.imdb.sweep.samplers import Tried, check_sampler, grid, next_values
from experiments.imdb.sweep.space import Choices, Range, read_space
from experiments.imdb.sweep.starts import DataError, Starts
from experiments.imdb.sweep.worker import Worker
from experiments.imdb.training.recipes import Recipe
from recurrent.training import RunDirectory, Stopped

RECIPE = Recipe(
    vocabulary_size=30, sequence_length=8, embedding_size=2, hidden_size=2, batch_size=10, epochs=2, num_shards=2
)
SPACE = {"learning_rate": Choices((0.01, 0.1)), "hidden_size": Choices((2, 3))}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate", r"takes FIELD=VALUE,VALUE or FIELD=LOW:HIGH, not 'learning_rate'"),
        ("learning_rat=1", "no field 'learning_rat'. Did you mean 'learning_rate'"),
        ("seed=1,2", "seed can't be varied: --seeds says"),
        ("hidden_size=3,3", "hidden_size has a value twice"),
        ("hidden_size=3.5", "hidden_size can't be 3.5"),
        ("learning_rate=0:1:log", "no range: LOW:HIGH, or LOW:HIGH:log with LOW above 0"),
        ("learning_rate=2:1", "no range"),
        ("learning_rate=0.1,-1", "learning_rate must be positive"),
        ("cell=lstm,gur", "cell can't be 'gur'"),
        ("dtype=float32,float64", "dtype can't be varied: JAX is started for one data type"),
        ("hidden_size={}", "hidden_size can't be '{}'"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        read_space([text], RECIPE)


def test_a_space_has_values_of_every_kind():
    space = read_space(
        ["clip-norm=None,1", "bidirectional=true,false", "layer_sizes=[4,8],[8]", "hidden_size=8:64", "decay=0:0.5"],
        RECIPE,
    )
    assert space == {
        "clip_norm": Choices((None, 1)),
        "bidirectional": Choices((True, False)),
        "layer_sizes": Choices(((4, 8), (8,))),
        "hidden_size": Range(8, 64),
        "decay": Range(0.0, 0.5),
    }
    assert [space[name].is_integer for name in ("hidden_size", "decay")] == [True, False]


def test_a_grid_has_all_combinations_once_and_programs_together():
    found = list(grid(SPACE))
    assert [each["hidden_size"] for each in found] == [2, 2, 3, 3]
    assert {(each["hidden_size"], each["learning_rate"]) for each in found} == set(
        itertools.product((2, 3), (0.01, 0.1))
    )
    assert next_values("grid", SPACE, 0, [Tried(each, 0.5) for each in found]) is None
    with pytest.raises(ValueError, match="learning_rate has a range"):
        check_sampler("grid", {"learning_rate": Range(0.1, 1.0)})


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_sampler_draws_within_the_space_and_never_twice(sampler):
    if sampler == "tpe":
        pytest.importorskip("optuna")
    space = {"learning_rate": Range(1e-4, 1e-1, is_log=True), "hidden_size": Range(2, 4), "cell": Choices(("gru",))}
    tried: list[Tried] = []
    for number in range(12):
        values = next_values(sampler, space, 3, tried)
        assert values == next_values(sampler, space, 3, tried)  # a function of what was tried
        assert 1e-4 <= values["learning_rate"] <= 1e-1
        assert values["hidden_size"] in (2, 3, 4)
        assert values["cell"] == "gru"
        assert values not in [each.values for each in tried]
        tried.append(Tried(values, -abs(math.log(values["learning_rate"] / 1e-2)) if number % 3 else None))


def test_tpe_comes_closer_to_the_best_than_chance():
    pytest.importorskip("optuna")
    space, tried = {"learning_rate": Range(1e-4, 1.0, is_log=True)}, []
    for _ in range(25):
        values = next_values("tpe", space, 0, tried)
        tried.append(Tried(values, -abs(math.log10(values["learning_rate"]) + 2)))
    late = [-each.score for each in tried[15:]]
    assert np.median(late) < 0.5  # at random: 1


def test_the_few_settings_of_a_space_run_out():
    tried = [Tried({"cell": "gru"}, 0.5)]
    assert next_values("random", {"cell": Choices(("gru",))}, 0, tried) is None


def test_a_ledger_reads_back_what_was_written_and_drops_a_torn_line(tmp_path):
    ledger = Ledger(tmp_path)
    with ledger.held():
        first = ledger.add({"hidden_size": 2})
        ledger.add({"hidden_size": 3})
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write('{"setting": 1, "best"')
    with ledger.held():
        ledger.finish(first._replace(best=[0.5, 0.75], last=[0.5, 0.5]))
    one, other = ledger.settings()
    assert (one.score, one.is_open, other.score, other.is_open) == (0.625, False, None, True)
    (tmp_path / "ledger.jsonl").write_text('{"best": 1}\n')
    with pytest.raises(ValueError, match="line 1 is not a ledger's"):
        ledger.settings()


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    """Forty reviews whose first word decides, as own data."""
    folder = tmp_path_factory.mktemp("reviews")
    file = folder / "mails.csv"
    rows = [
        f"{'good' if number % 2 else 'bad'} film number {number},{'yes' if number % 2 else 'no'}"
        for number in range(40)
    ]
    file.write_text("text,label\n" + "\n".join(rows) + "\n")
    return str(file), load(str(file), folder / "data", 30, 8), folder / "data"


def worker(reviews, folder, space=SPACE, seeds=(0, 1), together=4, should_stop=lambda: False, **fields):
    source, data, data_dir = reviews
    recipe = dataclasses.replace(RECIPE, source=source, **fields)
    plan = SweepPlan(recipe, space, "grid", seeds)
    return Worker(plan, folder, 100, together, lambda recipe: data, data_dir, 1000, should_stop)


@pytest.fixture(scope="module")
def swept(reviews, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    return folder, list(worker(reviews, folder).work())


def test_a_sweep_trains_every_setting_with_every_seed(swept):
    folder, steps = swept
    settings = Ledger(folder).settings()
    assert [setting.values["hidden_size"] for setting in settings] == [2, 2, 3, 3]
    for setting in settings:
        for seed, best, last in zip((0, 1), setting.best, setting.last, strict=True):
            records = RunDirectory(folder / "settings" / f"{setting.number:04}" / f"seed{seed}").records()
            accuracies = [record.validation["acc"] for record in records]
            assert (len(accuracies), max(accuracies), accuracies[-1]) == (2, best, last)
    assert [len(step.settings) for step in steps if step.finished] == [2, 2]  # two programs


def test_a_sweep_that_is_done_does_nothing_and_grows_by_new_settings_alone(reviews, swept):
    folder, _ = swept
    assert list(worker(reviews, folder).work()) == []
    assert len(Ledger(folder).settings()) == 4


def test_another_sweep_in_the_folder_is_refused_and_the_difference_listed(reviews, swept):
    with pytest.raises(ValueError, match=r"holds another sweep \(recipe.epochs: 2 there, 3 now\)"):
        list(worker(reviews, swept[0], epochs=3).work())


def test_a_sweep_that_was_stopped_ends_as_if_it_had_not_been(reviews, swept, tmp_path):
    events = itertools.count()
    list(worker(reviews, tmp_path, should_stop=lambda: next(events) > 4).work())
    assert any(setting.is_open for setting in Ledger(tmp_path).settings())
    list(worker(reviews, tmp_path).work())
    assert Ledger(tmp_path).settings() == Ledger(swept[0]).settings()


def streamed(reviews):
    source, _, data_dir = reviews
    return source, load(source, data_dir, 30, 8, stream=True), data_dir


def test_a_sweep_goes_on_with_reviews_that_stay_on_disk(reviews, swept, tmp_path):
    events = itertools.count()
    list(worker(reviews, tmp_path, should_stop=lambda: next(events) > 4).work())
    list(worker(streamed(reviews), tmp_path, stream=True).work())
    assert Ledger(tmp_path).settings() == Ledger(swept[0]).settings()


@pytest.mark.fault(33)
def test_a_corrupt_review_ends_the_process_and_is_no_fault_of_the_setting(reviews, tmp_path):
    data_dir = shutil.copytree(reviews[2], tmp_path / "data")
    torn = streamed((reviews[0], None, data_dir))
    (shard,) = data_dir.rglob("*.ids")
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(ValueError, match=r"train-00000\.ids: review \d+ of it is corrupt"):
        list(worker(torn, tmp_path / "sweep", stream=True).work())
    assert all(setting.is_open for setting in Ledger(tmp_path / "sweep").settings())


def test_a_setting_that_another_process_trains_is_left_to_it(reviews, tmp_path):
    ledger = Ledger(tmp_path)
    with ledger.held():
        for values in grid(SPACE):
            ledger.add(values)
    lock = ledger.claim(1)
    list(worker(reviews, tmp_path).work())
    assert [setting.is_open for setting in ledger.settings()] == [False, True, False, False]
    lock.release()
    list(worker(reviews, tmp_path).work())
    assert not any(setting.is_open for setting in ledger.settings())


def _append(folder, values):
    ledger = Ledger(Path(folder))
    for value in values:
        with ledger.held():
            ledger.add({"hidden_size": value})


def test_processes_that_add_at_once_lose_no_line(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_append, args=(tmp_path, range(number, 60, 3))) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    settings = Ledger(tmp_path).settings()
    assert [setting.number for setting in settings] == list(range(60))
    assert sorted(setting.values["hidden_size"] for setting in settings) == list(range(60))


def test_a_setting_that_no_recipe_has_fails_and_the_others_are_trained(reviews, tmp_path):
    space = {"optimizer": Choices(("rmsprop", "sgd")), "momentum": Choices((0.0, 0.5))}
    list(worker(reviews, tmp_path, space=space, seeds=(0,)).work())
    failures = {json.dumps(each.values): each.failure for each in Ledger(tmp_path).settings()}
    assert sum(failure is None for failure in failures.values()) == 3
    assert all("momentum is of sgd alone" in failure for failure in failures.values() if failure)


def test_settings_that_training_refuses_fail_and_the_others_are_trained(reviews, tmp_path):
    space = {"warmup_steps": Choices((0, 1000))}
    steps = list(worker(reviews, tmp_path, space=space, seeds=(0,)).work())
    one, other = Ledger(tmp_path).settings()
    assert (one.failure, len(one.best)) == (None, 1)
    assert "warmup_steps (1000) must be below" in other.failure
    assert sum(len(step.settings) for step in steps if step.finished) == 2
    assert list(worker(reviews, tmp_path, space=space, seeds=(0,)).work()) == []


@pytest.mark.fault(34)
def test_a_setting_for_which_memory_runs_out_fails_alone_and_the_others_are_trained(reviews, tmp_path, monkeypatch):
    """The hidden size is a million, so XLA refuses the memory; of a program of two settings, one takes too much."""
    space = {"hidden_size": Choices((2, 1_000_000))}
    list(worker(reviews, tmp_path / "a", space=space, seeds=(0,)).work())
    small, large = Ledger(tmp_path / "a").settings()
    assert (small.failure, len(small.best)) == (None, 1)
    assert "out of memory (RESOURCE_EXHAUSTED: Out of memory allocating" in large.failure

    def prepare_few(recipes, *arguments, **options):
        if len(recipes) > 1 or recipes[0].learning_rate == 0.1:
            raise MemoryError("Unable to allocate 9 GiB")
        return prepare_many(recipes, *arguments, **options)

    prepare_many = sweep_worker.prepare_many
    monkeypatch.setattr(sweep_worker, "prepare_many", prepare_few)
    space = {"learning_rate": Choices((0.01, 0.1))}
    list(worker(reviews, tmp_path / "b", space=space, seeds=(0,)).work())
    one, other = Ledger(tmp_path / "b").settings()
    assert (one.failure, len(one.best)) == (None, 1)
    assert other.failure == "out of memory (Unable to allocate 9 GiB)"


def _die(reviews, folder):
    """Works on a sweep as a process that is killed when it trains a hidden size of 3."""

    def prepare_or_die(recipes, *arguments, **options):
        if any(recipe.hidden_size == 3 for recipe in recipes):
            os.kill(os.getpid(), signal.SIGKILL)
        return prepare_many(recipes, *arguments, **options)

    prepare_many, sweep_worker.prepare_many = sweep_worker.prepare_many, prepare_or_die
    list(worker(reviews, Path(folder), space={"hidden_size": Choices((2, 3, 4))}, seeds=(0,)).work())


@pytest.mark.slow
@pytest.mark.fault(34)
def test_a_setting_that_kills_its_processes_has_failed_after_three(reviews, tmp_path):
    context, codes = multiprocessing.get_context("spawn"), []
    for _ in range(4):
        process = context.Process(target=_die, args=(reviews, tmp_path))
        process.start()
        process.join()
        codes.append(process.exitcode)
    assert codes == [-9, -9, -9, 0]
    first, second, third = Ledger(tmp_path).settings()
    assert (len(first.best), len(third.best)) == (1, 1)
    assert second.failure == (
        "3 processes began to train it, and none saved a step (killed each time; perhaps memory ran out)"
    )


def test_starts_count_where_none_saved_a_step_and_none_ended_in_order(tmp_path):
    def begin(saved_steps, error=None):
        with contextlib.suppress(type(error) if error else ()), Starts(tmp_path, saved_steps):
            if error is not None:
                raise error

    of_data = (DataError("the data have changed"), CorruptShardError("shard-3"))
    for harmless in (None, OSError(28, "No space left on device"), KeyboardInterrupt(), Stopped(), *of_data):
        begin(5, harmless)
        assert list(tmp_path.iterdir()) == []
    begin(5, TypeError("a defect"))
    begin(5, RuntimeError("INTERNAL: another"))
    begin(5)
    assert (Starts(tmp_path, 5).count, Starts(tmp_path, 5).failure) == (2, None)
    assert Starts(tmp_path, 6).count == 0  # a step was saved since
    begin(5, TypeError("a defect"))
    assert "none saved a step (the last error: TypeError: a defect)" in Starts(tmp_path, 5).failure


def test_a_setting_that_did_not_end_is_trained_alone(reviews, swept, tmp_path):
    ledger = Ledger(tmp_path)
    with ledger.held():
        for values in grid(SPACE):
            ledger.add(values)
    with contextlib.suppress(TypeError), Starts(ledger.place(1), 0):
        raise TypeError
    steps = list(worker(reviews, tmp_path).work())
    assert [[setting.number for setting in step.settings] for step in steps if step.finished] == [[0], [1], [2, 3]]
    assert ledger.settings() == Ledger(swept[0]).settings()


def test_a_full_disk_ends_the_process_and_is_no_fault_of_the_setting(reviews, tmp_path, monkeypatch):
    monkeypatch.setattr("recurrent.training.checkpoints.folder.ROOM_BYTES", 1 << 60)
    with pytest.raises(OSError, match="No space left on device"):
        list(worker(reviews, tmp_path, seeds=(0,)).work())
    assert all(setting.is_open for setting in Ledger(tmp_path).settings())
    assert not list(tmp_path.rglob("starts"))
    monkeypatch.undo()
    (run,) = tmp_path.glob("settings/0000/seed0")
    (run / "manifest.json").write_text("{}")  # damaged in the meantime, and no checkpoint can restore it
    list(worker(reviews, tmp_path, seeds=(0,)).work())
    first, *others = Ledger(tmp_path).settings()
    assert "manifest.json" in first.failure
    assert all(setting.failure is None and setting.best for setting in others)


def test_a_sweep_goes_on_with_the_reviews_it_began_with_in_a_folder_of_its_own(reviews, swept, tmp_path):
    folder, _ = swept
    with (
        Ledger(folder).held(),
        pytest.raises(ValueError, match=r"The reviews have changed since the sweep in .* began"),
    ):
        agree_on_data(folder, RECIPE.validation_share, "f" * 64)
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(ValueError, match=r"holds other files \(recipe.json\): a sweep needs a folder of its own"):
        list(worker(reviews, tmp_path).work())


@pytest.mark.parametrize(
    "line",
    [
        '{"setting": "0", "values": {}}',
        '{"setting": 7, "values": {}}',
        '{"setting": 0, "values": {}, "best": [], "last": []}',
    ],
)
def test_a_damaged_ledger_is_refused_with_its_line(tmp_path, line):
    (tmp_path / "ledger.jsonl").write_text(line + "\n")
    with pytest.raises(ValueError, match="line 1 is not a ledger's"):
        Ledger(tmp_path).settings()


def test_a_report_lists_the_settings_best_first_and_draws_a_picture_a_field(swept, tmp_path):
    folder, _ = swept
    files = write_sweep(folder, tmp_path)
    assert {file.name for file in files} == {
        "sweep.html",
        "sweep.json",
        *(f"sweep_{name}.{kind}" for name in SPACE for kind in ("svg", "png")),
    }
    settings = [Setting(0, {"cell": "gru"}, [0.5], [0.5]), Setting(1, {"cell": "lstm"}, [0.75], [0.5])]
    rows = sweep_table([*settings, Setting(2, {"cell": "x"}, failure="no such cell")], ["cell"]).rows
    assert rows == [
        ["1", "lstm", "0.7500", "0.5000", ""],
        ["0", "gru", "0.5000", "0.5000", ""],
        ["2", "x", "", "", "no such cell"],
    ]
    assert len(json.loads((tmp_path / "sweep.json").read_text())["settings"]) == 4
    with pytest.raises(ValueError, match="no finished setting yet"):
        write_sweep(tmp_path / "none", tmp_path)


def test_settings_of_different_numbers_are_trained_as_alone(reviews, swept, tmp_path):
    """In one program the optimizer's numbers are traced: the last bits may differ, and nothing else."""
    from experiments.imdb.training.train import prepare, train

    folder, _ = swept
    setting = Ledger(folder).settings()[1]
    source, data, _ = reviews
    recipe = dataclasses.replace(RECIPE, source=source, **setting.values)
    training = prepare(recipe, data)
    with RunDirectory(tmp_path) as run:
        list(train(training, run.resume(training.start).state, recipe, run, 1000, lambda: False))
        alone = run.latest.restore(run.latest.sealed_steps()[-1], training.start)
    with RunDirectory(folder / "settings" / "0001" / "seed0") as run:
        together = run.latest.restore(run.latest.sealed_steps()[-1], training.start)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), alone.params, together.params)
