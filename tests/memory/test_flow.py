"""The flow against closed forms: powers of a scaled orthogonal matrix, powers of a forget gate."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from experiments.memory.flow import measure_flow
from experiments.memory.model import Params
from experiments.memory.tasks import Adding, draw_batch

HIDDEN = 6


def examples(task):
    return draw_batch(task, jax.random.key(5), 0, 4)


def head():
    return {"kernel": jnp.ones((HIDDEN, 1)), "bias": jnp.zeros(1)}


def scaled_rotation(rho):
    """A SimpleRNN whose input says nothing: its state stays at zero, where tanh is the identity."""
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(HIDDEN, HIDDEN)))[0].astype(np.float32)
    cell = recurrent.simple_rnn.Params(
        jnp.zeros((2, HIDDEN)), jnp.asarray(np.float32(rho) * rotation), jnp.zeros(HIDDEN)
    )
    return Params(cell, **head())


def constant_gates(forget_bias):
    params = recurrent.lstm.init(jax.random.key(0), 2, HIDDEN, forget_bias=forget_bias)
    return Params(
        params._replace(**{name: 0 * getattr(params, name) for name in ("input_kernel", "recurrent_kernel")}), **head()
    )


@pytest.mark.parametrize("rho", [0.5, 0.9, 1.0])
def test_a_scaled_rotation_falls_by_rho_a_step(rho):
    task = Adding(60)
    flow = measure_flow(recurrent.simple_rnn, task, [(scaled_rotation(rho), examples(task))])["hidden"]
    np.testing.assert_allclose(flow.log_norms, math.log10(rho) * np.arange(60), atol=6e-4)
    assert flow.slope == pytest.approx(math.log10(rho), abs=2e-6)
    if rho < 1:
        assert flow.half_life == pytest.approx(math.log(0.5) / math.log(rho), abs=0.006)


def test_what_lies_below_float32_is_measured_and_below_float64_is_left_out():
    task = Adding(500)
    flow = measure_flow(recurrent.simple_rnn, task, [(scaled_rotation(0.1), examples(task))])["hidden"]
    assert flow.log_norms[300] == pytest.approx(-300, abs=0.01)
    assert flow.log_norms[-1] is None
    assert flow.slope == pytest.approx(-1, abs=1e-4)


@pytest.mark.parametrize("bias, half_life", [(0, 1.0), (1, 2.21), (5, 103.2)])
def test_along_the_memory_it_falls_by_the_forget_gate(bias, half_life):
    task = Adding(40)
    flows = measure_flow(recurrent.lstm, task, [(constant_gates(float(bias)), examples(task))])
    memory = flows["memory"]
    assert memory.log_norms[0] is None  # no later step reads the last memory
    forget = 1 / (1 + math.exp(-bias))
    np.testing.assert_allclose(memory.log_norms[1:], math.log10(forget) * np.arange(39), atol=6e-4)
    assert memory.half_life == pytest.approx(half_life, abs=0.06)
    hidden = flows["hidden"]
    assert hidden.log_norms[0] == 0
    assert set(hidden.log_norms[1:]) == {None}  # its kernel is zero
    assert hidden.slope is None
    assert hidden.half_life is None


def test_networks_are_averaged_as_logarithms():
    task = Adding(30)
    pairs = [(scaled_rotation(rho), examples(task)) for rho in (0.5, 0.9)]
    flow = measure_flow(recurrent.simple_rnn, task, pairs)["hidden"]
    assert flow.slope == pytest.approx(math.log10(0.5 * 0.9) / 2, abs=2e-6)
