import re
from pathlib import Path

import jax
import numpy as np

import recurrent

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_example_runs_and_its_gradient_is_right():
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    names = {}
    exec(example, names)
    assert isinstance(names["gradient"], recurrent.lstm.Params)

    def loss_at(distance):
        return names["loss"](jax.tree.map(lambda leaf: leaf + distance, names["params"]))

    slope = sum(float(leaf.sum()) for leaf in jax.tree.leaves(names["gradient"]))
    np.testing.assert_allclose((loss_at(1e-2) - loss_at(-1e-2)) / 2e-2, slope, rtol=3e-2)
