"""Gated recurrent unit as first published (Cho et al. 2014), with the reset gate *before* the candidate's matmul::

    z = sigmoid(x W_z + b_z + h U_z)          update gate: how much of the state is kept
    r = sigmoid(x W_r + b_r + h U_r)          reset gate: how much of the state the candidate uses
    n =    tanh(x W_n + b_n + (r * h) U_n)    candidate
    h' = z * h + (1 - z) * n

The blocks are in the order z, r, n, as in Keras' GRU with `reset_after=False`. The candidate's matmul needs the reset
gate, so `recur` computes z and r alone and `update` contains a second matmul.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from recurrent.cells import gru
from recurrent.cells.gates import sigmoid
from recurrent.cells.gru import GATES, Gates, State
from recurrent.cells.initializers import sizes
from recurrent.cells.precision import carry_dtype, matmul
from recurrent.shapes import RandomKey, Step

__all__ = ["GATES", "Gates", "Params", "State", "gates", "init", "project", "recur", "sizes", "update", "zero_state"]


class Params(NamedTuple):
    """Trainable arrays; they equal the weights of Keras' `GRU(reset_after=False)`."""

    input_kernel: Float[Array, "input 3*hidden"]
    recurrent_kernel: Float[Array, "hidden 3*hidden"]
    bias: Float[Array, "3*hidden"]


def init(key: RandomKey, input_size: int, hidden_size: int, **options) -> Params:
    """Draws params as `gru.init` does, with the same options: by default Keras' initializers, and the bias is zero.

    Raises:
        ValueError: a size is below 1.

    >>> import jax, recurrent
    >>> recurrent.gru_reset_before.init(jax.random.key(0), input_size=3, hidden_size=4).bias.shape
    (12,)
    """
    params = gru.init(key, input_size, hidden_size, **options)
    return Params(params.input_kernel, params.recurrent_kernel, bias=params.bias[0])


def zero_state(params: Params) -> State:
    """Returns the state before the first step."""
    return State(hidden=jnp.zeros(params.recurrent_kernel.shape[0], carry_dtype(params.recurrent_kernel.dtype)))


def project(params: Params, x: Step) -> Float[Array, "gates"]:
    """Computes x W + b for all gates."""
    projected = matmul(x, params.input_kernel)
    return projected + params.bias.astype(projected.dtype)


def recur(params: Params, state: State) -> Float[Array, "two_gates"]:
    """Computes h U for the update and the reset gate."""
    return matmul(state.hidden, params.recurrent_kernel[:, : 2 * state.hidden.size])


def gates(
    params: Params, state: State, projected: Float[Array, "gates"], recurrent: Float[Array, "two_gates"]
) -> Gates:
    """Computes the gates, and the candidate from the reset state."""
    z_input, r_input, n_input = jnp.split(projected, 3)
    z_recurrent, r_recurrent = jnp.split(recurrent, 2)
    z = sigmoid(z_input + z_recurrent)
    r = sigmoid(r_input + r_recurrent)
    n = jnp.tanh(n_input + matmul(r * state.hidden, params.recurrent_kernel[:, 2 * state.hidden.size :]))
    return Gates(z, r, n)


def update(
    params: Params, state: State, projected: Float[Array, "gates"], recurrent: Float[Array, "two_gates"]
) -> tuple[State, Float[Array, "hidden"]]:
    """Interpolates between the old state and the candidate; the output is the new hidden state."""
    z, _, n = gates(params, state, projected, recurrent)
    hidden = z * state.hidden + (1 - z) * n
    return State(hidden), hidden
