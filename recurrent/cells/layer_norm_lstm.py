"""Long short-term memory with layer normalization (Ba, Kiros & Hinton 2016)::

    LN(a; gain) = gain * (a - mean(a)) / sqrt(mean((a - mean(a))^2) + 1e-5)

    i, f, g, o = squash(LN(x W; input_gain) + LN(h U; recurrent_gain) + bias)      sigmoid, tanh for g
    c' = f * c + i * g
    h' = o * tanh(LN(c'; memory_gain) + memory_bias)

As in the paper, each normalization is over a whole vector: all four gates of `x W`, all four gates of `h U`, and the
memory that is read. (Some libraries normalize each gate by itself, which is another cell.) The memory itself is not
normalized. The paper's two biases of the gates are one here, since only their sum matters. With a single hidden unit
the output does not depend on the memory.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from recurrent.cells import lstm
from recurrent.cells.gates import open_gates
from recurrent.cells.initializers import sizes
from recurrent.cells.lstm import GATES, Gates, State
from recurrent.cells.precision import carry_dtype, matmul
from recurrent.shapes import RandomKey, Step

__all__ = [
    "GATES",
    "Gates",
    "Params",
    "State",
    "gates",
    "init",
    "normalize",
    "project",
    "recur",
    "sizes",
    "update",
    "zero_state",
]

EPSILON = 1e-5
"""Added to the variance, so that equal numbers, such as `h U` before the first step, have a finite gradient."""


class Params(NamedTuple):
    """Trainable arrays; the first three are those of `lstm`."""

    input_kernel: Float[Array, "input 4*hidden"]
    recurrent_kernel: Float[Array, "hidden 4*hidden"]
    bias: Float[Array, "4*hidden"]
    input_gain: Float[Array, "4*hidden"]
    recurrent_gain: Float[Array, "4*hidden"]
    memory_gain: Float[Array, "hidden"]
    memory_bias: Float[Array, "hidden"]


def init(key: RandomKey, input_size: int, hidden_size: int, **options) -> Params:
    """Draws params as `lstm.init` does, with the same options; gains are one and the memory's bias is zero.

    Raises:
        ValueError: a size is below 1.

    >>> import jax, recurrent
    >>> recurrent.layer_norm_lstm.init(jax.random.key(0), input_size=3, hidden_size=4).memory_gain.shape
    (4,)
    """
    params = lstm.init(key, input_size, hidden_size, **options)
    memory_bias = jnp.zeros_like(params.bias[:hidden_size])
    # Separate arrays, since a buffer can be donated only once.
    return Params(
        *params,
        input_gain=jnp.ones_like(params.bias),
        recurrent_gain=jnp.ones_like(params.bias),
        memory_gain=jnp.ones_like(memory_bias),
        memory_bias=memory_bias,
    )


def zero_state(params: Params) -> State:
    """Returns the state before the first step."""
    size, dtype = params.recurrent_kernel.shape[0], carry_dtype(params.recurrent_kernel.dtype)
    # Separate arrays, since a buffer can be donated only once.
    return State(hidden=jnp.zeros(size, dtype), memory=jnp.zeros(size, dtype))


def project(params: Params, x: Step) -> Float[Array, "gates"]:
    """Computes LN(x W) + b for all gates."""
    projected = normalize(matmul(x, params.input_kernel), params.input_gain)
    return projected + params.bias.astype(projected.dtype)


def recur(params: Params, state: State) -> Float[Array, "gates"]:
    """Computes h U for all gates; `update` normalizes it."""
    return matmul(state.hidden, params.recurrent_kernel)


def gates(params: Params, state: State, projected: Float[Array, "gates"], recurrent: Float[Array, "gates"]) -> Gates:
    """Computes the gates and the candidate from normalized sums."""
    summed = projected + normalize(recurrent, params.recurrent_gain)
    return Gates(*open_gates(summed, is_sigmoid=(True, True, False, True)))


def update(
    params: Params, state: State, projected: Float[Array, "gates"], recurrent: Float[Array, "gates"]
) -> tuple[State, Float[Array, "hidden"]]:
    """Computes the next memory and hidden state; the output is the new hidden state."""
    i, f, g, o = gates(params, state, projected, recurrent)
    memory = f * state.memory + i * g
    read = normalize(memory, params.memory_gain) + params.memory_bias.astype(memory.dtype)
    hidden = o * jnp.tanh(read)
    return State(hidden, memory), hidden


def normalize(a: Float[Array, "units"], gain: Float[Array, "units"]) -> Float[Array, "units"]:
    """Normalizes a vector to zero mean and unit variance, then multiplies by a gain per unit; in the vector's dtype."""
    centred = a - jnp.mean(a)
    return centred * jax.lax.rsqrt(jnp.mean(centred * centred) + EPSILON) * gain.astype(a.dtype)
