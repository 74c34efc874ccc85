"""What stands where there is no token reaches nobody: no value, and no gradient through what makes a cell's inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from tests import reference

CELL = recurrent.lstm
PARAMS = CELL.init(jax.random.key(0), 3, 4)
LENGTHS = np.array([2, 6, 0])
MASK = np.arange(6)[None] < LENGTHS[:, None]
INPUTS = np.exp(np.random.default_rng(0).normal(size=(3, 6, 3))).astype(np.float32)
WEIGHTS = jax.random.normal(jax.random.key(2), (3, 3))

FEATURES = {  # each with a derivative that is infinite or not a number at zero
    "logarithm": jnp.log,
    "inverse": lambda x: 1 / x,
    "root": jnp.sqrt,
    "unit length": lambda x: x / jnp.linalg.norm(x, axis=-1, keepdims=True),
}


def gradients(features, inputs, mask, backend):
    def loss(weights, inputs):
        outputs, final = recurrent.run(
            CELL,
            PARAMS,
            inputs,
            is_token=mask,
            make_inputs=lambda inputs: features(inputs) @ weights,
            backend=backend,
        )
        return jnp.sum(outputs**2) + jnp.sum(final.memory**2)

    return jax.jit(jax.grad(loss, argnums=(0, 1)))(WEIGHTS, inputs)


@pytest.mark.parametrize("backend", ["fused", "plain"])
@pytest.mark.parametrize("padding", [1.0, 0.0, np.nan], ids=["harmless", "zero", "nan"])
@pytest.mark.parametrize("name", FEATURES)
def test_gradients_are_those_of_the_sequences_alone(name, padding, backend):
    inputs, mask = np.where(MASK[..., None], INPUTS, np.float32(padding)), MASK
    d_weights, d_inputs = gradients(FEATURES[name], inputs, mask, backend)
    np.testing.assert_array_equal(np.asarray(d_inputs)[~mask], 0)
    assert np.isfinite(d_weights).all()
    assert np.isfinite(d_inputs).all()
    # The second sequence fills its row, so that it has no output that is repeated.
    reference.check(d_inputs[1:2], gradients(FEATURES[name], INPUTS[1:2], None, "plain")[1], 1e-5)


@pytest.mark.parametrize("backend", ["fused", "plain"])
def test_padding_changes_no_bit(backend):
    def of(padding):
        return gradients(jnp.log, np.where(MASK[..., None], INPUTS, np.float32(padding)), MASK, backend)

    reference.check_bitwise(of(1.0), of(2.0))
    reference.check_bitwise(of(0.0), of(np.nan))


@pytest.mark.parametrize("backend", ["fused", "plain"])
def test_where_there_is_no_token_at_all_there_is_no_gradient(backend):
    for gradient in gradients(jnp.log, np.zeros((2, 6, 3), np.float32), np.zeros((2, 6), bool), backend):
        np.testing.assert_array_equal(gradient, 0)


def test_one_sequence_without_a_token_has_no_gradient_either():
    def loss(weights, inputs):
        return jnp.sum(
            recurrent.scan_cell(
                CELL, PARAMS, inputs, is_token=jnp.zeros(6, bool), make_inputs=lambda inputs: jnp.log(inputs) @ weights
            )[1].memory
        )

    for gradient in jax.grad(loss, argnums=(0, 1))(WEIGHTS, jnp.zeros((6, 3))):
        np.testing.assert_array_equal(gradient, 0)
