"""Gated recurrent unit (Cho et al. 2014), its reset gate applied *after* the matmul as in cuDNN, Keras and PyTorch.

    z = sigmoid(x W_z + b0_z + h U_z + b1_z)            update gate: what stays
    r = sigmoid(x W_r + b0_r + h U_r + b1_r)            reset gate: what the candidate sees
    n =    tanh(x W_n + b0_n + r * (h U_n + b1_n))      candidate
    h' = z * h + (1 - z) * n

A unit whose update gate is near one hands its state on untouched: the LSTM's track without a second state. W and U hold
the blocks in the order z, r, n, and the bias has two rows (input, recurrent), as Keras does with `reset_after=True`.
The variant of the first paper, which resets before the matmul, is `gru_reset_before`; no exact map exists between them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float

from recurrent.cells import initializers
from recurrent.cells.precision import carry_dtype, matmul
from recurrent.cells.squash import sigmoid
from recurrent.shapes import RandomKey, Step


class Gates(NamedTuple):
    """How much the units of a step let through, and what: z, r and n."""

    update: Float[Array, "hidden"]
    reset: Float[Array, "hidden"]
    candidate: Float[Array, "hidden"]


GATES = Gates._fields
"""The blocks of the kernels' columns, in order."""


class Params(NamedTuple):
    """Trainable arrays; the weights of Keras' `GRU` as they are."""

    input_kernel: Float[Array, "input 3*hidden"]
    recurrent_kernel: Float[Array, "hidden 3*hidden"]
    bias: Float[Array, "2 3*hidden"]


class State(NamedTuple):
    """What is carried from step to step."""

    hidden: Float[Array, "hidden"]


sizes = initializers.sizes


def init(
    key: RandomKey,
    input_size: int,
    hidden_size: int,
    *,
    input_initializer: initializers.Initializer = initializers.glorot_uniform,
    recurrent_initializer: initializers.Initializer = initializers.orthogonal,
    chrono_steps: int | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Params:
    """Draws params with Keras' default initializers; the biases are zero.

    Args:
        chrono_steps: draws the update gates' input biases by `initializers.chrono`, so that the units' states last up
            to so many steps (Tallec & Ollivier 2018).

    Raises:
        ValueError: a size is below 1, or `chrono_steps` below 3.
    """
    initializers.check_sizes(input_size, hidden_size)
    input_key, recurrent_key, *bias_keys = jax.random.split(key, 2 if chrono_steps is None else 3)
    bias = jnp.zeros((2, 3 * hidden_size), dtype)
    if chrono_steps is not None:
        bias = bias.at[0, :hidden_size].set(initializers.chrono(bias_keys[0], hidden_size, chrono_steps, dtype))
    return Params(
        input_kernel=input_initializer(input_key, (input_size, 3 * hidden_size), dtype),
        recurrent_kernel=recurrent_initializer(recurrent_key, (hidden_size, 3 * hidden_size), dtype),
        bias=bias,
    )


def zero_state(params: Params) -> State:
    """Returns the state before the first step."""
    return State(hidden=jnp.zeros(params.recurrent_kernel.shape[0], carry_dtype(params.recurrent_kernel.dtype)))


def project(params: Params, x: Step) -> tuple[Float[Array, "hidden"], ...]:
    """Computes x W + b0 for all gates, in one matmul.

    It is cut into gates here and not in `update`: cut inside the loop, a CPU takes three times as long over a step.
    """
    projected = matmul(x, params.input_kernel)
    return tuple(jnp.split(projected + params.bias[0].astype(projected.dtype), 3))


def recur(params: Params, state: State) -> Float[Array, "gates"]:
    """Computes h U + b1 for all gates."""
    recurrent = matmul(state.hidden, params.recurrent_kernel)
    return recurrent + params.bias[1].astype(recurrent.dtype)


def gates(
    params: Params, state: State, projected: tuple[Float[Array, "hidden"], ...], recurrent: Float[Array, "gates"]
) -> Gates:
    """Opens the gates and forms the candidate."""
    z_input, r_input, n_input = projected
    z_recurrent, r_recurrent, n_recurrent = jnp.split(recurrent, 3)
    z = sigmoid(z_input + z_recurrent)
    r = sigmoid(r_input + r_recurrent)
    return Gates(z, r, candidate=jnp.tanh(n_input + r * n_recurrent))


def update(
    params: Params, state: State, projected: tuple[Float[Array, "hidden"], ...], recurrent: Float[Array, "gates"]
) -> tuple[State, Float[Array, "hidden"]]:
    """Mixes the old state with the candidate; the output is the new hidden state."""
    z, _, n = gates(params, state, projected, recurrent)
    hidden = z * state.hidden + (1 - z) * n
    return State(hidden), hidden
