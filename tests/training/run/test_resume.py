"""Damage to a run directory: each file of a checkpoint, records, manifest. The run ends as if nothing had been."""

import itertools
import json
import random
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recurrent.training import RunDirectory, fit
from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.checkpoints.hashes import Corrupt
from recurrent.training.checkpoints.seal import read_seal, write_seal

EPOCHS = 3


def go_on(experiment, path):
    """Resumes and trains to the end; returns what the resume had to say."""
    made = experiment(epochs=EPOCHS)
    with RunDirectory(path) as run:
        run.begin({"recipe": {"epochs": EPOCHS}})
        resumed = run.resume(made.start)
        list(fit(made.trainer, resumed.state, made.plan, run))
    return resumed


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run: 15 steps, checkpoints of steps 10, 12 and 15, the best one of an epoch's end."""
    from tests.training.conftest import make_experiment

    path = tmp_path_factory.mktemp("runs") / "whole"
    go_on(make_experiment, path)
    return path


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def parts_of(path, step):
    """All files that belong to a step of the latest ones, its manifest too."""
    folder = path / "checkpoints"
    files = sorted(file for file in (folder / "latest" / str(step)).rglob("*") if file.is_file())
    return [*files, folder / "manifests" / "latest" / f"{step}.json"]


def state_of(path, like):
    with RunDirectory(path) as run:
        return jax.device_get(run.resume(like).state)


def same(one, other, like):
    jax.tree.map(np.testing.assert_array_equal, state_of(one, like), state_of(other, like))
    assert (one / "records.jsonl").read_bytes() == (other / "records.jsonl").read_bytes()


def truncate(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file):
    file.write_bytes(b"")


def flip_a_bit(file, draw=random.Random(0)):  # noqa: B008 - one sequence of bits for all files
    content = bytearray(file.read_bytes())
    if not content:
        content = bytearray(b"\0")  # an empty file can't lose a bit, but gain one
    position = draw.randrange(len(content))
    content[position] ^= 1 << draw.randrange(8)
    file.write_bytes(bytes(content))


