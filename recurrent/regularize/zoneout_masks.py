"""The masks of zoneout: which units keep their old state, drawn for each example and step."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, Int, PyTree, Shaped

from recurrent.call.arguments import as_arrays, as_integers
from recurrent.call.axes import over_axes
from recurrent.call.meshes import on_auto_axes
from recurrent.regularize.draw import is_hit, number_steps
from recurrent.regularize.zoneout import Zoneout, ZoneoutInputs
from recurrent.shapes import RandomKey

__all__ = ["zoneout_inputs"]


def zoneout_inputs(
    key: RandomKey | None,
    zoneout: Zoneout,
    inputs: PyTree[Shaped[Array, "*batch time _"]],
    numbers: Int[Array, "*batch"],
    hidden_size: int,
    *,
    memory_size: int | None = None,
    positions: Int[Array, "*batch time"] | None = None,
) -> ZoneoutInputs:
    """Draws the masks of `Zoneout`, anew at each step, and joins them with the inputs.

    In packed rows each step has the number of its sequence and its position there:
    ``zoneout_inputs(key, cell, pack_inputs(packing, x), numbers[packing.sequence], size, positions=packing.position)``.
    Packing the result of `zoneout_inputs` gives the same, but takes memory for the padding.

    Args:
        key: draws the masks; without a key there are none, and `Zoneout` mixes by its rates, as in the paper at test
            time.
        zoneout: the cell.
        inputs: the wrapped cell's inputs, or token ids if `make_inputs` embeds the field `x` of `ZoneoutInputs`.
        numbers: ``[*batch]``, the examples' numbers in the data set; with `positions` also ``[*batch, time]``.
        hidden_size: units of `hidden`.
        memory_size: units of `memory`, if different.
        positions: ``[*batch, time]``, each step's number in its sequence; by default steps are counted along time.

    Raises:
        ValueError: numbers or positions are not integers, or not one per example or step.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.regularize import Zoneout, zoneout_inputs
    >>> cell = Zoneout(recurrent.gru, hidden_rate=0.1)
    >>> inputs = zoneout_inputs(jax.random.key(1), cell, jnp.ones((2, 5, 3)), jnp.array([7, 2]), hidden_size=4)
    >>> inputs.keep_hidden.shape
    (2, 5, 4)
    """
    inputs, numbers = as_arrays("inputs", inputs), as_integers("numbers", numbers)
    positions = None if positions is None else as_integers("positions", positions)
    if key is None:
        return ZoneoutInputs(inputs)
    like = jax.tree.leaves(inputs)[0]
    dtype = like.dtype if jnp.issubdtype(like.dtype, jnp.floating) else jnp.float32

    def draw_all(like: Array, key: RandomKey, numbers: Any, positions: Any) -> ZoneoutInputs:
        def draw(number: Int[Array, ""], position: Int[Array, ""]) -> ZoneoutInputs:
            # Both keys are always split off, so that neither rate changes the other's noise.
            hidden_key, memory_key = jax.random.split(jax.random.fold_in(jax.random.fold_in(key, number), position))
            return ZoneoutInputs(
                x=None,
                keep_hidden=_keep(hidden_key, zoneout.hidden_rate, hidden_size, dtype),
                keep_memory=_keep(memory_key, zoneout.memory_rate, memory_size or hidden_size, dtype),
            )

        steps = number_steps(numbers, positions, like.shape)
        return over_axes(draw, steps[0].ndim)(*steps)

    num_batch_axes = jnp.ndim(numbers) if positions is None else jnp.ndim(positions) - 1
    return on_auto_axes(draw_all, num_batch_axes, like, key, numbers, positions)._replace(x=inputs)


def _keep(key: RandomKey, rate: float, size: int, dtype: DTypeLike) -> Float[Array, "size"] | None:
    return is_hit(key, rate, (size,)).astype(dtype) if rate > 0 else None
