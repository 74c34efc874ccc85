"""Inverted dropout: dropped elements are zero, and the others are scaled up so that the mean is unchanged."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, Int

from recurrent.call.arguments import as_arrays, as_integers
from recurrent.call.axes import over_axes
from recurrent.call.meshes import on_auto_axes
from recurrent.regularize.draw import check_rate, is_hit, number_steps
from recurrent.shapes import RandomKey

__all__ = ["dropout", "variational_mask"]


def variational_mask(
    key: RandomKey | None, rate: float, numbers: Int[Array, "*batch"], size: int, dtype: DTypeLike = jnp.float32
) -> Float[Array, "*batch 1 size"]:
    """Draws a dropout mask ``[*batch, 1, size]`` per example, for all of its steps: 0, or 1 / (1 - rate).

    Multiply inputs by it, or pass it to `run` as `recurrent_mask` (Gal & Ghahramani 2016). As `recurrent_mask` it acts
    on the hidden state that the cell's `recur` takes. It does not act on a GRU's ``z * h``, as in Keras (which draws a
    mask per gate), nor on the matmul in the `update` of `gru_reset_before`.

    Args:
        key: draws the mask; without a key it is all ones, as with rate 0.
        rate: the probability of dropping an element.
        numbers: ``[*batch]``, the examples' numbers in the data set.
        size: the number of features or units.
        dtype: the dtype of the mask.

    Raises:
        ValueError: the rate is not in [0, 1), or numbers are not integers.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.regularize import variational_mask
    >>> input_key, recurrent_key = jax.random.split(jax.random.key(0))
    >>> params = recurrent.gru.init(jax.random.key(1), input_size=3, hidden_size=4)
    >>> numbers = jnp.array([7, 2])
    >>> inputs = jnp.ones((2, 5, 3)) * variational_mask(input_key, 0.25, numbers, 3)
    >>> recurrent_mask = variational_mask(recurrent_key, 0.25, numbers, 4)
    >>> recurrent_mask.shape
    (2, 1, 4)
    >>> outputs, final = recurrent.run(recurrent.gru, params, inputs, recurrent_mask=recurrent_mask)
    """
    check_rate("rate", rate)
    numbers = as_integers("numbers", numbers)
    if key is None or rate == 0:
        return jnp.ones((*numbers.shape, 1, size), dtype)

    def draw_all(numbers: Array, key: RandomKey) -> Array:
        def draw(number: Int[Array, ""]) -> Float[Array, "1 size"]:
            is_kept = ~is_hit(jax.random.fold_in(key, number), rate, (1, size))
            return is_kept.astype(dtype) / (1 - rate)

        return over_axes(draw, numbers.ndim)(numbers)

    return on_auto_axes(draw_all, numbers.ndim, numbers, key)


def dropout(
    key: RandomKey | None,
    rate: float,
    x: Float[Array, "*batch time size"],
    numbers: Int[Array, "*batch"] | None = None,
    *,
    positions: Int[Array, "*batch time"] | None = None,
) -> Float[Array, "*batch time size"]:
    """Drops elements of x, drawn anew at each step, and scales up the others (Srivastava et al. 2014).

    Args:
        key: draws the noise; without a key, x is returned unchanged, as with rate 0.
        rate: the probability of dropping an element.
        x: ``[*batch, time, size]``.
        numbers: ``[*batch]``, the examples' numbers in the data set; by default rows are counted. With `positions` they
            may be ``[*batch, time]``, one per step, as in packed rows.
        positions: ``[*batch, time]``, each step's number in its sequence; by default steps are counted along time.

    Raises:
        ValueError: the rate is not in [0, 1), or numbers or positions are not integers or do not fit x.

    >>> import jax, jax.numpy as jnp
    >>> from recurrent.regularize import dropout
    >>> dropout(jax.random.key(0), 0.5, jnp.ones((2, 5, 3)), jnp.array([7, 2])).shape
    (2, 5, 3)
    """
    check_rate("rate", rate)
    x = as_arrays("x", x)
    if key is None or rate == 0:
        return x
    batch = x.shape[:-2]
    numbers = jnp.arange(math.prod(batch)).reshape(batch) if numbers is None else as_integers("numbers", numbers)
    if positions is None and numbers.shape != batch:
        raise ValueError(
            f"numbers must be int{list(batch)}, one per example, not {numbers.dtype}{list(numbers.shape)}."
        )

    def drop_all(x: Array, key: RandomKey, numbers: Array, positions: Array | None) -> Array:
        def drop(x: Float[Array, "size"], number: Int[Array, ""], position: Int[Array, ""]) -> Float[Array, "size"]:
            step_key = jax.random.fold_in(jax.random.fold_in(key, number), position)
            return jnp.where(is_hit(step_key, rate, x.shape), 0, x / (1 - rate))

        return over_axes(drop, x.ndim - 1)(x, *number_steps(numbers, positions, x.shape))

    return on_auto_axes(drop_all, len(batch), x, key, numbers, positions)
