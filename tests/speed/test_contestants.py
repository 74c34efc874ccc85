"""All contestants compute the same thing from the same weights, or their times would mean nothing."""

import importlib
import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest

import recurrent.backends
from experiments.speed.contestants import BACKENDS, CONTESTANTS, NAMES, OF_SUITES, OURS, LeftOut, unfit
from experiments.speed.task import GATES, Task, block, weights
from tests import reference

TASKS = {
    "full": {"lengths": "full"},
    "padding_read": {"lengths": "reviews"},
    "padding_masked": {"lengths": "reviews", "padding": "masked"},
}
PRESENT = [
    name
    for name in NAMES
    if name != "keras_tensorflow" and importlib.util.find_spec(f"experiments.speed.contestants.{name}")
]
ONLY = {
    "cuda": ["padding_read"],
    "native": ["padding_read", "padding_masked"],
    "fused": ["padding_read"],
    "own_loop": ["padding_read", "padding_masked"],
    "keras_drop_in": ["padding_read", "padding_masked"],
    "linen_drop_in": ["padding_read", "padding_masked"],
}
"""Backends and calls of which `ours` and other tests try the rest."""
PAIRS = [(name, kind) for name in PRESENT for kind in ONLY.get(name, TASKS) if name in OURS or kind != "full"]
"""To peers full sequences are nothing special; ours may have a path of their own for them."""


def make_task(cell: str, kind: str) -> Task:
    return Task(cell=cell, batch=4, time=6, width=3, vocabulary=20, steps=2, **TASKS[kind])


def make(name, task):
    try:
        return importlib.import_module(f"experiments.speed.contestants.{name}").make(task, weights(task))
    except LeftOut as reason:
        pytest.skip(str(reason))


def expected_logits(task: Task, params, data) -> np.ndarray:
    """Reads each sequence of the first batch in NumPy's float64, and of masked ones the words alone."""
    equations = reference.CELLS[task.cell]
    zero = np.zeros(task.width)
    logits = []
    for tokens, length in zip(data.tokens[0], data.lengths[0], strict=True):
        state = (zero,) * equations.num_states
        for token in tokens[task.time - length :] if task.padding == "masked" else tokens:
            cell_params = tuple(np.float64(array) for array in params[1:4])
            state = equations.step(cell_params, state, np.float64(params.embedding[token]))
        logits.append(state[0] @ params.head_kernel[:, 0] + params.head_bias[0])
    return np.array(logits)


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("name, kind", PAIRS)
def test_logits_are_those_of_the_equations_and_losses_those_of_pytorch(name, kind, cell, relaxed):
    task = make_task(cell, kind)
    if reason := unfit(name, task):
        pytest.skip(reason)
    with relaxed():
        contestant, pytorch = make(name, task), make("pytorch", task)
        wanted = expected_logits(task, weights(task), block(task, 0))
        np.testing.assert_allclose(contestant.predict(block(task, 0)), wanted, atol=1e-6)
        for data in [block(task, turn) for turn in range(3)]:
            assert contestant.train(data) == pytest.approx(pytorch.train(data), rel=1e-5)
            np.testing.assert_allclose(contestant.predict(data), pytorch.predict(data), rtol=1e-4, atol=1e-5)


def test_what_padding_means_makes_a_difference():
    read, masked = (make_task("lstm", kind) for kind in ("padding_read", "padding_masked"))
    data = block(read, 0)
    difference = expected_logits(read, weights(read), data) - expected_logits(masked, weights(masked), data)
    assert np.abs(difference[data.lengths[0] < read.time]).min() > 1e-4


def test_packing_takes_part_where_padding_is_not_read():
    assert unfit("pytorch_packed", make_task("lstm", "padding_read"))
    assert unfit("pytorch_packed", make_task("lstm", "padding_masked")) is None
    others = [name for name in NAMES if name != "pytorch_packed"]
    assert [unfit(name, make_task("lstm", "padding_read")) for name in others] == [None] * len(others)


def test_each_contestant_is_described():
    assert tuple(CONTESTANTS) == NAMES
    assert set(OURS) - {"ours", *OF_SUITES} == set(BACKENDS) <= set(recurrent.backends.BACKENDS)


@pytest.mark.parametrize(
    "backends, message",
    [
        ({}, "this version has no backend 'native'"),
        ({"native": "it is not built: run this"}, "it is not built: run this"),
    ],
)
def test_a_backend_that_cannot_run_here_says_why(monkeypatch, backends, message):
    stand_ins = {name: SimpleNamespace(why_not=lambda call, reason=reason: reason) for name, reason in backends.items()}
    monkeypatch.setattr("experiments.speed.contestants.ours.BACKENDS", stand_ins)
    task = make_task("lstm", "full")
    with pytest.raises(LeftOut, match=message):
        importlib.import_module("experiments.speed.contestants.native").make(task, weights(task))


def test_a_process_has_one_keras(relaxed):
    with relaxed(), pytest.raises(ValueError, match="runs on jax"):
        make("keras_tensorflow", make_task("lstm", "full"))
