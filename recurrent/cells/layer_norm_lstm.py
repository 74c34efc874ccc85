"""Long short-term memory with layer normalisation (Ba, Kiros & Hinton 2016).

    LN(a; gain) = gain * (a - mean(a)) / sqrt(mean((a - mean(a))^2) + 1e-5)

    i, f, g, o = squash(LN(x W; input_gain) + LN(h U; recurrent_gain) + bias)      sigmoid, tanh for g
    c' = f * c + i * g
    h' = o * tanh(LN(c'; memory_gain) + memory_bias)

As in the paper, mean and variance are taken over the whole vector of summed inputs: once for all four gates of `x W`,
once for those of `h U`, and once for the memory that is read. (Some libraries normalise gate by gate, which is another
cell.) What x and h say is normalised apart, so that neither drowns the other; the memory's own track is left as it is,
and only what is read off it is normalised. The paper's biases of the gates are one here, as only their sum counts. With
a single hidden unit there is nothing to normalise, and the output would not depend on the memory.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from recurrent.cells import lstm
from recurrent.cells.initializers import sizes
from recurrent.cells.lstm import GATES, Gates, State
from recurrent.cells.precision import carry_dtype, matmul
from recurrent.cells.squash import open_gates
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
"""Keeps a vector of equal numbers, such as `h U` before the first step, at zero and its gradient finite."""


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
    """Draws params as `lstm.init` does, whose options it takes; gains are one and the memory's bias is zero.

    Raises:
        ValueError: a size is below 1.
    """
    params = lstm.init(key, input_size, hidden_size, **options)
    memory_bias = jnp.zeros_like(params.bias[:hidden_size])
    # An array for each gain, and not one for all: a training step that is given its params' memory could not take it.
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
    return State(hidden=jnp.zeros(size, dtype), memory=jnp.zeros(size, dtype))  # two arrays: each can be donated


def project(params: Params, x: Step) -> Float[Array, "gates"]:
    """Computes LN(x W) + b for all gates."""
    projected = normalize(matmul(x, params.input_kernel), params.input_gain)
    return projected + params.bias.astype(projected.dtype)


def recur(params: Params, state: State) -> Float[Array, "gates"]:
    """Computes h U for all gates; `update` normalises it."""
    return matmul(state.hidden, params.recurrent_kernel)


def gates(params: Params, state: State, projected: Float[Array, "gates"], recurrent: Float[Array, "gates"]) -> Gates:
    """Opens the gates, on normalised sums."""
    summed = projected + normalize(recurrent, params.recurrent_gain)
    return Gates(*open_gates(summed, is_sigmoid=(True, True, False, True)))


def update(
    params: Params, state: State, projected: Float[Array, "gates"], recurrent: Float[Array, "gates"]
) -> tuple[State, Float[Array, "hidden"]]:
    """Opens the gates, moves the memory and reads it, normalised; the output is the new hidden state."""
    i, f, g, o = gates(params, state, projected, recurrent)
    memory = f * state.memory + i * g
    read = normalize(memory, params.memory_gain) + params.memory_bias.astype(memory.dtype)
    hidden = o * jnp.tanh(read)
    return State(hidden, memory), hidden


def normalize(a: Float[Array, "units"], gain: Float[Array, "units"]) -> Float[Array, "units"]:
    """Gives a vector zero mean and unit variance, then a gain for each unit; in the vector's dtype."""
    centred = a - jnp.mean(a)
    return centred * jax.lax.rsqrt(jnp.mean(centred * centred) + EPSILON) * gain.astype(a.dtype)
