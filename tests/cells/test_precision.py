"""Precision: narrow matmuls, a wide state, and outputs of the dtype that was asked for."""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent.cells import precision
from tests import reference

every_cell = pytest.mark.parametrize("name", reference.CELLS)


def rounded(problem: reference.Problem) -> reference.Problem:
    """Rounds params and inputs to bfloat16, so that storing them so costs nothing more."""
    return jax.tree.map(lambda array: np.asarray(jnp.asarray(array, jnp.bfloat16), np.float64), problem)


@pytest.mark.parametrize("narrow, carried", [("bfloat16", "float32"), ("float32", "float32"), ("float64", "float64")])
def test_state_is_carried_in_at_least_float32(narrow, carried, float64):
    assert precision.carry_dtype(jnp.dtype(narrow)) == carried


def test_matmul_of_bfloat16_adds_up_in_float32():
    """Counting by ones in bfloat16 ends at 256."""
    total = precision.matmul(jnp.ones(301, jnp.bfloat16), jnp.ones((301, 1), jnp.bfloat16))
    assert total.dtype == jnp.float32
    assert total[0] == 301


def test_matmul_refuses_another_number_of_features():
    matmul = inspect.unwrap(precision.matmul)  # without the type checker, which speaks first in these tests
    with pytest.raises(ValueError, match="x has 5 features, but the kernel takes 3"):
        matmul(jnp.ones(5), jnp.ones((3, 4)))


@every_cell
@pytest.mark.parametrize("param_dtype", ["bfloat16", "float32", "float64"])
@pytest.mark.parametrize("input_dtype", ["bfloat16", "float32", "float64"])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_outputs_have_the_inputs_dtype_and_states_that_of_the_carry(name, param_dtype, input_dtype, masked, float64):
    cell = recurrent.CELLS[name]
    problem = reference.to_library(cell, reference.draw(name))
    params = jax.tree.map(lambda array: array.astype(param_dtype), problem.params)
    is_token = jnp.ones(reference.TIME, bool) if masked else None
    outputs, final = jax.eval_shape(
        lambda params, inputs: recurrent.scan_cell(cell, params, inputs, is_token=is_token),
        params,
        problem.inputs.astype(input_dtype),
    )
    assert outputs.dtype == input_dtype
    assert {array.dtype for array in final} == {precision.carry_dtype(param_dtype)}


@every_cell
@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_outputs_have_the_dtype_asked_for_and_the_same_values(name, dtype, float64):
    cell = recurrent.CELLS[name]
    problem = reference.to_library(cell, reference.draw(name))
    outputs, final = recurrent.scan_cell(cell, problem.params, problem.inputs, dtype=dtype)
    wide_outputs, wide_final = recurrent.scan_cell(cell, problem.params, problem.inputs, dtype="float64")
    reference.check_bitwise(outputs, wide_outputs.astype(dtype))
    reference.check_bitwise(final, wide_final)


@every_cell
def test_bfloat16_params_come_close_to_float32(name):
    cell = recurrent.CELLS[name]
    problem = rounded(reference.draw(name, time=50, input_size=16, hidden_size=16))
    wide = reference.solve(recurrent.scan_cell, cell, reference.to_library(cell, problem))
    narrow_problem = reference.to_library(cell, problem)
    narrow_params = jax.tree.map(lambda array: array.astype(jnp.bfloat16), narrow_problem.params)
    (outputs, final), _ = narrow = reference.solve(
        recurrent.scan_cell, cell, narrow_problem._replace(params=narrow_params)
    )
    assert outputs.dtype == jnp.float32
    reference.check(narrow[0], wide[0], 0.02)
    reference.check(narrow[1], wide[1], 0.06)
    assert any(np.any(array != array.astype(jnp.bfloat16).astype(jnp.float32)) for array in final)


def test_a_memory_that_grows_by_little_keeps_growing_under_bfloat16():
    """An LSTM that counts: in bfloat16, whose numbers lie 1/64 apart from 2 on, the count would stop at 2."""
    keep, trickle, one = 200.0, -5.0, 200.0
    params = recurrent.lstm.Params(
        jnp.zeros((1, 4), jnp.bfloat16),
        jnp.zeros((1, 4), jnp.bfloat16),
        jnp.array([trickle, keep, one, 0.0], jnp.bfloat16),
    )
    _, final = recurrent.scan_cell(recurrent.lstm, params, jnp.zeros((1000, 1), jnp.bfloat16))
    assert final.memory[0] == pytest.approx(1000 / (1 + math.exp(5)), rel=1e-4)


@every_cell
def test_an_initial_state_is_cast_to_the_dtype_that_is_carried(name):
    cell = recurrent.CELLS[name]
    problem = reference.to_library(cell, rounded(reference.draw(name)))
    narrow = jax.tree.map(lambda array: array.astype(jnp.bfloat16), problem.initial)
    expected = recurrent.scan_cell(cell, problem.params, problem.inputs, initial=problem.initial)
    reference.check_bitwise(recurrent.scan_cell(cell, problem.params, problem.inputs, initial=narrow), expected)
