"""Noise that keeps any cell from learning its data by heart: on what it sees, on its state, on its weights.

    variational dropout    x_t * m                            one mask m for all steps (Gal & Ghahramani 2016)
    zoneout                k_t * s_{t-1} + (1 - k_t) * s_t    some units keep their old state (Krueger et al. 2017)
    weight drop            h (U * m)                          one mask for all steps and sequences (Merity et al. 2018)

Noise is a function of the key, of the example's number in the data set and, where it changes, of the step within its
sequence; so that an example meets the same noise wherever it stands in whichever batch, packed or not, in segments or
whole. Different noises take different keys. Without a key there is none.

That rests on JAX's default keys (threefry): under `vmap`, "rbg" ones draw what depends on the place in the batch.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, DTypeLike, Float, Int, PyTree, Shaped

from recurrent.cells.wrapped import Wrapped
from recurrent.shapes import RandomKey

__all__ = ["Zoneout", "ZoneoutInputs", "variational_mask", "weight_drop", "zoneout_inputs"]

Params = TypeVar("Params")


def variational_mask(
    key: RandomKey | None, rate: float, numbers: Int[Array, "*batch"], size: int, dtype: DTypeLike = jnp.float32
) -> Float[Array, "*batch 1 size"]:
    """Draws an inverted-dropout mask for each example, one for all of its steps: 0, or 1 / (1 - rate).

    Multiply inputs by it, or hand it to `run` as `recurrent_mask`. That acts on the hidden state that a cell's `recur`
    sees: a GRU still carries z * h unmasked, as in Keras, which however draws a mask for every gate. What
    `gru_reset_before` multiplies in its `update` is not masked.

    Args:
        key: without one, the mask is all ones, as it is at rate 0.
        rate: the probability of dropping.
        numbers: the examples' numbers in the data set.

    Raises:
        ValueError: the rate is no probability below 1, or numbers are not integers.

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
    _check_rate("rate", rate)
    _check_integers("numbers", numbers)
    if key is None or rate == 0:
        return jnp.ones((*numbers.shape, 1, size), dtype)

    def draw(number: Int[Array, ""]) -> Bool[Array, "size"]:
        return ~_is_hit(jax.random.fold_in(key, number), rate, (size,))

    is_kept = jax.vmap(draw)(numbers.reshape(-1)).reshape(*numbers.shape, 1, size)
    return is_kept.astype(dtype) / (1 - rate)


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
        _check_rate("hidden_rate", self.hidden_rate)
        _check_rate("memory_rate", self.memory_rate)

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
    if key is None:
        return ZoneoutInputs(inputs)
    like = jax.tree.leaves(inputs)[0]
    dtype = like.dtype if jnp.issubdtype(like.dtype, jnp.floating) else jnp.float32
    numbers, positions = _number_steps(numbers, positions, like.shape)

    def draw(number: Int[Array, ""], position: Int[Array, ""]) -> ZoneoutInputs:
        # Both are split off even if one is not drawn: no rate changes the other's noise.
        hidden_key, memory_key = jax.random.split(jax.random.fold_in(jax.random.fold_in(key, number), position))
        return ZoneoutInputs(
            x=None,
            keep_hidden=_keep(hidden_key, zoneout.hidden_rate, hidden_size, dtype),
            keep_memory=_keep(memory_key, zoneout.memory_rate, memory_size or hidden_size, dtype),
        )

    for _ in numbers.shape:
        draw = jax.vmap(draw)
    return draw(numbers, positions)._replace(x=inputs)


def weight_drop(key: RandomKey | None, params: Params, rate: float) -> Params:
    """Sets a share of the recurrent kernel's weights to zero and scales up the rest (DropConnect, Wan et al. 2013).

    Once for a forward pass: the same weights are missing at all steps and in all sequences. Gradients reach the full
    kernel, and none those weights that were dropped.

    Args:
        key: without one, params come back as they are, as at rate 0.
        params: any NamedTuple with a field `recurrent_kernel`.

    Raises:
        ValueError: the rate is no probability below 1, or there is no such field.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.regularize import weight_drop
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> dropped = weight_drop(jax.random.key(1), params, 0.5)
    >>> outputs, final = recurrent.run(recurrent.lstm, dropped, jnp.ones((2, 5, 3)))
    """
    _check_rate("rate", rate)
    named: Any = params
    if "recurrent_kernel" not in getattr(named, "_fields", ()):
        raise ValueError(f"params must be a NamedTuple with a field recurrent_kernel, not {type(params).__name__}.")
    if key is None or rate == 0:
        return params
    kernel = named.recurrent_kernel
    is_dropped = _is_hit(key, rate, kernel.shape)
    return named._replace(recurrent_kernel=jnp.where(is_dropped, 0, kernel / (1 - rate)))


def _is_hit(key: RandomKey, rate: float, shape: tuple[int, ...]) -> Bool[Array, "..."]:
    """Says of each place whether the noise hits it; in float32, so that the same places are hit in 64-bit mode too."""
    return jax.random.uniform(key, shape, jnp.float32) < rate


def _keep(key: RandomKey, rate: float, size: int, dtype: DTypeLike) -> Float[Array, "size"] | None:
    return _is_hit(key, rate, (size,)).astype(dtype) if rate > 0 else None


def _mix(
    old: Float[Array, "units"], new: Float[Array, "units"], keep: Float[Array, "units"] | None, rate: float
) -> Float[Array, "units"]:
    """Mixes by a mask or else by the rate."""
    share = rate if keep is None else keep.astype(old.dtype)
    return share * old + (1 - share) * new


def _number_steps(numbers: Array, positions: Array | None, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Returns the number of the example and the position of each step, [*batch, time].

    Raises:
        ValueError: they are not integers, or not one for each example or step.
    """
    _check_integers("numbers", numbers)
    steps = shape[: numbers.ndim + 1] if positions is None else positions.shape
    if positions is None:
        positions = jnp.arange(steps[-1])
        allowed = (steps[:-1],)
    else:
        _check_integers("positions", positions)
        allowed = (steps[:-1], steps)
    if numbers.shape not in allowed or steps != shape[: len(steps)]:
        raise ValueError(
            f"numbers {numbers.shape} and positions {positions.shape} do not fit inputs {shape}: "
            "numbers are one an example, or one a step where positions are given, and those one a step."
        )
    if numbers.ndim < len(steps):
        numbers = numbers[..., None]
    return jnp.broadcast_to(numbers, steps), jnp.broadcast_to(positions, steps)


def _check_rate(name: str, rate: float) -> None:
    if not 0 <= rate < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, not {rate}.")


def _check_integers(name: str, array: Any) -> None:
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(f"{name} must be integers, not {array.dtype}.")