DAMAGES = [
    pytest.param(truncate, marks=pytest.mark.fault(3)),
    pytest.param(empty, marks=pytest.mark.fault(3)),
    pytest.param(lambda file: file.unlink(), id="delete", marks=pytest.mark.fault(3)),
    pytest.param(flip_a_bit, marks=pytest.mark.fault(4)),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_any_file_of_a_checkpoint_is_found_and_the_step_before_is_used(experiment, whole, tmp_path, damage):
    start, files = experiment().start, parts_of(whole, 15)
    assert len(files) > 5
    for number, original in enumerate(files):
        if damage is not flip_a_bit and not original.stat().st_size:
            continue  # nothing to cut off
        path = shutil.copytree(whole, tmp_path / str(number))
        shutil.rmtree(path / "checkpoints" / "best")
        shutil.rmtree(path / "checkpoints" / "manifests" / "best")
        file = path / original.relative_to(whole)
        damage(file)
        with RunDirectory(path) as run:
            resumed = run.resume(start)
        assert resumed.step == 12, file
        assert resumed.notes[0].startswith(
            ("checkpoint latest/15 is corrupt:", "checkpoint latest/15 is incomplete:")
        ), file
        if file.suffix != ".json":
            assert str(file.relative_to(path / "checkpoints" / "latest" / "15")) in resumed.notes[0]
        assert resumed.notes[1] == "continuing from latest/12"
        assert (path / "checkpoints" / "rejected" / "latest-15").is_dir()
    assert go_on(experiment, path).step == 12
    same(path, whole, start)


@pytest.mark.fault(3)
def test_a_checkpoint_that_is_gone_is_missed_for_its_manifest_is_there(experiment, copy, whole):
    shutil.rmtree(copy / "checkpoints" / "latest" / "15")
    resumed = go_on(experiment, copy)
    assert "latest/15 is corrupt: its folder is missing" in resumed.notes[0]
    same(copy, whole, experiment().start)


@pytest.mark.fault(4)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit_is_found(whole, data):
    """Also in the manifest itself, whose last line is the hash of all before it."""
    checkpoints = Checkpoints(whole / "checkpoints" / "latest")
    file = data.draw(st.sampled_from([each for each in parts_of(whole, 15) if each.stat().st_size]))
    original = file.read_bytes()
    bit = data.draw(st.integers(0, 8 * len(original) - 1))
    content = bytearray(original)
    content[bit // 8] ^= 1 << (bit % 8)
    file.write_bytes(bytes(content))
    try:
        with pytest.raises(Corrupt):
            checkpoints.check(15)
    finally:
        file.write_bytes(original)
    checkpoints.check(15)


@pytest.mark.fault(5)
def test_if_no_checkpoint_is_whole_each_is_named_and_nothing_is_touched(experiment, copy):
    steps = [*(copy / "checkpoints" / "latest").iterdir(), *(copy / "checkpoints" / "best").iterdir()]
    for step in steps:
        flip_a_bit(step / "_METADATA")
    before = {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()}
    for _ in range(2):  # the second time too: nothing was moved that would make the folder look new
        with pytest.raises(ValueError, match="none of its checkpoints is intact") as caught:
            go_on(experiment, copy)
        for step in steps:
            assert f"{step.parent.name}/{step.name}: _METADATA was changed" in str(caught.value)
    assert {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()} == before


@pytest.mark.fault(5)
def test_a_run_whose_checkpoints_are_gone_does_not_start_over_in_silence(experiment, copy):
    shutil.rmtree(copy / "checkpoints")
    for name in ("nothing more", "records.jsonl", "timings.jsonl", "manifest.json"):
        (copy / name).unlink(missing_ok=True)
        if name == "manifest.json":
            assert go_on(experiment, copy).step == 0  # of the run, nothing at all is left
        else:
            with pytest.raises(ValueError, match="there were some, and none is left"):
                go_on(experiment, copy)


def test_the_best_checkpoint_serves_where_all_of_the_latest_are_lost(experiment, copy, whole):
    (best,) = (int(step.name) for step in (copy / "checkpoints" / "best").iterdir())
    for step in (copy / "checkpoints" / "latest").iterdir():
        flip_a_bit(step / "_METADATA")
    resumed = go_on(experiment, copy)
    assert resumed.step == best
    assert f"continuing from best/{best}" in resumed.notes
    same(copy, whole, experiment().start)


def test_a_damaged_best_checkpoint_is_told_though_the_latest_is_whole(experiment, copy, whole):
    (best,) = (copy / "checkpoints" / "best").iterdir()
    flip_a_bit(best / "_METADATA")
    with RunDirectory(copy) as run:
        resumed = run.resume(experiment().start)
    assert resumed.step == 15
    assert any(f"checkpoint best/{best.name} is corrupt" in note for note in resumed.notes)


@pytest.mark.parametrize("is_in_latest", [True, False])
def test_a_lost_best_checkpoint_is_copied_again_or_told_to_be_lost(experiment, tmp_path, is_in_latest):
    verdicts = {5: 0.5, 10: 0.9, 15: 0.6} if is_in_latest else {5: 0.9, 10: 0.5, 15: 0.6}
    made = experiment(epochs=3, save_every=5)

    def train():
        with RunDirectory(tmp_path, keep=2) as run:
            resumed = run.resume(made.start)
            steps = iter([verdicts[step] for step in verdicts if step > resumed.step])
            trainer = made.trainer._replace(evaluate=lambda params: {"acc": next(steps)})
            list(fit(trainer, resumed.state, made.plan, run))
            return resumed.notes, run.best.sealed_steps()

    (leader,) = train()[1]
    flip_a_bit(tmp_path / "checkpoints" / "best" / str(leader) / "_METADATA")
    notes, best = train()
    assert f"best/{leader} is corrupt" in notes[0]
    assert best == ([leader] if is_in_latest else [])
    assert any("is lost" in note for note in notes) is not is_in_latest


def test_two_best_checkpoints_that_a_kill_left_become_one(experiment, copy):
    best = copy / "checkpoints" / "best"
    (whole,) = best.iterdir()
    latest = RunDirectory(copy).latest
    older = next(step for step in latest.steps() if step < int(whole.name))
    shutil.copytree(latest.path(older), best / str(older))
    shutil.copy(latest.seal_path(older), copy / "checkpoints" / "manifests" / "best" / f"{older}.json")
    go_on(experiment, copy)
    assert [step.name for step in best.iterdir()] == [whole.name]


@pytest.mark.fault(3)
def test_an_older_damaged_checkpoint_is_moved_aside_too(experiment, copy):
    flip_a_bit(copy / "checkpoints" / "latest" / "12" / "_METADATA")
    resumed = go_on(experiment, copy)
    assert resumed.step == 15
    assert "latest/12 is corrupt" in resumed.notes[0]
    assert (copy / "checkpoints" / "rejected" / "latest-12").is_dir()


def test_a_checkpoint_of_a_later_format_is_refused_and_stays(experiment, copy):
    file = copy / "checkpoints" / "manifests" / "latest" / "15.json"
    manifest = read_seal(file)
    write_seal(file, manifest._replace(format=3))
    with pytest.raises(ValueError, match=r"15\.json has format 3; this version of the library reads 1 to 2"):
        go_on(experiment, copy)
    assert not (copy / "checkpoints" / "rejected").exists()


def test_a_changed_manifest_of_the_run_is_put_right_by_its_checkpoints(experiment, copy):
    changed = json.loads((copy / "manifest.json").read_text())
    changed["identity"]["recipe"]["epochs"] = 7
    (copy / "manifest.json").write_text(json.dumps(changed))
    with RunDirectory(copy) as run:
        (warning,) = run.begin({"recipe": {"epochs": EPOCHS}})
    assert "manifest.json was changed (recipe.epochs: 3 there, 7 now); restored from latest/15" in warning
    assert json.loads((copy / "manifest.json").read_text())["identity"]["recipe"] == {"epochs": EPOCHS}


def test_what_can_not_be_a_checkpoint_is_refused_at_once(tmp_path):
    state = {"weight": jnp.zeros(2)}
    with RunDirectory(str(tmp_path)) as run:
        run.save(np.int64(3), state)
        for step in (-1, 10.0, True):
            with pytest.raises(ValueError, match=f"step must be an integer of at least 0, not {step}"):
                run.save(step, state)
        with pytest.raises(ValueError, match=r"\['rate'\] is a float; a state's leaves must be arrays"):
            run.save(4, {"rate": 0.5})
        assert run.latest.steps() == [3]
    with pytest.raises(RuntimeError, match="not held by this process"):
        run.save(5, state)
    for keep in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match=f"keep must be an integer of at least 1, not {keep}"):
            RunDirectory(tmp_path, keep=keep)


@pytest.mark.fault(12)
def test_another_identity_is_refused_and_each_difference_listed(experiment, copy):
    before = {file: file.read_bytes() for file in copy.rglob("*.json*")}
    with RunDirectory(copy) as run:
        with pytest.raises(ValueError, match=r"recipe\.epochs: 3 there, 4 now; recipe\.cell: absent there, gru now"):
            run.begin({"recipe": {"epochs": 4, "cell": "gru"}})
        run.begin({"recipe": {"epochs": 4}}, free=["recipe.epochs"])
    (copy / "manifest.json").write_bytes(before[copy / "manifest.json"])
    with RunDirectory(copy) as run, pytest.raises(ValueError, match=r"recipe\.epochs: 3 there, 7 now"):
        run.begin({"recipe": {"epochs": 7}})
    assert not (copy / "checkpoints" / "rejected").exists()


@pytest.mark.fault(12)
def test_another_dtype_is_refused_without_moving_anything(experiment, copy):
    start = experiment().start
    other = start._replace(params=jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), start.params))
    with RunDirectory(copy) as run, pytest.raises(ValueError, match=r"params/weights: float32\[3\] there, bfloat16"):
        run.resume(other)
    assert not (copy / "checkpoints" / "rejected").exists()


