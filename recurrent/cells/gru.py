"""Gated recurrent unit (Cho et al. 2014), with the reset gate *after* the matmul, as in cuDNN, Keras and PyTorch::

    z = sigmoid(x W_z + b0_z + h U_z + b1_z)            update gate: how much of the state is kept
    r = sigmoid(x W_r + b0_r + h U_r + b1_r)            reset gate: how much of h U_n the candidate uses
    n =    tanh(x W_n + b0_n + r * (h U_n + b1_n))      candidate
    h' = z * h + (1 - z) * n

A unit whose update gate is near one keeps its state, as an LSTM keeps its memory. W and U hold the blocks in the order
z, r, n, and the bias has two rows (input, recurrent), as in Keras with `reset_after=True`. `gru_reset_before` is the
variant of the first paper, which resets before the matmul; the params of one cannot be converted to the other.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float

from recurrent.cells import initializers, profiles
from recurrent.cells.gates import sigmoid
from recurrent.cells.precision import carry_dtype, matmul
from recurrent.cells.profiles.profile import check_profile
from recurrent.shapes import RandomKey, Step

__all__ = ["GATES", "Gates", "Params", "State", "gates", "init", "project", "recur", "sizes", "update", "zero_state"]


class Gates(NamedTuple):
    """The gates z and r and the candidate n of one step."""

    update: Float[Array, "hidden"]
    reset: Float[Array, "hidden"]
    candidate: Float[Array, "hidden"]


GATES = Gates._fields
"""The blocks of the kernels' columns, in order."""


class Params(NamedTuple):
    """Trainable arrays; they equal the weights of Keras' `GRU`."""

    input_kernel: Float[Array, "input 3*hidden"]
    recurrent_kernel: Float[Array, "hidden 3*hidden"]
    bias: Float[Array, "2 3*hidden"]


class State(NamedTuple):
    """The state that is carried from step to step."""

    hidden: Float[Array, "hidden"]


sizes = initializers.sizes


def init(
    key: RandomKey,
    input_size: int,
    hidden_size: int,
    *,
    profile: profiles.Profile = profiles.keras,
    input_initializer: initializers.Initializer | None = None,
    recurrent_initializer: initializers.Initializer | None = None,
    chrono_steps: int | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Params:
    """Draws params with a library's default initializers: by default Keras', and biases are zero.

    Args:
        key: a key from `jax.random.key`.
        input_size: features of a step.
        hidden_size: units.
        profile: the library, such as `recurrent.profiles.torch`.
        input_initializer: draws the input kernel; see `initializers.Initializer`. By default the profile's.
        recurrent_initializer: draws the recurrent kernel. By default the profile's.
        chrono_steps: the longest dependency in steps. The update gate's input biases are then drawn by
            `initializers.chrono` (Tallec & Ollivier 2018).
        dtype: the dtype of the params.

    Raises:
        ValueError: a size is below 1, `chrono_steps` below 3, or the profile is none.

    >>> import jax, recurrent
    >>> recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4).bias.shape
    (2, 12)
    """
    initializers.check_sizes(input_size, hidden_size)
    input_key, recurrent_key, *bias_keys = jax.random.split(key, 2 if chrono_steps is None else 3)
    layout = profiles.Layout(input_size, hidden_size, GATES, num_biases=2)
    input_kernel, recurrent_kernel, bias = check_profile(profile).draw(
        input_key, recurrent_key, layout, dtype, input_initializer, recurrent_initializer
    )
    if chrono_steps is not None:
        bias = bias.at[0, :hidden_size].set(initializers.chrono(bias_keys[0], hidden_size, chrono_steps, dtype))
    return Params(input_kernel, recurrent_kernel, bias)


def zero_state(params: Params) -> State:
    """Returns the state before the first step."""
    return State(hidden=jnp.zeros(params.recurrent_kernel.shape[0], carry_dtype(params.recurrent_kernel.dtype)))


def project(params: Params, x: Step) -> tuple[Float[Array, "hidden"], ...]:
    """Computes x W + b0 for all gates, in one matmul.

    It is split into gates here: splitting in `update`, inside the loop, makes a step three times as slow on a CPU.
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
    """Computes the gates and the candidate."""
    z_input, r_input, n_input = projected
    z_recurrent, r_recurrent, n_recurrent = jnp.split(recurrent, 3)
    z = sigmoid(z_input + z_recurrent)
    r = sigmoid(r_input + r_recurrent)
    return Gates(z, r, candidate=jnp.tanh(n_input + r * n_recurrent))


def update(
    params: Params, state: State, projected: tuple[Float[Array, "hidden"], ...], recurrent: Float[Array, "gates"]
) -> tuple[State, Float[Array, "hidden"]]:
    """Interpolates between the old state and the candidate; the output is the new hidden state."""
    z, _, n = gates(params, state, projected, recurrent)
    hidden = z * state.hidden + (1 - z) * n
    return State(hidden), hidden
