"""`RNN` in place of NNX' own: the same arguments and the same params, computed by `recurrent.run`."""

from typing import Any

from flax import nnx
from flax.nnx.nn.recurrent import RNNCellBase
from jaxtyping import Array, Float, Int

from recurrent.layers.nnx.cells import cell_params, equal_of, why_not
from recurrent.layers.rnn import run_rnn, warn_of_flax

__all__ = ["RNN"]


class RNN(nnx.RNN):
    """Flax' `nnx.RNN`, computed by `recurrent.run`: same arguments, same params, same order of outputs.

    It takes Flax' own cells. The cell holds its params, so that checkpoints of `nnx.RNN` load, and a script changes one
    import. `nnx.Bidirectional` takes two of these layers as it takes two of Flax'.

    What differs from Flax:

    - A sequence of length 0 returns its initial carry; Flax returns the carry after all its padding.
    - Padding is not computed: its outputs repeat the last one, or are zero before a sequence's first step of the pass.
      NaN in padding reaches neither values nor gradients.
    - `dtype=jnp.bfloat16` gives outputs of bfloat16, from every cell, and a carry of float32.
    - A zero carry takes no key from the stream `rngs`. `unroll` changes nothing. Any number of batch axes may be given
      together with `seq_lengths`.
    - Flax' own code computes cells other than `LSTMCell`, `OptimizedLSTMCell`, `GRUCell` and `SimpleCell`, cells with
      other activations, `residual` or other linear layers, and layers with `state_axes` or `broadcast_rngs`; a warning
      says so.

    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> from recurrent.layers.nnx import RNN
    >>> layer = RNN(nnx.GRUCell(3, 4, rngs=nnx.Rngs(0)), return_carry=True)
    >>> carry, outputs = layer(jnp.ones((2, 5, 3)), seq_lengths=jnp.array([5, 2]))
    >>> carry.shape, outputs.shape
    ((2, 4), (2, 5, 4))
    """

    def __init__(self, cell: RNNCellBase, *, backend: str = "auto", **options: Any) -> None:
        """Stores the cell.

        Args:
            cell: a cell of Flax, such as ``nnx.OptimizedLSTMCell(3, 64, rngs=rngs)``.
            backend: as in `recurrent.run`.
            options: those of `nnx.RNN`.
        """
        super().__init__(cell, **options)
        self.backend = backend
        self.is_lifted = options.get("state_axes") is not None or options.get("broadcast_rngs") is not None

    def __call__(
        self,
        inputs: Float[Array, "..."],
        *,
        initial_carry: Any = None,
        seq_lengths: Int[Array, "*batch"] | None = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | None = None,
    ) -> Any:
        """Returns the outputs, or with `return_carry` the final carry and the outputs; None stands for the attribute.

        Args:
            inputs: ``[*batch, time, input]``; with `time_major` ``[time, *batch, input]``.
            initial_carry: the carry before the first step; the cell's `initialize_carry` by default.
            seq_lengths: ``[*batch]``, the number of steps of each sequence; the others are padding.
            return_carry: whether the final carry is returned as well.
            time_major: whether time is the first axis.
            reverse: runs from each sequence's last step to its first, and returns the outputs in that order.
            keep_order: with `reverse`, returns the outputs in the order of the inputs.
            rngs: draws the initial carry.

        Raises:
            ValueError: a shape does not fit.
        """
        given = {"return_carry": return_carry, "time_major": time_major, "reverse": reverse, "keep_order": keep_order}
        flags = {name: getattr(self, name) if flag is None else flag for name, flag in given.items()}
        data = {"initial_carry": initial_carry, "seq_lengths": seq_lengths}
        reason = "it has state_axes or broadcast_rngs" if self.is_lifted else why_not(self.cell)
        if reason is not None:
            warn_of_flax("recurrent.layers.nnx.RNN", reason)
            return super().__call__(inputs, rngs=rngs, **data, **flags)
        return self._run(inputs, rngs, data, flags)

    def _run(self, inputs: Any, rngs: Any, data: dict[str, Any], flags: dict[str, Any]) -> Any:
        cell: Any = self.cell
        returns_carry = flags.pop("return_carry")
        if data["initial_carry"] is None and cell.carry_init is not None:
            steps = inputs.shape[1:] if flags["time_major"] else (*inputs.shape[:-2], inputs.shape[-1])
            rngs = self.rngs if rngs is None else rngs
            stream = rngs.carry.fork() if isinstance(rngs, nnx.Rngs) else rngs
            data["initial_carry"] = cell.initialize_carry(steps, stream)
        params, ours = cell_params(cell), equal_of(cell)
        carry, outputs = run_rnn(ours, params, inputs, dtype=cell.dtype, backend=self.backend, **data, **flags)
        return (carry, outputs) if returns_carry else outputs
