"""`RNN` in place of Linen's own: the same arguments and the same params, computed by `recurrent.run`."""

from typing import Any

from flax import linen as nn
from jaxtyping import Array, Float, Int

from recurrent.layers.linen.cells import cell_params, equal_of, initial_carry, why_not
from recurrent.layers.rnn import run_rnn, warn_of_flax
from recurrent.shapes import RandomKey

__all__ = ["RNN"]


class RNN(nn.RNN):
    """Flax' `nn.RNN`, computed by `recurrent.run`: same arguments, same params, same order of outputs.

    It takes Flax' own cells. The cell holds and draws its params, so that checkpoints of `nn.RNN` load, and a script
    changes one import. `nn.Bidirectional` takes two of these layers as it takes two of Flax'.

    What differs from Flax:

    - A sequence of length 0 returns its initial carry; Flax returns the carry after all its padding.
    - Padding is not computed: its outputs repeat the last one, or are zero before a sequence's first step of the pass.
      NaN in padding reaches neither values nor gradients.
    - `dtype=jnp.bfloat16` gives outputs of bfloat16, from every cell, and a carry of float32.
    - `unroll` changes nothing. Any number of batch axes may be given together with `seq_lengths`.
    - Flax' own code computes cells other than `LSTMCell`, `OptimizedLSTMCell`, `GRUCell` and `SimpleCell`, cells with
      other activations or `residual`, and layers with other options of `nn.scan`; a warning says so.

    Args:
        cell: a cell of Flax, such as `nn.OptimizedLSTMCell(64)`.
        time_major: as in `nn.RNN`, like all others but `backend`.
        backend: as in `recurrent.run`.

    >>> import jax, jax.numpy as jnp
    >>> from flax import linen as nn
    >>> from recurrent.layers.linen import RNN
    >>> inputs, lengths = jnp.ones((2, 5, 3)), jnp.array([5, 2])
    >>> variables = nn.RNN(nn.GRUCell(4)).init(jax.random.key(0), inputs)
    >>> layer = RNN(nn.GRUCell(4), return_carry=True)
    >>> carry, outputs = layer.apply(variables, inputs, seq_lengths=lengths)
    >>> carry.shape, outputs.shape
    ((2, 4), (2, 5, 4))
    """

    backend: str = "auto"

    def __call__(
        self,
        inputs: Float[Array, "..."],
        *,
        initial_carry: Any = None,
        init_key: RandomKey | None = None,
        seq_lengths: Int[Array, "*batch"] | None = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
    ) -> Any:
        """Returns the outputs, or with `return_carry` the final carry and the outputs; None stands for the attribute.

        Args:
            inputs: ``[*batch, time, input]``; with `time_major` ``[time, *batch, input]``.
            initial_carry: the carry before the first step; the cell's `initialize_carry` by default.
            init_key: draws the initial carry.
            seq_lengths: ``[*batch]``, the number of steps of each sequence; the others are padding.
            return_carry: whether the final carry is returned as well.
            time_major: whether time is the first axis.
            reverse: runs from each sequence's last step to its first, and returns the outputs in that order.
            keep_order: with `reverse`, returns the outputs in the order of the inputs.

        Raises:
            ValueError: a shape does not fit.
        """
        given = {"return_carry": return_carry, "time_major": time_major, "reverse": reverse, "keep_order": keep_order}
        flags = {name: getattr(self, name) if flag is None else flag for name, flag in given.items()}
        data = {"initial_carry": initial_carry, "seq_lengths": seq_lengths}
        reason = why_not(self.cell) or self._why_not_lifted()
        if reason is not None:
            warn_of_flax("recurrent.layers.linen.RNN", reason)
            return super().__call__(inputs, init_key=init_key, **data, **flags)
        return self._run(inputs, init_key, data, flags)

    def _run(self, inputs: Any, init_key: Any, data: dict[str, Any], flags: dict[str, Any]) -> Any:
        cell, returns_carry = self.cell, flags.pop("return_carry")
        if data["initial_carry"] is None:
            steps = inputs.shape[1:] if flags["time_major"] else (*inputs.shape[:-2], inputs.shape[-1])
            data["initial_carry"] = initial_carry(cell, init_key, steps)
        params, ours = cell_params(cell, inputs.shape[-1]), equal_of(cell)
        carry, outputs = run_rnn(ours, params, inputs, dtype=cell.dtype, backend=self.backend, **data, **flags)
        return (carry, outputs) if returns_carry else outputs

    @nn.nowrap
    def _why_not_lifted(self) -> str | None:
        """Returns the first option of `nn.scan` that is not at its default, and not `unroll`."""
        for name in ("variable_axes", "variable_broadcast", "variable_carry", "split_rngs"):
            if getattr(self, name) != getattr(nn.RNN, name):
                return f"{name} is {getattr(self, name)}"
        return None
