"""Gated recurrent unit with layer normalization (Ba, Kiros & Hinton 2016), with the reset gate *after* the matmul::

    z, r = sigmoid(LN(x W_zr) + b0_zr + LN(h U_zr) + b1_zr)
    n    =    tanh(LN(x W_n)  + b0_n  + r * (LN(h U_n) + b1_n))
    h'   = z * h + (1 - z) * n

LN is `layer_norm_lstm.normalize`, with one gain per unit. As in the paper there are four normalizations: the summed
inputs of z and r are one vector and those of the candidate another, and `x W` and `h U` are normalized separately.
Kernels and biases are laid out as in `gru`. With a single hidden unit the candidate does not depend on x.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from recurrent.cells import gru
from recurrent.cells.gates import open_gates
from recurrent.cells.gru import GATES, Gates, State
from recurrent.cells.initializers import sizes
from recurrent.cells.layer_norm_lstm import normalize
from recurrent.cells.precision import carry_dtype, matmul
from recurrent.shapes import RandomKey, Step

__all__ = ["GATES", "Gates", "Params", "State", "gates", "init", "project", "recur", "sizes", "update", "zero_state"]


class Params(NamedTuple):
    """Trainable arrays; the first three are those of `gru`."""

    input_kernel: Float[Array, "input 3*hidden"]
    recurrent_kernel: Float[Array, "hidden 3*hidden"]
    bias: Float[Array, "2 3*hidden"]
    input_gain: Float[Array, "3*hidden"]
    recurrent_gain: Float[Array, "3*hidden"]


def init(key: RandomKey, input_size: int, hidden_size: int, **options) -> Params:
    """Draws params as `gru.init` does, with the same options; gains are one.

    Raises:
        ValueError: a size is below 1.

    >>> import jax, recurrent
    >>> recurrent.layer_norm_gru.init(jax.random.key(0), input_size=3, hidden_size=4).input_gain.shape
    (12,)
    """
    params = gru.init(key, input_size, hidden_size, **options)
    # Separate arrays, since a buffer can be donated only once.
    return Params(*params, input_gain=jnp.ones_like(params.bias[0]), recurrent_gain=jnp.ones_like(params.bias[0]))


def zero_state(params: Params) -> State:
    """Returns the state before the first step."""
    return State(hidden=jnp.zeros(params.recurrent_kernel.shape[0], carry_dtype(params.recurrent_kernel.dtype)))


def project(params: Params, x: Step) -> Float[Array, "gates"]:
    """Computes LN(x W) + b0 for all gates."""
    return jnp.concatenate(_normalize(matmul(x, params.input_kernel), params.input_gain, params.bias[0]))


def recur(params: Params, state: State) -> Float[Array, "gates"]:
    """Computes h U for all gates; `update` normalizes it."""
    return matmul(state.hidden, params.recurrent_kernel)


def gates(params: Params, state: State, projected: Float[Array, "gates"], recurrent: Float[Array, "gates"]) -> Gates:
    """Computes the gates and the candidate from normalized sums."""
    cut = 2 * len(state.hidden)
    for_gates, for_candidate = _normalize(recurrent, params.recurrent_gain, params.bias[1])
    z, r = open_gates(projected[:cut] + for_gates, is_sigmoid=(True, True))
    return Gates(z, r, candidate=jnp.tanh(projected[cut:] + r * for_candidate))


def update(
    params: Params, state: State, projected: Float[Array, "gates"], recurrent: Float[Array, "gates"]
) -> tuple[State, Float[Array, "hidden"]]:
    """Interpolates between the old state and the candidate; the output is the new hidden state."""
    z, _, n = gates(params, state, projected, recurrent)
    hidden = z * state.hidden + (1 - z) * n
    return State(hidden), hidden


def _normalize(
    summed: Float[Array, "gates"], gain: Float[Array, "gates"], bias: Float[Array, "gates"]
) -> tuple[Float[Array, "two_gates"], Float[Array, "hidden"]]:
    """Normalizes the two gates as one vector and the candidate as another."""
    cut = 2 * len(summed) // 3
    bias = bias.astype(summed.dtype)
    return normalize(summed[:cut], gain[:cut]) + bias[:cut], normalize(summed[cut:], gain[cut:]) + bias[cut:]
