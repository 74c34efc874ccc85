"""Initial weights: their limits, their distribution, and that both are Keras'."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import recurrent
from recurrent.cells import initializers
from tests import reference

every_cell = pytest.mark.parametrize("name", reference.CELLS)


def num_columns(name: str, hidden_size: int) -> int:
    return reference.CELLS[name].num_gates * hidden_size


def test_joint_limit_of_the_benchmarks_lstm():
    kernel = recurrent.lstm.init(jax.random.key(0), 32, 32).input_kernel
    assert kernel.max() == pytest.approx(0.19365, abs=2e-4)
    assert abs(kernel).max() <= 0.19365


@every_cell
def test_input_kernel_is_uniform_within_the_joint_limit(name):
    kernel = recurrent.CELLS[name].init(jax.random.key(1), 40, 24).input_kernel
    limit = math.sqrt(6 / (40 + num_columns(name, 24)))
    assert kernel.shape == (40, num_columns(name, 24))
    assert stats.kstest(np.ravel(kernel), stats.uniform(-limit, 2 * limit).cdf).pvalue > 0.01


@every_cell
def test_recurrent_kernel_is_orthogonal_as_a_whole_and_not_by_gate(name):
    kernel = recurrent.CELLS[name].init(jax.random.key(2), 8, 32).recurrent_kernel
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(32), atol=1e-5)
    gates = np.split(kernel, reference.CELLS[name].num_gates, axis=1)
    if len(gates) > 1:
        assert all(np.linalg.norm(gate @ gate.T - np.eye(32)) > 1 for gate in gates)


@pytest.mark.parametrize("rows, columns", [(4, 4), (3, 8), (8, 3)])
def test_orthogonal_makes_the_shorter_side_orthonormal(rows, columns):
    matrix = initializers.orthogonal(jax.random.key(3), (rows, columns))
    gram = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    np.testing.assert_allclose(gram, np.eye(min(rows, columns)), atol=1e-5)


@pytest.mark.parametrize("position", [(0, 0), (1, 1), (1, 2)])
def test_orthogonal_favours_no_sign(position):
    """A factor Q as it leaves the decomposition has a diagonal that leans to one side."""
    keys = jax.random.split(jax.random.key(4), 2000)
    entries = jax.vmap(lambda key: initializers.orthogonal(key, (3, 3)))(keys)[:, *position]
    assert abs(entries.mean()) < 4 * math.sqrt(1 / 3 / 2000)
    assert (entries**2).mean() == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize("ours, theirs", [("glorot_uniform", "GlorotUniform"), ("orthogonal", "Orthogonal")])
def test_entries_are_distributed_as_keras_own(ours, theirs, relaxed):
    keras = pytest.importorskip("keras")
    shape = (16, 96)
    with relaxed():
        expected = [getattr(keras.initializers, theirs)(seed=seed)(shape) for seed in range(5)]
    keys = jax.random.split(jax.random.key(5), 5)
    drawn = jax.vmap(lambda key: getattr(initializers, ours)(key, shape))(keys)
    assert stats.ks_2samp(np.ravel(drawn), np.ravel(expected)).pvalue > 0.01
    assert np.std(drawn) == pytest.approx(np.std(expected), rel=0.03)


@every_cell
def test_both_kernels_are_drawn_apart(name):
    """Each from a key of its own: with one key, square kernels of the same initializer would be the same."""
    uniform = {
        "input_initializer": initializers.glorot_uniform,
        "recurrent_initializer": initializers.glorot_uniform,
    }
    params = recurrent.CELLS[name].init(jax.random.key(6), 16, 16, **uniform)
    correlation = np.corrcoef(np.ravel(params.input_kernel), np.ravel(params.recurrent_kernel))[0, 1]
    assert abs(correlation) < 4 / math.sqrt(params.input_kernel.size)


@every_cell
def test_params_are_a_function_of_the_key(name):
    cell = recurrent.CELLS[name]
    with jax.debug_key_reuse(False):
        one, same, other = (cell.init(jax.random.key(seed), 3, 4) for seed in (7, 7, 8))
    reference.check_bitwise(one, same)
    assert not np.array_equal(one.input_kernel, other.input_kernel)
    assert not np.array_equal(one.recurrent_kernel, other.recurrent_kernel)


@every_cell
def test_an_initializer_of_ones_own_draws_the_joint_kernel(name):
    cell = recurrent.CELLS[name]

    def rows_of(key, shape, dtype):
        return jnp.full(shape, shape[0], dtype)

    params = cell.init(jax.random.key(9), 3, 4, input_initializer=rows_of, recurrent_initializer=rows_of)
    np.testing.assert_array_equal(params.input_kernel, np.full((3, num_columns(name, 4)), 3))
    np.testing.assert_array_equal(params.recurrent_kernel, np.full((4, num_columns(name, 4)), 4))


@every_cell
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
def test_params_have_the_dtype_asked_for(name, dtype, float64):
    params = recurrent.CELLS[name].init(jax.random.key(10), 3, 4, dtype=dtype)
    assert {array.dtype for array in params} == {jnp.dtype(dtype)}
    kernel = np.asarray(params.recurrent_kernel, np.float64)
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(4), atol=10 * float(jnp.finfo(dtype).eps))


@every_cell
@pytest.mark.parametrize("sizes", [(0, 4), (3, 0), (-1, 4)])
def test_sizes_below_one_are_refused(name, sizes):
    with pytest.raises(ValueError, match=f"at least 1, not {sizes[0]} and {sizes[1]}"):
        recurrent.CELLS[name].init(jax.random.key(11), *sizes)
