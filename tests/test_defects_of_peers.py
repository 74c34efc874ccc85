"""Defects that well-known libraries have shipped, each a promise of ours."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent

ROWS, TIME, INPUT, HIDDEN = 3, 6, 2, 4
every_cell = pytest.mark.parametrize("name", ["lstm", "gru", "simple_rnn"])
RUN = jax.jit(recurrent.run, static_argnums=0, static_argnames="backend")
every_backend = pytest.mark.parametrize("backend", ["auto", "plain"])


def params_and_inputs(name: str):
    cell = recurrent.CELLS[name]
    params = cell.init(jax.random.key(0), INPUT, HIDDEN)
    return cell, params, jax.random.normal(jax.random.key(1), (ROWS, TIME, INPUT))


def states(cell, params):
    return jax.tree.map(
        lambda leaf: jnp.ones((ROWS, *leaf.shape)) * jnp.arange(1.0, ROWS + 1)[:, None] / 4, cell.zero_state(params)
    )


@pytest.mark.fault(17)
@every_backend
@every_cell
def test_a_row_of_length_zero_returns_its_initial_state(name, backend):
    """Flax returns the state after all its padding; PyTorch raises."""
    cell, params, inputs = params_and_inputs(name)
    is_token = jnp.arange(TIME)[None] < jnp.array([0, 3, 6])[:, None]
    initial = states(cell, params)
    _, final = RUN(cell, params, inputs, is_token=is_token, initial=initial, backend=backend)
    jax.tree.map(lambda ours, given: np.testing.assert_array_equal(ours[0], given[0]), final, initial)


@every_backend
@every_cell
def test_bfloat16_gives_bfloat16_and_carries_float32(name, backend):
    """Flax' bfloat16 cells crash or return float32; Keras rounds the carry to bfloat16 at every step."""
    cell, params, inputs = params_and_inputs(name)
    narrow = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    outputs, final = RUN(cell, narrow, inputs.astype(jnp.bfloat16), backend=backend)
    assert outputs.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(final)} == {jnp.dtype(jnp.float32)}
    assert not np.array_equal(final.hidden, final.hidden.astype(jnp.bfloat16).astype(jnp.float32))


def test_the_candidate_of_a_gru_has_a_recurrent_bias():
    """Flax NNX' GRU has none."""
    cell, params, inputs = params_and_inputs("gru")
    gradient = jax.grad(lambda params: jnp.sum(recurrent.run_final(cell, params, inputs).hidden))(params)
    of_input, of_recurrent = gradient.bias[:, 2 * HIDDEN :]
    assert np.all(of_recurrent != 0)
    assert not np.allclose(of_input, of_recurrent)


@every_cell
def test_a_masked_first_step_is_the_same_in_every_way_of_running(name):
    """Keras' unrolled and scanned loops disagree there."""
    cell, params, inputs = params_and_inputs(name)
    is_token = jnp.ones((ROWS, TIME), bool).at[:, 0].set(False)
    fast = RUN(cell, params, inputs, is_token=is_token)
    plain = RUN(cell, params, inputs, is_token=is_token, backend="plain")
    shorter = RUN(cell, params, inputs[:, 1:])
    np.testing.assert_array_equal(fast[0][:, 0], 0)
    for results in (fast, plain):
        np.testing.assert_allclose(results[0][:, 1:], shorter[0], rtol=1e-5, atol=1e-6)


@pytest.mark.fault(19)
@every_backend
@every_cell
def test_nan_in_padding_reaches_neither_values_nor_gradients(name, backend):
    """Flax and Keras return a finite loss with NaN gradients."""
    cell, params, inputs = params_and_inputs(name)
    is_token = jnp.arange(TIME)[None] < jnp.array([2, 3, 6])[:, None]

    def loss(params, inputs):
        outputs, _ = RUN(cell, params, inputs, is_token=is_token, backend=backend)
        return jnp.sum(outputs**2)

    spoiled = jnp.where(is_token[..., None], inputs, jnp.nan)
    both = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    result, expected = both(params, spoiled), both(params, inputs)
    jax.tree.map(np.testing.assert_array_equal, result, expected)


@every_backend
@every_cell
def test_a_batch_may_be_mapped(name, backend):
    """PyTorch's GRU raises under vmap."""
    cell, params, inputs = params_and_inputs(name)
    many = jnp.stack([inputs, inputs + 1])
    mapped, _ = jax.vmap(lambda inputs: RUN(cell, params, inputs, backend=backend))(many)
    np.testing.assert_allclose(mapped[1], RUN(cell, params, many[1])[0], rtol=1e-5, atol=1e-6)


@every_backend
@every_cell
def test_a_start_in_mid_sequence_forgets_all_before_it(name, backend):
    """Resets have been broken by releases of the library below."""
    cell, params, inputs = params_and_inputs(name)
    is_start = jnp.zeros((ROWS, TIME), bool).at[:, 4].set(True)
    outputs, _ = RUN(cell, params, inputs, is_start=is_start, backend=backend)
    alone, _ = RUN(cell, params, inputs[:, 4:], backend=backend)
    np.testing.assert_allclose(outputs[:, 4:], alone, rtol=1e-5, atol=1e-6)
    gradient = jax.grad(lambda inputs: jnp.sum(RUN(cell, params, inputs, is_start=is_start)[0][:, 4:]))
    assert not np.any(gradient(inputs)[:, :4])


def test_the_update_gate_of_a_gru_keeps_and_its_reset_gate_hides():
    """Haiku's docstring swaps them."""
    cell, params, _ = params_and_inputs("gru")
    keeps = params._replace(bias=params.bias.at[:, :HIDDEN].set(50.0))
    state, _ = recurrent.step(cell, keeps, cell.State(jnp.full(HIDDEN, 0.5)), jnp.ones(INPUT))
    np.testing.assert_array_equal(state.hidden, 0.5)
    hides = params._replace(bias=params.bias.at[:, HIDDEN : 2 * HIDDEN].set(-50.0).at[:, :HIDDEN].set(-50.0))
    ours, _ = recurrent.step(cell, hides, cell.State(jnp.full(HIDDEN, 0.5)), jnp.ones(INPUT))
    expected = np.tanh(np.ones(INPUT) @ np.asarray(hides.input_kernel)[:, 2 * HIDDEN :])
    np.testing.assert_allclose(ours.hidden, expected, rtol=1e-5)
