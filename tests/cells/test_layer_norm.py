"""Cells with layer normalisation: the equations in NumPy float64 loops, and their gradients by PyTorch's autograd."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent.cells import gru, layer_norm_gru, layer_norm_lstm, lstm
from tests import reference
from tests.reference import HIDDEN, INPUT, TIME, sigmoid

CELLS = {"lstm": layer_norm_lstm, "gru": layer_norm_gru}
WITHOUT = {"lstm": lstm, "gru": gru}
TOLERANCES = {np.float64: 1e-10, np.float32: 2e-5}
GAPS = np.array([False, True, True, False, True, True, False])
every_cell = pytest.mark.parametrize("name", CELLS)


def normalize(a):
    """By the definition, a sum over all units at a time."""
    mean = sum(a) / len(a)
    variance = sum((unit - mean) ** 2 for unit in a) / len(a)
    return np.array([(unit - mean) / np.sqrt(variance + 1e-5) for unit in a])


def lstm_step(params, state, x):
    W, U, b, input_gain, recurrent_gain, memory_gain, memory_bias = params
    h, c = state
    i, f, g, o = np.split(normalize(x @ W) * input_gain + normalize(h @ U) * recurrent_gain + b, 4)
    c_next = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(normalize(c_next) * memory_gain + memory_bias), c_next


def gru_step(params, state, x):
    W, U, b, input_gain, recurrent_gain = params
    (h,) = state
    cut = 2 * len(h)
    of_x, of_h = x @ W, h @ U
    of_x = np.concatenate([normalize(of_x[:cut]), normalize(of_x[cut:])]) * input_gain + b[0]
    of_h = np.concatenate([normalize(of_h[:cut]), normalize(of_h[cut:])]) * recurrent_gain + b[1]
    z, r = np.split(sigmoid(of_x[:cut] + of_h[:cut]), 2)
    n = np.tanh(of_x[cut:] + r * of_h[cut:])
    return (z * h + (1 - z) * n,)


STEPS = {"lstm": lstm_step, "gru": gru_step}


def draw(name, batch=()):
    """Adds gains, none of them one, and the memory's bias to the problem of the cell without normalisation."""
    problem = reference.draw(name, batch=batch)
    numbers = np.random.default_rng(1)
    columns = problem.params[0].shape[1]
    sizes = [columns, columns, HIDDEN, HIDDEN] if name == "lstm" else [columns, columns]
    return problem._replace(params=(*problem.params, *(0.3 + numbers.random(size) for size in sizes)))


def run(name, problem, is_token):
    state, held, outputs = problem.initial, np.zeros(HIDDEN), []
    for x, counts in zip(problem.inputs, is_token, strict=True):
        if counts:
            state = STEPS[name](problem.params, state, x)
            held = state[0]
        outputs.append(held)
    return np.stack(outputs), state


def torch_gradients(name, problem, is_token):
    import torch

    F = torch.nn.functional
    params, inputs, initial, d_outputs, d_final = jax.tree.map(lambda array: torch.tensor(array), tuple(problem))
    leaves = (*params, inputs, *initial)
    for leaf in leaves:
        leaf.requires_grad_()
    W, U, b, input_gain, recurrent_gain, *of_memory = params

    def of_lstm(state, x):
        of_x = F.layer_norm(x @ W, (4 * HIDDEN,), input_gain, b)
        i, f, g, o = (of_x + F.layer_norm(state[0] @ U, (4 * HIDDEN,), recurrent_gain)).chunk(4)
        c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
        return o.sigmoid() * F.layer_norm(c, (HIDDEN,), *of_memory).tanh(), c

    def of_gru(state, x):
        def both(summed, gain, bias):
            sizes = (2 * HIDDEN, HIDDEN)
            parts = zip(summed.split(sizes), gain.split(sizes), bias.split(sizes), sizes, strict=True)
            return [F.layer_norm(part, (size,), gain, bias) for part, gain, bias, size in parts]

        (gates_x, n_x), (gates_h, n_h) = both(x @ W, input_gain, b[0]), both(state[0] @ U, recurrent_gain, b[1])
        z, r = (gates_x + gates_h).sigmoid().chunk(2)
        return (z * state[0] + (1 - z) * (n_x + r * n_h).tanh(),)

    state, held, loss = initial, torch.zeros(HIDDEN, dtype=torch.float64), 0
    for x, counts, d_output in zip(inputs, is_token, d_outputs, strict=True):
        if counts:
            state = {"lstm": of_lstm, "gru": of_gru}[name](state, x)
            held = state[0]
        loss = loss + held @ d_output
    loss = loss + sum(array @ d_array for array, d_array in zip(state, d_final, strict=True))
    gradients = torch.autograd.grad(loss, leaves)
    return [gradient.numpy() for gradient in gradients]


