"""Zoneout (Krueger et al. 2017): at each step some units keep their old state."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import Array, Float, PyTree

from recurrent.cells.wrapped import Wrapped
from recurrent.regularize.draw import check_rate

__all__ = ["Zoneout", "ZoneoutInputs"]


class ZoneoutInputs(NamedTuple):
    """The input of a cell in `Zoneout`: the cell's own, and masks that are 1 where a unit keeps its old state.

    Without masks the old and the new state are mixed by the rate, which is the expectation over masks.

    >>> import jax.numpy as jnp
    >>> from recurrent.regularize import ZoneoutInputs
    >>> ZoneoutInputs(x=jnp.ones((2, 5, 3))).keep_hidden is None
    True
    """

    x: PyTree[Array]
    keep_hidden: Float[Array, "*steps hidden"] | None = None
    keep_memory: Float[Array, "*steps memory"] | None = None


@dataclass(frozen=True)
class Zoneout(Wrapped):
    """A cell whose units keep their old state at some steps (Krueger et al. 2017); it takes `zoneout_inputs`.

    The wrapped cell computes its step first, then the old and the new state are mixed, so an LSTM's output gate reads
    the memory before it is mixed. The output is the mixed hidden state; the wrapped cell's output must be its hidden
    state.

    Args:
        cell: a cell whose state has a field `hidden` and, for `memory_rate`, a field `memory`. Other fields are not
            mixed.
        hidden_rate: the probability that a unit of `hidden` keeps its old value.
        memory_rate: the same for `memory`.

    Raises:
        ValueError: a rate is not in [0, 1).

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
            ValueError: a rate is above 0 for a field that the state does not have.
        """
        state = self.cell.zero_state(params)
        for field, rate in (("hidden", self.hidden_rate), ("memory", self.memory_rate)):
            if rate > 0 and field not in state._fields:
                raise ValueError(f"{field}_rate is {rate}, but the fields of the cell's state are {state._fields}.")
        return state

    def project(self, params: Any, x: ZoneoutInputs) -> tuple[Any, ZoneoutInputs]:
        """Returns the projection of the cell's own input, and the masks."""
        return self.cell.project(params, x.x), x._replace(x=None)

    def gates(self, params: Any, state: Any, projected: tuple[Any, ZoneoutInputs], recurrent: Any) -> Any:
        """Returns the cell's gates, or None if it has none."""
        open_gates = getattr(self.cell, "gates", None)
        return None if open_gates is None else open_gates(params, state, projected[0], recurrent)

    def update(self, params: Any, state: Any, projected: tuple[Any, ZoneoutInputs], recurrent: Any) -> tuple[Any, Any]:
        """Computes the cell's step and mixes the old state with the new one."""
        of_cell, keep = projected
        after, output = self.cell.update(params, state, of_cell, recurrent)
        if self.memory_rate > 0:
            after = after._replace(memory=_mix(state.memory, after.memory, keep.keep_memory, self.memory_rate))
        if self.hidden_rate > 0:
            output = _mix(state.hidden, after.hidden, keep.keep_hidden, self.hidden_rate)
            after = after._replace(hidden=output)
        return after, output


def _mix(
    old: Float[Array, "units"], new: Float[Array, "units"], keep: Float[Array, "units"] | None, rate: float
) -> Float[Array, "units"]:
    """Mixes by the mask, or by the rate if there is none."""
    share = rate if keep is None else keep.astype(old.dtype)
    return share * old + (1 - share) * new
