"""Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000).

    i = sigmoid(x W_i + b_i + h U_i)      input gate: what steps on the track
    f = sigmoid(x W_f + b_f + h U_f)      forget gate: what stays on it
    g =    tanh(x W_g + b_g + h U_g)      candidate
    o = sigmoid(x W_o + b_o + h U_o)      output gate: what is read off it
    c' = f * c + i * g
    h' = o * tanh(c')

The memory `c` is a track beside the hidden state: going back along it multiplies a gradient by `f` alone, which the
network can learn to hold near one. W and U hold the blocks in the order i, f, g, o, as Keras and PyTorch do.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float

from recurrent.cells import initializers
from recurrent.cells.precision import carry_dtype, matmul
from recurrent.cells.squash import open_gates
from recurrent.shapes import RandomKey, Step


class Gates(NamedTuple):
    """How much the units of a step let through, and what: i, f, g and o."""

    input: Float[Array, "hidden"]
    forget: Float[Array, "hidden"]
    candidate: Float[Array, "hidden"]
    output: Float[Array, "hidden"]


GATES = Gates._fields
"""The blocks of the kernels' columns, in order."""


class Params(NamedTuple):
    """Trainable arrays; the weights of Keras' `LSTM` as they are."""

    input_kernel: Float[Array, "input 4*hidden"]
    recurrent_kernel: Float[Array, "hidden 4*hidden"]
    bias: Float[Array, "4*hidden"]


class State(NamedTuple):
    """What is carried from step to step."""

    hidden: Float[Array, "hidden"]
    memory: Float[Array, "hidden"]


sizes = initializers.sizes


def init(
    key: RandomKey,
    input_size: int,
    hidden_size: int,
    *,
    input_initializer: initializers.Initializer = initializers.glorot_uniform,
    recurrent_initializer: initializers.Initializer = initializers.orthogonal,
    forget_bias: float = 1.0,
    chrono_steps: int | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Params:
    """Draws params with Keras' default initializers; the bias is zero but for the forget gate's.

    Args:
        forget_bias: starts the forget gate at sigmoid(forget_bias); 1 as Jozefowicz et al. (2015) advise.
        chrono_steps: draws the forget gates' biases by `initializers.chrono` instead, so that the units' memories last
            up to so many steps, and sets the input gates' biases to their negatives (Tallec & Ollivier 2018).

    Raises:
        ValueError: a size is below 1, or `chrono_steps` below 3.
    """
    initializers.check_sizes(input_size, hidden_size)
    input_key, recurrent_key, *bias_keys = jax.random.split(key, 2 if chrono_steps is None else 3)
    zero = jnp.zeros(hidden_size, dtype)
    if chrono_steps is None:
        i_bias, f_bias = zero, jnp.full(hidden_size, forget_bias, dtype)
    else:
        f_bias = initializers.chrono(bias_keys[0], hidden_size, chrono_steps, dtype)
        i_bias = -f_bias
    return Params(
        input_kernel=input_initializer(input_key, (input_size, 4 * hidden_size), dtype),
        recurrent_kernel=recurrent_initializer(recurrent_key, (hidden_size, 4 * hidden_size), dtype),
        bias=jnp.concatenate([i_bias, f_bias, zero, zero]),
    )


def zero_state(params: Params) -> State:
    """Returns the state before the first step."""
    size, dtype = params.recurrent_kernel.shape[0], carry_dtype(params.recurrent_kernel.dtype)
    return State(hidden=jnp.zeros(size, dtype), memory=jnp.zeros(size, dtype))  # two arrays: each can be donated


def project(params: Params, x: Step) -> Float[Array, "gates"]:
    """Computes x W + b for all gates."""
    projected = matmul(x, params.input_kernel)
    return projected + params.bias.astype(projected.dtype)


def recur(params: Params, state: State) -> Float[Array, "gates"]:
    """Computes h U for all gates."""
    return matmul(state.hidden, params.recurrent_kernel)


def gates(params: Params, state: State, projected: Float[Array, "gates"], recurrent: Float[Array, "gates"]) -> Gates:
    """Opens the gates."""
    return Gates(*open_gates(projected + recurrent, is_sigmoid=(True, True, False, True)))


def update(
    params: Params, state: State, projected: Float[Array, "gates"], recurrent: Float[Array, "gates"]
) -> tuple[State, Float[Array, "hidden"]]:
    """Opens the gates, moves the memory and reads it; the output is the new hidden state."""
    i, f, g, o = gates(params, state, projected, recurrent)
    memory = f * state.memory + i * g
    hidden = o * jnp.tanh(memory)
    return State(hidden, memory), hidden
