"""Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000)::

    i = sigmoid(x W_i + b_i + h U_i)      input gate: how much of the candidate is written
    f = sigmoid(x W_f + b_f + h U_f)      forget gate: how much of the memory is kept
    g =    tanh(x W_g + b_g + h U_g)      candidate
    o = sigmoid(x W_o + b_o + h U_o)      output gate: how much of the memory is read
    c' = f * c + i * g
    h' = o * tanh(c')

Going back one step along the memory `c` multiplies a gradient by `f` alone, which the network can learn to keep near
one. W and U hold the blocks in the order i, f, g, o, as in Keras and PyTorch.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float

from recurrent.cells import initializers, profiles
from recurrent.cells.gates import open_gates
from recurrent.cells.precision import carry_dtype, matmul
from recurrent.cells.profiles.profile import check_profile
from recurrent.shapes import RandomKey, Step

__all__ = ["GATES", "Gates", "Params", "State", "gates", "init", "project", "recur", "sizes", "update", "zero_state"]


class Gates(NamedTuple):
    """The gates i, f and o and the candidate g of one step."""

    input: Float[Array, "hidden"]
    forget: Float[Array, "hidden"]
    candidate: Float[Array, "hidden"]
    output: Float[Array, "hidden"]


GATES = Gates._fields
"""The blocks of the kernels' columns, in order."""


class Params(NamedTuple):
    """Trainable arrays; they equal the weights of Keras' `LSTM`."""

    input_kernel: Float[Array, "input 4*hidden"]
    recurrent_kernel: Float[Array, "hidden 4*hidden"]
    bias: Float[Array, "4*hidden"]


class State(NamedTuple):
    """The state that is carried from step to step."""

    hidden: Float[Array, "hidden"]
    memory: Float[Array, "hidden"]


sizes = initializers.sizes


def init(
    key: RandomKey,
    input_size: int,
    hidden_size: int,
    *,
    profile: profiles.Profile = profiles.keras,
    input_initializer: initializers.Initializer | None = None,
    recurrent_initializer: initializers.Initializer | None = None,
    forget_bias: float | None = None,
    chrono_steps: int | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Params:
    """Draws params with a library's default initializers.

    By default they are Keras': biases are zero, except the forget gate's, which is 1 (Jozefowicz et al. 2015).

    Args:
        key: a key from `jax.random.key`.
        input_size: features of a step.
        hidden_size: units.
        profile: the library, such as `recurrent.profiles.torch`.
        input_initializer: draws the input kernel; see `initializers.Initializer`. By default the profile's.
        recurrent_initializer: draws the recurrent kernel. By default the profile's.
        forget_bias: the forget gate's bias. By default the profile's.
        chrono_steps: the longest dependency in steps. The forget gate's biases are then drawn by `initializers.chrono`,
            and the input gate's are their negatives (Tallec & Ollivier 2018).
        dtype: the dtype of the params.

    Raises:
        ValueError: a size is below 1, `chrono_steps` below 3, or the profile is none.

    >>> import jax, recurrent
    >>> recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4).recurrent_kernel.shape
    (4, 16)
    """
    initializers.check_sizes(input_size, hidden_size)
    input_key, recurrent_key, *bias_keys = jax.random.split(key, 2 if chrono_steps is None else 3)
    layout = profiles.Layout(input_size, hidden_size, GATES)
    input_kernel, recurrent_kernel, biases = check_profile(profile).draw(
        input_key, recurrent_key, layout, dtype, input_initializer, recurrent_initializer
    )
    i_bias, f_bias, *others = jnp.split(biases[0], 4)
    if forget_bias is not None:
        f_bias = jnp.full(hidden_size, forget_bias, dtype)
    if chrono_steps is not None:
        f_bias = initializers.chrono(bias_keys[0], hidden_size, chrono_steps, dtype)
        i_bias = -f_bias
    return Params(input_kernel, recurrent_kernel, bias=jnp.concatenate([i_bias, f_bias, *others]))


def zero_state(params: Params) -> State:
    """Returns the state before the first step."""
    size, dtype = params.recurrent_kernel.shape[0], carry_dtype(params.recurrent_kernel.dtype)
    # Separate arrays, since a buffer can be donated only once.
    return State(hidden=jnp.zeros(size, dtype), memory=jnp.zeros(size, dtype))


def project(params: Params, x: Step) -> Float[Array, "gates"]:
    """Computes x W + b for all gates."""
    projected = matmul(x, params.input_kernel)
    return projected + params.bias.astype(projected.dtype)


def recur(params: Params, state: State) -> Float[Array, "gates"]:
    """Computes h U for all gates."""
    return matmul(state.hidden, params.recurrent_kernel)


def gates(params: Params, state: State, projected: Float[Array, "gates"], recurrent: Float[Array, "gates"]) -> Gates:
    """Computes the gates and the candidate."""
    return Gates(*open_gates(projected + recurrent, is_sigmoid=(True, True, False, True)))


def update(
    params: Params, state: State, projected: Float[Array, "gates"], recurrent: Float[Array, "gates"]
) -> tuple[State, Float[Array, "hidden"]]:
    """Computes the next memory and hidden state; the output is the new hidden state."""
    i, f, g, o = gates(params, state, projected, recurrent)
    memory = f * state.memory + i * g
    hidden = o * jnp.tanh(memory)
    return State(hidden, memory), hidden
