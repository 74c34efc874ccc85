"""The recurrent layer of agents: one cell over a rollout, reset where an episode begins."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from recurrent.layers.linen.cells import cell_params, equal_of, why_not
from recurrent.layers.rnn import run_rnn

__all__ = ["ScannedRNN"]


class ScannedRNN(nn.Module):
    """The `ScannedRNN` that codebases of recurrent PPO copy from each other, computed by `recurrent.run`.

    Arrays are time-major. Where `resets` is True the carry is zero *before* that step. An environment's `done` says
    that an episode *ended* at a step: pass the `done` of the step before.

    The params are those of the copied class: `GRUCell_1/hn/kernel` and so on, drawn by Flax' cell. The hidden size is
    that of the carry; in the copied class it is that of the inputs, so both must be equal there.

    Args:
        cell: the class of Flax' cell: `nn.GRUCell`, `nn.SimpleCell`, `nn.LSTMCell` or `nn.OptimizedLSTMCell`.
        cell_name: the name of the cell in the params. The default is the class's name with `_1`, since most copies make
            a first cell for the zero carry; those that do not, as with older Flax, have `GRUCell_0`.
        backend: as in `recurrent.run`.

    >>> import jax, jax.numpy as jnp
    >>> from recurrent.layers.linen import ScannedRNN
    >>> layer, carry = ScannedRNN(), ScannedRNN.initialize_carry(2, 4)
    >>> inputs, resets = jnp.ones((5, 2, 4)), jnp.zeros((5, 2), bool)
    >>> variables = layer.init(jax.random.key(0), carry, (inputs, resets))
    >>> carry, outputs = layer.apply(variables, carry, (inputs, resets))
    >>> carry.shape, outputs.shape
    ((2, 4), (5, 2, 4))
    """

    cell: type[nn.RNNCellBase] = nn.GRUCell
    cell_name: str | None = None
    backend: str = "auto"

    @nn.compact
    def __call__(
        self, carry: Any, x: tuple[Float[Array, "time batch input"], Bool[Array, "time batch"]]
    ) -> tuple[Any, Float[Array, "time batch hidden"]]:
        """Returns the carry after the last step and the outputs of all steps.

        Args:
            carry: the carry before the first step, from `initialize_carry` or from the call before.
            x: the inputs, and the resets: True where the carry is zero before the step.

        Raises:
            ValueError: the cell has no equal here, or a shape does not fit.
        """
        inputs, resets = x[0], jnp.asarray(x[1]).astype(bool)
        if resets.shape != inputs.shape[:-1]:
            raise ValueError(
                f"resets must be one bool for each step and row, {inputs.shape[:-1]}, not {resets.shape}: "
                "the arrays are time-major."
            )
        cell = self._make_cell(hidden_size=jax.tree.leaves(carry)[0].shape[-1])
        if (reason := why_not(cell)) is not None:
            raise ValueError(f"ScannedRNN cannot run this cell: {reason}.")
        return run_rnn(
            equal_of(cell),
            cell_params(cell, inputs.shape[-1]),
            inputs,
            initial_carry=carry,
            is_start=jnp.moveaxis(resets, 0, -1),
            time_major=True,
            backend=self.backend,
        )

    @nn.nowrap
    def _make_cell(self, hidden_size: int) -> nn.RNNCellBase:
        """Makes Flax' cell inside the compact `__call__`, so that it becomes a child of this module."""
        name = f"{self.cell.__name__}_1" if self.cell_name is None else self.cell_name
        make: Any = self.cell
        return make(features=hidden_size, name=name)

    @staticmethod
    def initialize_carry(batch_size: int, hidden_size: int, cell: Any = nn.GRUCell) -> Any:
        """Returns a zero carry of a cell for a batch.

        >>> ScannedRNN.initialize_carry(2, 4).shape
        (2, 4)
        """
        return cell(features=hidden_size).initialize_carry(jax.random.key(0), (batch_size, hidden_size))