LINES = {
    "torn": lambda lines: [*lines[:2], lines[2][:20]],
    "doubled": lambda lines: [lines[0], lines[1], lines[1], lines[2], lines[2]],
    "lost": lambda lines: [lines[0], lines[2]],
    "changed": lambda lines: [lines[0].replace('"acc": 0.', '"acc": 0.9'), *lines[1:]],
    "in disorder": lambda lines: lines[::-1],
    "torn in the middle": lambda lines: [lines[0][:30] + lines[1], lines[2]],
    "no text": lambda lines: [lines[0], "\x00\xff\n", *lines[1:]],
    "gone": lambda lines: [],
    "the last changed": lambda lines: [*lines[:2], lines[2].replace("0.", "0.9")],
    "the last lost": lambda lines: lines[:2],
    "of another kind": lambda lines: ["[]\n", '{"epoch": "1"}\n', *lines],
}


@pytest.mark.fault(25)
@pytest.mark.parametrize("change", LINES.values(), ids=LINES.keys())
def test_records_are_mended_from_the_checkpoint(experiment, copy, whole, change):
    for name in ("records.jsonl", "timings.jsonl"):
        lines = (whole / name).read_text().splitlines(keepends=True)
        (copy / name).write_text("".join(change(lines)), encoding="latin-1")
    go_on(experiment, copy)
    assert (copy / "records.jsonl").read_bytes() == (whole / "records.jsonl").read_bytes()
    with RunDirectory(copy) as run:
        epochs = [timing.epoch for timing in run.timings()]
        assert len(set(epochs)) == len(epochs)


