"""Runs, packed runs and networks lower for GPU and TPU from a machine that has neither."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent.packing import pack_inputs

PLATFORMS = ("cuda", "tpu")
INPUTS = jnp.ones((2, 7, 3))
IS_TOKEN = jnp.arange(7)[None] < jnp.array([[7], [4]])
PACKING = recurrent.pack([4, 2, 3], row_length=7, num_rows=2)
NETWORK = recurrent.Network((recurrent.gru, recurrent.lstm), hidden_sizes=(4, 4), is_bidirectional=True)


def run(cell, backend):
    return lambda params: recurrent.run(cell, params, INPUTS, is_token=IS_TOKEN, backend=backend)


def run_final(cell, backend):
    prefix = recurrent.Prefix(jnp.zeros(3), jnp.array([0, 3]))
    return lambda params: recurrent.run_final(cell, params, INPUTS, prefix=prefix, backend=backend)


def run_packed(cell, backend):
    inputs = pack_inputs(PACKING, np.ones((3, 4, 3), np.float32))
    return lambda params: recurrent.run_packed(cell, params, inputs, PACKING, backend=backend)


def lower(function, params):
    """Lowers a function and the gradient of the sum of all it returns."""

    def total(params):
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(function(params)))

    for each in (function, jax.grad(total)):
        text = jax.jit(each).trace(params).lower(lowering_platforms=PLATFORMS).as_text()
        assert "stablehlo.while" in text


@pytest.mark.parametrize(
    "cell, function, backend",
    [
        (recurrent.simple_rnn, run, "fused"),
        (recurrent.lstm, run, "fused"),
        (recurrent.gru, run, "fused"),
        (recurrent.lstm, run, "plain"),
        (recurrent.lstm, run_final, "fused"),
        (recurrent.lstm, run_packed, "fused"),
    ],
)
def test_cells_lower_for_accelerators(cell, function, backend):
    lower(function(cell, backend), cell.init(jax.random.key(0), 3, 4))


def test_networks_lower_for_accelerators():
    params = recurrent.network.init(jax.random.key(0), NETWORK, 3)
    lower(lambda params: recurrent.run_network(NETWORK, params, INPUTS, is_token=IS_TOKEN, backend="fused"), params)
