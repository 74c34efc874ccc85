"""Packed rows through a network: each sequence gets what it gets alone, noise too."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent.network import Directions, Network, init, run_network, run_packed_network, zero_states
from recurrent.packing import pack, pack_inputs, unpack_outputs
from tests import reference
from tests.network.gradients import solve

LENGTHS, MAX_TIME, INPUT = (3, 5, 0, 2, 4), 5, 4
PACKING = pack(LENGTHS, row_length=7)
IS_TOKEN = np.arange(MAX_TIME) < np.array(LENGTHS)[:, None]
draws = np.random.default_rng(0)
INPUTS = jnp.asarray(draws.normal(size=(len(LENGTHS), MAX_TIME, INPUT)), jnp.float32)
NUMBERS = jnp.array([8, 3, 11, 0, 5])
CELLS = (recurrent.gru, recurrent.lstm)
NETWORKS = {
    "one direction, residual": Network(CELLS, (4, 4), is_residual=True, dropout_rate=0.4),
    "both": Network(CELLS, (4, 3), is_bidirectional=True, dropout_rate=0.4),
}


def masks(network):
    return tuple(
        Directions(*(jnp.asarray(draws.random((len(LENGTHS), 1, size)), jnp.float32) for _ in range(2)))
        for size in network.hidden_sizes
    )


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("is_plain", [False, True], ids=["with noise, masks and states", "bare"])
def test_each_sequence_gets_what_it_gets_alone(network, is_plain):
    params = init(jax.random.key(1), network, INPUT)
    options, seed = {}, None
    if not is_plain:
        like = zero_states(network, params, (len(LENGTHS),))
        initial = jax.tree.map(lambda leaf: jnp.asarray(draws.normal(size=leaf.shape), leaf.dtype), like)
        options, seed = {"initial": initial, "recurrent_mask": masks(network), "numbers": NUMBERS}, 3

    def padded(params, inputs):
        key = None if seed is None else jax.random.key(seed)
        outputs, final = run_network(network, params, inputs, is_token=IS_TOKEN, key=key, **options)
        return jnp.where(IS_TOKEN[..., None], outputs, 0), final

    def packed(params, inputs):
        key = None if seed is None else jax.random.key(seed)
        rows = pack_inputs(PACKING, inputs)
        outputs, final = run_packed_network(network, params, rows, PACKING, key=key, **options)
        return unpack_outputs(PACKING, outputs, MAX_TIME), final

    reference.check(solve(packed, params, INPUTS), solve(padded, params, INPUTS), 1e-5)


def test_what_does_not_fit_is_refused():
    network = NETWORKS["both"]
    params = init(jax.random.key(1), network, INPUT)
    run = partial(run_packed_network, network, params, pack_inputs(PACKING, INPUTS), PACKING)
    for message, refused in {
        "initial must have one entry": lambda: run(initial=zero_states(network, params, (5,))[:1]),
        r"numbers must have shape \(5,\), one per sequence, not \(4,\)": lambda: run(
            key=jax.random.key(0), numbers=NUMBERS[:4]
        ),
        r"params must have \[2, 2\]": lambda: run_packed_network(network, params[:1], INPUTS, PACKING),
    }.items():
        with pytest.raises(ValueError, match=message):
            refused()
