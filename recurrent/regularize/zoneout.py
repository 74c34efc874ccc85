"""Zoneout: some units keep their old state at a step."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, Int, PyTree, Shaped

from recurrent.call.arguments import as_arrays
from recurrent.call.closure import over_axes
from recurrent.call.meshes import on_auto_axes
from recurrent.cells.wrapped import Wrapped
from recurrent.regularize.draw import as_integers, check_rate, is_hit, number_steps
from recurrent.shapes import RandomKey

__all__ = ["Zoneout", "ZoneoutInputs", "zoneout_inputs"]


class ZoneoutInputs(NamedTuple):
    """What a cell in `Zoneout` is given: its own input, and which units keep their old state (1) or take the new (0).

    Without a mask, old and new are mixed by the rate, which is what the masks would do on average.
    """

    x: PyTree[Array]
    keep_hidden: Float[Array, "*steps hidden"] | None = None
    keep_memory: Float[Array, "*steps memory"] | None = None


@dataclass(frozen=True)
class Zoneout(Wrapped):
    """Any cell, but at each step some units keep their old state; its inputs are `zoneout_inputs`.

    The cell computes its step in full, and then both states are mixed: what an LSTM puts out is read off the memory
    before that is mixed. The output is the mixed hidden state, so the cell must be one whose output is that.

    Args:
        cell: whose state has a field `hidden`, and perhaps `memory`; other fields are left as the cell made them.
        hidden_rate: the probability that a unit of `hidden` is kept.
        memory_rate: the same for `memory`.

    Raises:
        ValueError: a rate is no probability below 1.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.regularize import Zoneout, zoneout_inputs
    >>> cell = Zoneout(recurrent.lstm, hidden_rate=0.05, memory_rate=0.5)
    >>> params = cell.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> inputs = zoneout_inputs(jax.random.key(1), cell, jnp.ones((2, 5, 3)), jnp.array([7, 2]), hidden_size=4)
    >>> outputs, final = recurrent.run(cell, params, inputs)
    >>> outputs.shape
    (2, 5, 4)
    """

    hidden_rate: float
    memory_rate: float = 0.0

    def __post_init__(self) -> None:
        check_rate("hidden_rate", self.hidden_rate)
        check_rate("memory_rate", self.memory_rate)

    def zero_state(self, params: Any) -> Any:
        """Returns the cell's state before the first step.

        Raises:
            ValueError: there is a rate for a field that the state hasn't got.
        """
        state = self.cell.zero_state(params)
        for field, rate in (("hidden", self.hidden_rate), ("memory", self.memory_rate)):
            if rate > 0 and field not in state._fields:
                raise ValueError(f"{field}_rate is {rate}, but the cell's state has only {state._fields}.")
        return state

    def project(self, params: Any, x: ZoneoutInputs) -> tuple[Any, ZoneoutInputs]:
        """Projects the cell's own input and hands the masks on."""
        return self.cell.project(params, x.x), x._replace(x=None)

    def gates(self, params: Any, state: Any, projected: tuple[Any, ZoneoutInputs], recurrent: Any) -> Any:
        """Opens the cell's gates, where it has any."""
        open_gates = getattr(self.cell, "gates", None)
        return None if open_gates is None else open_gates(params, state, projected[0], recurrent)

    def update(self, params: Any, state: Any, projected: tuple[Any, ZoneoutInputs], recurrent: Any) -> tuple[Any, Any]:
        """Takes the cell's step and mixes the old state into the new one."""
        of_cell, keep = projected
        after, output = self.cell.update(params, state, of_cell, recurrent)
        if self.memory_rate > 0:
            after = after._replace(memory=_mix(state.memory, after.memory, keep.keep_memory, self.memory_rate))
        if self.hidden_rate > 0:
            output = _mix(state.hidden, after.hidden, keep.keep_hidden, self.hidden_rate)
            after = after._replace(hidden=output)
        return after, output


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
    """Draws which units keep their state, anew at each step, and joins that to the inputs.

    In packed rows steps are numbered within their own sequence, and each has the number of its sequence:
    `zoneout_inputs(key, cell, pack_inputs(packing, x), numbers[packing.sequence], size, positions=packing.position)`.
    Drawing first and packing the result is the same, and takes memory for the padding.

    Args:
        key: without one there are no masks, and the cell mixes by its rates, as the paper does at test time.
        inputs: what the cell is given, or token ids, where `make_inputs` embeds the field `x` of `ZoneoutInputs`.
        numbers: the examples' numbers in the data set; with `positions` also one for each step, [*batch, time].
        memory_size: where it is not the hidden one.
        positions: each step's number in its sequence; by default steps are counted along time.

    Raises:
        ValueError: numbers or positions are not integers, or not one for each example or step.
    """
    inputs, numbers = as_arrays("inputs", inputs), as_integers("numbers", numbers)
    positions = None if positions is None else as_integers("positions", positions)
    if key is None:
        return ZoneoutInputs(inputs)
    like = jax.tree.leaves(inputs)[0]
    dtype = like.dtype if jnp.issubdtype(like.dtype, jnp.floating) else jnp.float32

    def draw_all(like: Array, key: RandomKey, numbers: Any, positions: Any) -> ZoneoutInputs:
        def draw(number: Int[Array, ""], position: Int[Array, ""]) -> ZoneoutInputs:
            # Both are split off even if one is not drawn: no rate changes the other's noise.
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


def _mix(
    old: Float[Array, "units"], new: Float[Array, "units"], keep: Float[Array, "units"] | None, rate: float
) -> Float[Array, "units"]:
    """Mixes by a mask or else by the rate."""
    share = rate if keep is None else keep.astype(old.dtype)
    return share * old + (1 - share) * new
