"""Losses that do not change by themselves, and a checkpoint that must load for ever.

On a machine whose losses are kept they are compared bit for bit, elsewhere within `golden.TOLERANCE`. Between the
instruction sets and flags that one processor offers (SSE 4.2 to AVX2, vectors of 128 to 256 bits) they differed by up
to 1.0e-6.
"""

import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.imdb.runs.open import open_run
from experiments.imdb.training.model import former_path
from recurrent.training import RunDirectory, pace
from recurrent.training.checkpoints.folder import Checkpoints
from tests import forked
from tests.golden import golden

ROOT = Path(__file__).parents[2]


@pytest.fixture
def a_step_at_a_time(monkeypatch):
    monkeypatch.setattr(pace, "DISPATCH_SECONDS", 0.0)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    return golden.data(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def found(tmp_path_factory, child_environment):
    """The machine and its losses, of programs that are compiled as users compile them."""
    command = [sys.executable, "-m", "tests.golden.golden", "--folder", tmp_path_factory.mktemp("found")]
    done = forked.run(command, cwd=ROOT, env=child_environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("cell", golden.CELLS)
def test_losses_are_the_ones_that_were_kept(found, cell):
    entries = golden.read_losses()
    losses = golden.numbers(found["losses"][cell])
    for entry in entries:
        np.testing.assert_allclose(losses, golden.numbers(entry["losses"][cell]), rtol=golden.TOLERANCE)
    for entry in entries:
        if entry["machine"] == found["machine"]:
            renew = "another program: explain it, then renew with tests.golden.golden --why"
            assert found["losses"][cell] == entry["losses"][cell], renew


@pytest.mark.parametrize("cell", golden.CELLS)
def test_losses_of_the_native_backend_are_the_ones_that_were_kept(found, cell):
    """They are near those of all entries, and equal where machine, compiler and flags are the same."""
    if "native" not in found:
        pytest.skip("the native backend is not built")
    native, entries = found["native"], golden.read_losses()
    losses = golden.numbers(native["losses"][cell])
    np.testing.assert_allclose(losses, golden.numbers(found["losses"][cell]), rtol=golden.TOLERANCE)
    for entry in entries:
        kept = entry.get("native", {"losses": entry["losses"], "compiler": None, "flags": None})
        np.testing.assert_allclose(losses, golden.numbers(kept["losses"][cell]), rtol=golden.TOLERANCE)
        is_same = [native[name] == kept[name] for name in ("compiler", "flags")]
        if entry["machine"] == found["machine"] and all(is_same):
            renew = "another program: explain it, then renew with tests.golden.golden --why"
            assert native["losses"][cell] == kept["losses"][cell], renew


def test_every_renewal_says_why():
    for entry in golden.read_losses():
        assert len(entry["why"].split()) > 3


def test_the_kept_checkpoint_loads_as_it_was():
    run = open_run(golden.RUN, "latest")
    told = json.loads((golden.HERE / "run.json").read_text())
    assert run.step == told["step"]
    assert {_kept_path(path): _digest(leaf) for path, leaf in jax.tree.leaves_with_path(run.params)} == {
        tuple(re.findall(r"\w+", path)): digest for path, digest in told["params"].items()
    }
    logits = run.forward(run.params, np.array(told["tokens"], np.uint16))
    np.testing.assert_allclose(logits, told["logits"], rtol=1e-5)
    assert [record.training["loss"] for record in run.records] == [float.fromhex(loss) for loss in told["losses"]]


def _kept_path(path):
    """Returns the names along a leaf's path as they were when the run was kept."""
    names = "/" + jax.tree_util.keystr(path, simple=True, separator="/")
    return tuple(former_path(names).split("/")[1:])


def _digest(leaf):
    return hashlib.sha256(np.asarray(leaf).tobytes()).hexdigest()


@pytest.mark.usefixtures("a_step_at_a_time")
def test_the_kept_run_goes_on(examples, tmp_path):
    """Two epochs of it were done then; the third is done now, in the order that the run began with."""
    path = shutil.copytree(golden.RUN, tmp_path / "run")
    found = golden.losses(examples, golden.recipe(epochs=3), path)
    told = json.loads((golden.HERE / "run.json").read_text())
    np.testing.assert_allclose(found, [float.fromhex(loss) for loss in told["goes_on"]], rtol=golden.TOLERANCE)
    with RunDirectory(path) as run:
        assert [record.epoch for record in run.records()] == [1, 2, 3]


def test_the_kept_run_is_whole():
    for kind in ("latest", "best"):
        checkpoints = Checkpoints(golden.RUN / "checkpoints" / kind)
        assert checkpoints.steps()
        for step in checkpoints.steps():
            checkpoints.check(step)
