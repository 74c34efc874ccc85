"""What holds for every cell: it is a `Cell`, its step is its equations' step, and so are whole sequences."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from tests import reference

every_cell = pytest.mark.parametrize("name", reference.CELLS)
TOLERANCES = {np.float64: 1e-10, np.float32: 1e-5}
MASK = np.array([False, True, True, False, True, True, False])
STARTS = np.array([False, False, True, True, False, False, True])
OPTIONS = {
    "plain": {},
    "masked": {"is_token": MASK},
    "masked and reset": {"is_token": MASK, "is_start": STARTS},
}


def test_catalogue_holds_every_cell_under_its_modules_name():
    # Those with layer normalisation are held against a loop of their own.
    assert set(recurrent.CELLS) == set(reference.CELLS) | {"layer_norm_lstm", "layer_norm_gru"}
    for name, cell in recurrent.CELLS.items():
        assert cell.__name__ == f"recurrent.cells.{name}"
        assert cell is getattr(recurrent, name)


def test_catalogue_cannot_be_changed():
    with pytest.raises(TypeError):
        recurrent.CELLS["lstm"] = recurrent.gru


@every_cell
def test_a_module_is_a_cell(name):
    assert isinstance(recurrent.CELLS[name], recurrent.Cell)


def test_what_lacks_a_function_is_no_cell():
    assert not isinstance(jnp, recurrent.Cell)


@every_cell
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_step_equals_the_reference(name, dtype):
    cell = recurrent.CELLS[name]
    problem = reference.draw(name)
    expected = reference.CELLS[name].step(problem.params, problem.initial, problem.inputs[0])
    with jax.enable_x64(dtype is np.float64):
        ours = reference.to_library(cell, problem, dtype)
        state, output = recurrent.step(cell, ours.params, ours.initial, ours.inputs[0])
        assert output.dtype == dtype
    reference.check((state, output), (expected, expected[0]), TOLERANCES[dtype])


@every_cell
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_sequence_and_its_gradients_equal_the_reference(name, dtype, reverse, options):
    cell = recurrent.CELLS[name]
    problem = reference.draw(name)
    with jax.enable_x64(dtype is np.float64):
        ours = reference.to_library(cell, problem, dtype)
        results, gradients = reference.solve(recurrent.scan_cell, cell, ours, reverse=reverse, **options)
    reference.check(results, reference.run(name, problem, reverse=reverse, **options), TOLERANCES[dtype])
    reference.check(gradients, reference.gradients(name, problem, reverse=reverse, **options), TOLERANCES[dtype])


@every_cell
def test_reference_gradients_are_its_finite_differences(name):
    """The oracle's own oracle: its backward pass is written by hand."""
    problem = reference.draw(name)
    direction = reference.draw(name, seed=1)
    options = {"is_token": MASK, "is_start": STARTS}

    def loss(distance: float) -> float:
        moved = jax.tree.map(lambda array, other: array + distance * other, problem, direction)
        outputs, final = reference.run(name, moved, **options)
        pairs = zip((outputs, *final), (problem.d_outputs, *problem.d_final), strict=True)
        return sum(float(np.sum(one * other)) for one, other in pairs)

    expected = (loss(1e-5) - loss(-1e-5)) / 2e-5
    slopes = jax.tree.map(
        lambda gradient, other: float(np.sum(gradient * other)),
        reference.gradients(name, problem, **options),
        (direction.params, direction.inputs, direction.initial),
    )
    assert sum(jax.tree.leaves(slopes)) == pytest.approx(expected, rel=1e-8)


@every_cell
def test_step_is_its_three_parts(name):
    cell = recurrent.CELLS[name]
    problem = reference.to_library(cell, reference.draw(name))
    x = problem.inputs[0]
    parts = cell.project(problem.params, x), cell.recur(problem.params, problem.initial)
    expected = cell.update(problem.params, problem.initial, *parts)
    reference.check_bitwise(recurrent.step(cell, problem.params, problem.initial, x), expected)


