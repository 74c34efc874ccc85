"""The profiles of four libraries.

Sources: Keras 3.15 `layers` and `optimizers`; PyTorch 2.13 `nn` and `optim`; Flax 0.12 `linen`; Haiku 0.0.17; and
Optax 0.2.8, whose optimizers are those of Flax and Haiku.
"""

import math
from collections.abc import Callable
from types import MappingProxyType

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike

from recurrent.cells.initializers import Initializer, glorot_uniform, orthogonal
from recurrent.cells.profiles.profile import Adam, Draw, Layout, Profile, RMSprop
from recurrent.shapes import RandomKey

__all__ = ["PROFILES", "flax", "haiku", "keras", "torch"]


def _input_shape(layout: Layout) -> tuple[int, int]:
    return layout.input_size, layout.num_columns


def _recurrent_shape(layout: Layout) -> tuple[int, int]:
    return layout.hidden_size, layout.num_columns


def _zeros(key: RandomKey, layout: Layout, dtype: DTypeLike) -> Array:
    return jnp.zeros((layout.num_biases, layout.num_columns), dtype)


def _open_forget_gate(key: RandomKey, layout: Layout, dtype: DTypeLike) -> Array:
    """Returns zeros, and ones for a forget gate."""
    blocks = [jnp.full(layout.hidden_size, float(gate == "forget"), dtype) for gate in layout.gates]
    return jnp.broadcast_to(jnp.concatenate(blocks), (layout.num_biases, layout.num_columns))


def _uniform(key: RandomKey, shape: tuple[int, ...], limit: float, dtype: DTypeLike) -> Array:
    return jax.random.uniform(key, shape, dtype, minval=-limit, maxval=limit)


def _torch_limit(layout: Layout) -> float:
    return 1 / math.sqrt(layout.hidden_size)


def _torch_bias(key: RandomKey, layout: Layout, dtype: DTypeLike) -> Array:
    both = _uniform(key, (2, layout.num_columns), _torch_limit(layout), dtype)
    return both if layout.num_biases == 2 else jnp.sum(both, axis=0, keepdims=True)


def _orthogonal_gates(key: RandomKey, layout: Layout, dtype: DTypeLike) -> Array:
    keys = jax.random.split(key, len(layout.gates))
    return jnp.concatenate([orthogonal(each, (layout.hidden_size,) * 2, dtype) for each in keys], axis=1)


def _truncated_normal(key: RandomKey, shape: tuple[int, ...], scale: float, dtype: DTypeLike) -> Array:
    """Draws from a normal distribution of this scale, cut at two of it on both sides."""
    return jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype) * jnp.asarray(scale, dtype)


def _haiku_kernel(shape_of: Callable[[Layout], tuple[int, int]]) -> Draw:
    def draw(key: RandomKey, layout: Layout, dtype: DTypeLike) -> Array:
        shape = shape_of(layout)
        if "reset" in layout.gates:
            return _lecun_normal(key, shape, dtype)
        fan_in = layout.input_size + layout.hidden_size if "forget" in layout.gates else shape[0]
        return _truncated_normal(key, shape, 1 / math.sqrt(fan_in), dtype)

    return draw


def _lecun_normal(key: RandomKey, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    return jax.nn.initializers.lecun_normal()(key, shape, dtype)


def _no_bias(input_size: int) -> Initializer:
    return jax.nn.initializers.zeros


keras = Profile(
    name="keras",
    input_kernel=lambda key, layout, dtype: glorot_uniform(key, _input_shape(layout), dtype),
    recurrent_kernel=lambda key, layout, dtype: orthogonal(key, _recurrent_shape(layout), dtype),
    bias=_open_forget_gate,
    is_bias_random=False,
    embedding=lambda key, shape, dtype: _uniform(key, shape, 0.05, dtype),
    dense_kernel=glorot_uniform,
    dense_bias=_no_bias,
    rmsprop=RMSprop(decay=0.9, epsilon=1e-7, is_epsilon_in_root=True, learning_rate=1e-3),
    adam=Adam(epsilon=1e-7, is_epsilon_hat=True, learning_rate=1e-3),
)
"""Keras' `SimpleRNN`, `LSTM`, `GRU`, `Embedding`, `Dense`, `RMSprop` and `Adam`: the default here."""

torch = Profile(
    name="torch",
    input_kernel=lambda key, layout, dtype: _uniform(key, _input_shape(layout), _torch_limit(layout), dtype),
    recurrent_kernel=lambda key, layout, dtype: _uniform(key, _recurrent_shape(layout), _torch_limit(layout), dtype),
    bias=_torch_bias,
    is_bias_random=True,
    embedding=lambda key, shape, dtype: jax.random.normal(key, shape, dtype),
    dense_kernel=lambda key, shape, dtype: _uniform(key, shape, 1 / math.sqrt(shape[0]), dtype),
    dense_bias=lambda input_size: lambda key, shape, dtype: _uniform(key, shape, 1 / math.sqrt(input_size), dtype),
    rmsprop=RMSprop(decay=0.99, epsilon=1e-8, is_epsilon_in_root=False, learning_rate=1e-2),
    adam=Adam(epsilon=1e-8, is_epsilon_hat=False, learning_rate=1e-3),
)
"""PyTorch's `RNN`, `LSTM`, `GRU`, `Embedding`, `Linear`, `RMSprop` and `Adam`."""

_OPTAX_RMSPROP = RMSprop(decay=0.9, epsilon=1e-8, is_epsilon_in_root=True)
_OPTAX_ADAM = Adam(epsilon=1e-8, is_epsilon_hat=False)

flax = Profile(
    name="flax",
    input_kernel=lambda key, layout, dtype: _lecun_normal(key, _input_shape(layout), dtype),
    recurrent_kernel=_orthogonal_gates,
    bias=_zeros,
    is_bias_random=False,
    embedding=lambda key, shape, dtype: jax.random.normal(key, shape, dtype) / jnp.asarray(shape[-1] ** 0.5, dtype),
    dense_kernel=_lecun_normal,
    dense_bias=_no_bias,
    rmsprop=_OPTAX_RMSPROP,
    adam=_OPTAX_ADAM,
)
"""Flax Linen's `SimpleCell`, `LSTMCell`, `GRUCell`, `Embed` and `Dense`, and Optax' `rmsprop` and `adam`."""

haiku = Profile(
    name="haiku",
    input_kernel=_haiku_kernel(_input_shape),
    recurrent_kernel=_haiku_kernel(_recurrent_shape),
    bias=_open_forget_gate,
    is_bias_random=False,
    embedding=lambda key, shape, dtype: _truncated_normal(key, shape, 1.0, dtype),
    dense_kernel=lambda key, shape, dtype: _truncated_normal(key, shape, 1 / math.sqrt(shape[0]), dtype),
    dense_bias=_no_bias,
    rmsprop=_OPTAX_RMSPROP,
    adam=_OPTAX_ADAM,
)
"""Haiku's `VanillaRNN`, `LSTM`, `GRU`, `Embed` and `Linear`, and Optax' `rmsprop` and `adam`."""

PROFILES = MappingProxyType({profile.name: profile for profile in (keras, torch, flax, haiku)})
"""Name -> profile; recipes and files store the name."""
