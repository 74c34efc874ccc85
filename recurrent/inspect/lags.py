"""Values of steps against their lag from the end of the sequence, and how fast they decay with it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from recurrent.cells.precision import carry_dtype

__all__ = ["Decay", "decay", "from_end"]


def from_end(
    values: Float[Array, "*batch time"], is_token: Bool[Array, "*batch time"] | None = None
) -> Float[Array, "*batch time"]:
    """Reorders the values of steps by the number of tokens that follow in the sequence: index 0 is the last token.

    Entries beyond the first token are NaN. Tokens may be anywhere in the sequence.

    Args:
        values: ``[*batch, time]``.
        is_token: ``[*batch, time]``, False at masked steps; by default no step is masked.

    >>> import jax.numpy as jnp
    >>> from recurrent.inspect import from_end
    >>> from_end(jnp.array([1.0, 2.0, 3.0, 4.0]), jnp.array([False, True, True, False])).tolist()
    [3.0, 2.0, nan, nan]
    """
    if is_token is None:
        return jnp.flip(values, axis=-1)
    order = jnp.argsort(jnp.flip(~is_token, axis=-1), axis=-1, stable=True)
    lag = jax.lax.broadcasted_iota(jnp.int32, values.shape, values.ndim - 1)
    is_there = lag < jnp.sum(is_token, axis=-1, keepdims=True, dtype=jnp.int32)
    return jnp.where(is_there, jnp.take_along_axis(jnp.flip(values, axis=-1), order, axis=-1), jnp.nan)


class Decay(NamedTuple):
    """How fast values decay with the lag.

    >>> import jax.numpy as jnp
    >>> from recurrent.inspect import decay
    >>> round(float(decay(0.1 ** jnp.arange(5.0)).slope), 4)
    -1.0
    """

    slope: Float[Array, "*batch"]  # change of log10 of the values per step
    half_life: Float[Array, "*batch"]  # steps until values are halved; infinite if they do not decay


def decay(values: Float[Array, "*batch lag"]) -> Decay:
    """Fits a line to the logarithm of values against their lag, by least squares.

    Args:
        values: ``[*batch, lag]``, such as `from_end(norms(gradient).hidden)`. Values that are NaN, infinite or not
            above zero, such as gradients outside float32's range, are left out. With fewer than two values left, both
            results are NaN.

    >>> import jax.numpy as jnp
    >>> from recurrent.inspect import decay
    >>> slope, half_life = decay(2.0 ** -jnp.arange(10.0))
    >>> round(float(slope), 4), round(float(half_life), 4)
    (-0.301, 1.0)
    """
    values = values.astype(carry_dtype(values.dtype))
    lag = jax.lax.broadcasted_iota(values.dtype, values.shape, values.ndim - 1)
    is_used = jnp.isfinite(values) & (values > 0)
    logarithm = jnp.log10(jnp.where(is_used, values, 1))
    weight = is_used.astype(values.dtype)
    count = jnp.sum(weight, axis=-1, keepdims=True)
    centred = jnp.where(is_used, lag - jnp.sum(weight * lag, axis=-1, keepdims=True) / count, 0)
    slope = jnp.sum(centred * logarithm, axis=-1) / jnp.sum(centred * centred, axis=-1)
    half_life = jnp.where(slope < 0, -jnp.log10(2.0).astype(slope.dtype) / slope, jnp.inf)
    return Decay(slope, jnp.where(jnp.isnan(slope), slope, half_life))