@every_cell
def test_project_sees_no_state_and_recur_no_input(name):
    cell = recurrent.CELLS[name]
    problem = reference.to_library(cell, reference.draw(name))
    elsewhere = problem.params._replace(recurrent_kernel=jnp.full_like(problem.params.recurrent_kernel, jnp.nan))
    x = problem.inputs[0]
    reference.check_bitwise(cell.project(elsewhere, x), cell.project(problem.params, x))
    elsewhere = problem.params._replace(input_kernel=jnp.full_like(problem.params.input_kernel, jnp.nan))
    reference.check_bitwise(cell.recur(elsewhere, problem.initial), cell.recur(problem.params, problem.initial))


@every_cell
def test_zero_state_fits_the_params(name):
    cell = recurrent.CELLS[name]
    problem = reference.to_library(cell, reference.draw(name))
    expected = jax.tree.map(np.zeros_like, problem.initial)
    reference.check_bitwise(cell.zero_state(problem.params), expected)
    assert type(cell.zero_state(problem.params)) is cell.State


@pytest.mark.parametrize("name", ["simple_rnn", "lstm", "gru"])
def test_gates_name_the_blocks_of_the_kernels(name):
    cell = recurrent.CELLS[name]
    params = cell.init(jax.random.key(0), 3, 4)
    assert params.recurrent_kernel.shape[1] == 4 * len(cell.GATES)


class LeakyParams(NamedTuple):
    """A weight for each feature."""

    weights: jax.Array


class LeakyState(NamedTuple):
    """One number."""

    level: jax.Array


@dataclass(frozen=True)
class Leaky:
    """A cell of somebody's own, with an option, and with outputs that are no state."""

    leak: float

    def init(self, key: jax.Array, input_size: int, hidden_size: int) -> LeakyParams:
        return LeakyParams(jnp.ones(input_size))

    def zero_state(self, params: LeakyParams) -> LeakyState:
        return LeakyState(jnp.zeros(()))

    def project(self, params: LeakyParams, x: jax.Array) -> jax.Array:
        return x @ params.weights

    def recur(self, params: LeakyParams, state: LeakyState) -> jax.Array:
        return (1 - self.leak) * state.level

    def update(
        self, params: LeakyParams, state: LeakyState, projected: jax.Array, recurrent: jax.Array
    ) -> tuple[LeakyState, jax.Array]:
        level = projected + recurrent
        return LeakyState(level), jnp.stack([level, 10 * level, 100 * level])


def test_a_dataclass_with_options_is_a_cell_too():
    cell = Leaky(leak=0.5)
    params = cell.init(jax.random.key(0), input_size=1, hidden_size=1)
    is_token = jnp.array([False, True, True, False])
    inputs = jnp.array([[9.0], [4.0], [1.0], [9.0]])
    outputs, final = recurrent.scan_cell(cell, params, inputs, is_token=is_token)
    assert isinstance(cell, recurrent.Cell)
    np.testing.assert_array_equal(outputs, np.outer([0, 4, 3, 3], [1, 10, 100]))
    assert final == LeakyState(jnp.array(3.0))


def test_a_dataclass_cell_runs_over_batches_compiled():
    run = jax.jit(recurrent.run, static_argnums=0)
    outputs, _ = run(Leaky(leak=1.0), LeakyParams(jnp.ones(2)), jnp.ones((2, 3, 2)))
    np.testing.assert_array_equal(outputs, np.broadcast_to([2, 20, 200], (2, 3, 3)))


@pytest.mark.parametrize("name", recurrent.CELLS)
def test_no_array_stands_in_two_places_of_the_params(name):
    """Or a compiled step could not be given their memory."""
    params = recurrent.CELLS[name].init(jax.random.key(0), 3, 4)
    jax.jit(lambda params: jax.tree.map(lambda leaf: leaf + 1, params), donate_argnums=0)(params)
