"""Simple recurrent network (Elman 1990)::

    h' = tanh(x W + b + h U)

Going back one step multiplies a gradient by ``diag(1 - h'^2) U^T``. Over many steps this product vanishes if the
largest singular value of U is below one, and mostly also if it is not, since tanh saturates (Bengio, Simard & Frasconi
1994; Pascanu, Mikolov & Bengio 2013). The cell could represent long memories, but gradient descent does not find them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float

from recurrent.cells import initializers, profiles
from recurrent.cells.precision import carry_dtype, matmul
from recurrent.cells.profiles.profile import check_profile
from recurrent.shapes import RandomKey, Step

__all__ = ["GATES", "Gates", "Params", "State", "gates", "init", "project", "recur", "sizes", "update", "zero_state"]


class Gates(NamedTuple):
    """No gates; the candidate is the next state."""

    candidate: Float[Array, "hidden"]


GATES = Gates._fields
"""The blocks of the kernels' columns, in order."""


class Params(NamedTuple):
    """Trainable arrays; they equal the weights of Keras' `SimpleRNN`."""

    input_kernel: Float[Array, "input hidden"]
    recurrent_kernel: Float[Array, "hidden hidden"]
    bias: Float[Array, "hidden"]


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
    dtype: DTypeLike = jnp.float32,
) -> Params:
    """Draws params with a library's default initializers: by default Keras', and the bias is zero.

    Args:
        key: a key from `jax.random.key`.
        input_size: features of a step.
        hidden_size: units.
        profile: the library, such as `recurrent.profiles.torch`.
        input_initializer: draws the input kernel; see `initializers.Initializer`. By default the profile's.
        recurrent_initializer: draws the recurrent kernel. By default the profile's.
        dtype: the dtype of the params.

    Raises:
        ValueError: a size is below 1, or the profile is none.

    >>> import jax, recurrent
    >>> recurrent.simple_rnn.init(jax.random.key(0), input_size=3, hidden_size=4).input_kernel.shape
    (3, 4)
    """
    initializers.check_sizes(input_size, hidden_size)
    input_key, recurrent_key = jax.random.split(key)
    layout = profiles.Layout(input_size, hidden_size, GATES)
    input_kernel, recurrent_kernel, biases = check_profile(profile).draw(
        input_key, recurrent_key, layout, dtype, input_initializer, recurrent_initializer
    )
    return Params(input_kernel, recurrent_kernel, biases[0])


def zero_state(params: Params) -> State:
    """Returns the state before the first step."""
    return State(hidden=jnp.zeros(params.recurrent_kernel.shape[0], carry_dtype(params.recurrent_kernel.dtype)))


def project(params: Params, x: Step) -> Float[Array, "hidden"]:
    """Computes x W + b."""
    projected = matmul(x, params.input_kernel)
    return projected + params.bias.astype(projected.dtype)


def recur(params: Params, state: State) -> Float[Array, "hidden"]:
    """Computes h U."""
    return matmul(state.hidden, params.recurrent_kernel)


def gates(params: Params, state: State, projected: Float[Array, "hidden"], recurrent: Float[Array, "hidden"]) -> Gates:
    """Computes the candidate, tanh(projected + recurrent)."""
    return Gates(jnp.tanh(projected + recurrent))


def update(
    params: Params, state: State, projected: Float[Array, "hidden"], recurrent: Float[Array, "hidden"]
) -> tuple[State, Float[Array, "hidden"]]:
    """Returns the candidate as the next state and as the output."""
    hidden = gates(params, state, projected, recurrent).candidate
    return State(hidden), hidden
