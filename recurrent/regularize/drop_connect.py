"""DropConnect on the recurrent kernel."""

from typing import Any, TypeVar

import jax.numpy as jnp

from recurrent.regularize.draw import check_rate, is_hit
from recurrent.shapes import RandomKey

__all__ = ["weight_drop"]

Params = TypeVar("Params")


def weight_drop(key: RandomKey | None, params: Params, rate: float) -> Params:
    """Drops weights of the recurrent kernel and scales up the others (Wan et al. 2013; Merity et al. 2018).

    One mask holds for a whole forward pass: the same weights are dropped at all steps and in all sequences. Gradients
    reach the full kernel; they are zero for the dropped weights.

    Args:
        key: draws the mask; without a key, params are returned unchanged, as with rate 0.
        params: any NamedTuple with a field `recurrent_kernel`.
        rate: the probability of dropping a weight.

    Raises:
        ValueError: the rate is not in [0, 1), or there is no such field.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.regularize import weight_drop
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> dropped = weight_drop(jax.random.key(1), params, 0.5)
    >>> outputs, final = recurrent.run(recurrent.lstm, dropped, jnp.ones((2, 5, 3)))
    >>> outputs.shape
    (2, 5, 4)
    """
    check_rate("rate", rate)
    named: Any = params
    if "recurrent_kernel" not in getattr(named, "_fields", ()):
        raise ValueError(f"params must be a NamedTuple with a field recurrent_kernel, not {type(params).__name__}.")
    if key is None or rate == 0:
        return params
    kernel = named.recurrent_kernel
    is_dropped = is_hit(key, rate, kernel.shape)
    return named._replace(recurrent_kernel=jnp.where(is_dropped, 0, kernel / (1 - rate)))