@every_cell
@pytest.mark.parametrize("dtype, masked", [(np.float64, False), (np.float64, True), (np.float32, True)])
def test_values_and_gradients_equal_the_equations(name, dtype, masked):
    problem = draw(name)
    is_token = GAPS if masked else np.ones(TIME, bool)
    with jax.enable_x64(dtype is np.float64):
        ours = reference.to_library(CELLS[name], problem, dtype)
        options = {"is_token": is_token} if masked else {}
        results, gradients = reference.solve(recurrent.scan_cell, CELLS[name], ours, **options)
    reference.check(results, run(name, problem, is_token), TOLERANCES[dtype])
    reference.check(jax.tree.leaves(gradients), torch_gradients(name, problem, is_token), TOLERANCES[dtype])


@every_cell
def test_all_backends_agree(name, float64):
    """The gains of what is recurrent are used in `update`, whose params' gradient a fast backend could forget."""
    problem = reference.to_library(CELLS[name], draw(name, batch=(3,)), np.float64)
    plain, fused = (
        reference.solve(partial(recurrent.run, backend=backend), CELLS[name], problem) for backend in ("plain", "fused")
    )
    reference.check(fused, plain, 1e-10)


def test_normalize_in_numbers():
    actual = layer_norm_lstm.normalize(jnp.array([1.0, 3.0, 5.0]), jnp.array([1.0, 10.0, 2.0]))
    np.testing.assert_allclose(actual, np.array([-2.0, 0.0, 4.0]) / np.sqrt(8 / 3 + 1e-5), rtol=1e-6)


@every_cell
def test_the_scale_of_a_kernel_does_not_matter(name):
    """Normalising is what makes it so (Ba et al. 2016, table 1), for either kernel by itself."""
    problem = reference.to_library(CELLS[name], draw(name))
    for kernel in ("input_kernel", "recurrent_kernel"):
        larger = [
            problem.params._replace(**{kernel: scale * getattr(problem.params, kernel)}) for scale in (100.0, 10_000.0)
        ]
        one, other = (recurrent.scan_cell(CELLS[name], params, problem.inputs) for params in larger)
        reference.check(one, other, 1e-4)


@every_cell
def test_recur_is_the_bare_matmul(name, float64):
    problem = draw(name)
    ours = reference.to_library(CELLS[name], problem, np.float64)
    reference.check(CELLS[name].recur(ours.params, ours.initial), problem.initial[0] @ problem.params[1], 1e-14)


@every_cell
def test_equal_numbers_everywhere_have_finite_gradients(name):
    """The first step normalises h U = 0, whose variance has no finite square root's derivative."""
    problem = reference.to_library(CELLS[name], draw(name))
    problem = problem._replace(
        initial=jax.tree.map(jnp.zeros_like, problem.initial), inputs=jnp.zeros_like(problem.inputs)
    )
    for leaf in jax.tree.leaves(reference.solve(recurrent.scan_cell, CELLS[name], problem)):
        assert np.isfinite(leaf).all()


@every_cell
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_init_is_that_of_the_cell_without_and_gains_of_one(name, dtype):
    options = {"forget_bias": 2.0} if name == "lstm" else {}
    params = CELLS[name].init(jax.random.key(0), INPUT, HIDDEN, dtype=dtype, **options)
    expected = WITHOUT[name].init(jax.random.key(0), INPUT, HIDDEN, dtype=dtype, **options)
    reference.check_bitwise(params[:3], tuple(expected))
    ones = (params.input_gain, params.recurrent_gain, *((params.memory_gain,) if name == "lstm" else ()))
    sizes = [params.input_kernel.shape[1]] * 2 + [HIDDEN] * (len(ones) - 2)
    reference.check_bitwise(ones, tuple(jnp.ones(size, dtype) for size in sizes))
    if name == "lstm":
        reference.check_bitwise(params.memory_bias, jnp.zeros(HIDDEN, dtype))


@every_cell
def test_bfloat16_params_are_normalised_in_float32(name):
    problem = jax.tree.map(lambda array: np.asarray(jnp.asarray(array, jnp.bfloat16), np.float64), draw(name))
    ours = reference.to_library(CELLS[name], problem)
    narrow = jax.tree.map(lambda array: array.astype(jnp.bfloat16), ours.params)
    state, x = ours.initial, ours.inputs[0]  # both rounded already, so that the matmuls are exact to float32
    after, output = recurrent.step(CELLS[name], narrow, state, x)
    assert {leaf.dtype for leaf in (*after, output, *CELLS[name].zero_state(narrow))} == {jnp.dtype(jnp.float32)}
    reference.check(after, STEPS[name](problem.params, problem.initial, problem.inputs[0]), 1e-5)


@every_cell
def test_a_module_is_a_cell(name):
    assert isinstance(CELLS[name], recurrent.Cell)
    assert CELLS[name].GATES == WITHOUT[name].GATES
    assert CELLS[name].State is WITHOUT[name].State
