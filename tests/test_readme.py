import re
from pathlib import Path

import jax
import numpy as np

import recurrent
from recurrent.training import RunDirectory

ROOT = Path(__file__).parents[1]


def example(path):
    (found,) = re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(encoding="utf-8"), flags=re.S)
    return found


def test_the_example_runs_and_its_gradient_is_right():
    names = {}
    exec(example("README.md"), names)
    assert isinstance(names["gradient"], recurrent.lstm.Params)

    def loss_at(distance):
        return names["loss"](jax.tree.map(lambda leaf: leaf + distance, names["params"]))

    slope = sum(float(leaf.sum()) for leaf in jax.tree.leaves(names["gradient"]))
    np.testing.assert_allclose((loss_at(1e-2) - loss_at(-1e-2)) / 2e-2, slope, rtol=3e-2)


def test_the_loop_of_the_reliability_page_runs_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for num_steps in (6, 10):
        names = {}
        exec(example("docs/reliability.md").replace("10", str(num_steps)), names)
        np.testing.assert_allclose(names["state"]["weight"], np.full(3, 1 - 0.5**num_steps), rtol=1e-6)
    with RunDirectory(tmp_path / "my-run") as run:
        assert run.latest.steps()[-1] == 10
        assert run.resume({"weight": np.zeros(3, np.float32)}).notes == []