def test_a_damaged_or_lost_manifest_of_the_run_is_known_to_its_checkpoints(experiment, copy):
    file = copy / "manifest.json"
    original = json.loads(file.read_text())
    for content, problem in ((b"{", "is corrupt"), (b'{"identity": 3}', "is corrupt"), (None, "is missing")):
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_bytes(content)
        with RunDirectory(copy) as run:
            (warning,) = run.begin({"recipe": {"epochs": EPOCHS}})
            assert f"manifest.json {problem}" in warning
        assert json.loads(file.read_text())["identity"] == original["identity"]
        file.unlink()
        with RunDirectory(copy) as run, pytest.raises(ValueError, match="epochs: 3 there, 5 now"):
            run.begin({"recipe": {"epochs": 5}})


HOSTILE = {
    "no JSON": "{",
    "not sealed": "{}",
    "deep": "[" * 100_000,
    "another text": "\ud83d\ude00",
    "long": "1" * 10_000,
}


@pytest.mark.fault(23)
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_manifest_that_is_none_is_damage_and_nothing_else(tmp_path, content):
    file = tmp_path / "1.json"
    file.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(Corrupt):
        read_seal(file)


@pytest.mark.fault(23)
def test_links_in_a_checkpoint_are_not_followed(copy, tmp_path):
    checkpoints, secret = Checkpoints(copy / "checkpoints" / "latest"), tmp_path / "secret"
    file = checkpoints.path(15) / "_METADATA"
    shutil.move(file, secret)
    file.symlink_to(secret)
    with pytest.raises(Corrupt, match="_METADATA is a link"):
        checkpoints.check(15)


def test_what_was_moved_aside_is_never_overwritten(experiment, copy, whole):
    for number in itertools.count(1):
        flip_a_bit(copy / "checkpoints" / "latest" / "15" / "_METADATA")
        shutil.rmtree(copy / "checkpoints" / "best", ignore_errors=True)
        shutil.rmtree(copy / "checkpoints" / "manifests" / "best", ignore_errors=True)
        go_on(experiment, copy)
        if number == 3:
            break
    names = sorted(path.name for path in (copy / "checkpoints" / "rejected").iterdir() if path.is_dir())
    assert names == ["latest-15", "latest-15.2", "latest-15.3"]
    same(copy, whole, experiment().start)
