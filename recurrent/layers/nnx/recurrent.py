"""One cell as an NNX layer."""

from types import MappingProxyType
from typing import Any, Unpack

from flax import nnx
from jaxtyping import Array, Bool, DTypeLike, Float, PyTree

from recurrent import network
from recurrent.batch import run, run_final
from recurrent.call.options import SequenceOptions
from recurrent.cells.precision import cast
from recurrent.cells.protocol import Cell
from recurrent.layers.arrays import Partitioning, check_partitioning, with_dtype
from recurrent.layers.nnx.arrays import Arrays
from recurrent.layers.nnx.tabulated import tabulated
from recurrent.layers.options import cell_arguments
from recurrent.packing import Packing, run_packed

__all__ = ["Recurrent"]


class Recurrent(Arrays):
    """One cell over a batch of sequences.

    Each array of the cell's params is an `nnx.Param` in an attribute named like the field: `layer.recurrent_kernel`.

    >>> import jax.numpy as jnp, recurrent
    >>> from flax import nnx
    >>> from recurrent.layers.nnx import Recurrent
    >>> layer = Recurrent(recurrent.lstm, input_size=3, hidden_size=4, rngs=nnx.Rngs(0))
    >>> outputs, final = layer(jnp.ones((2, 5, 3)))
    >>> outputs.shape, final.hidden.shape, layer.bias.shape
    ((2, 5, 4), (2, 4), (16,))
    """

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        *,
        reverse: bool = False,
        segment_size: int | None = None,
        backend: str = "auto",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike | None = None,
        partitioning: Partitioning = MappingProxyType({}),
        rngs: nnx.Rngs,
        **init_options: Any,
    ) -> None:
        """Draws the cell's params.

        Args:
            cell: a module such as `recurrent.lstm`, or any other `Cell`.
            input_size: features of a step.
            hidden_size: units.
            reverse: as in `recurrent.run`, like `segment_size` and `backend`.
            segment_size: as in `recurrent.run`.
            backend: as in `recurrent.run`.
            dtype: the dtype of matmuls and outputs. By default matmuls have the params' dtype and outputs the inputs'.
                The state has at least float32.
            param_dtype: the dtype of the params; the cell's default otherwise, which is float32.
            partitioning: field name -> for each axis of the array the mesh axis that it is split over, or None, such as
                ``{"recurrent_kernel": (None, "model")}``; as in `nnx.with_partitioning`.
            rngs: draws the params.
            init_options: options of the cell's `init`, such as `forget_bias`.
        """
        self.cell = cell
        self.reverse = reverse
        self.segment_size = segment_size
        self.backend = backend
        self.dtype = dtype
        params = cell.init(rngs.params(), input_size, hidden_size, **with_dtype(init_options, param_dtype))
        self._hold(params, partitioning)
        check_partitioning(partitioning, self.param_tree.paths)

    def __call__(
        self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[SequenceOptions]
    ) -> tuple[Float[Array, "*batch time output"], Any]:
        """Returns the outputs and the final state; `recurrent.run` documents the options."""
        arguments = cell_arguments(self, "Recurrent", options)
        return tabulated(self, run(self.cell, self._params(), inputs, **arguments))

    def final(self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[SequenceOptions]) -> Any:
        """Returns the final state; the options are those of a call of the layer."""
        return run_final(self.cell, self._params(), inputs, **cell_arguments(self, "final", options))

    def packed(
        self,
        inputs: PyTree[Float[Array, "rows time _"]],
        packing: Packing,
        *,
        initial: Any = None,
        recurrent_mask: Float[Array, "sequences 1 hidden"] | None = None,
    ) -> tuple[Float[Array, "rows time output"], Any]:
        """Returns the outputs of packed rows and each sequence's final state, as `recurrent.run_packed` does."""
        options = {"initial": initial, "recurrent_mask": recurrent_mask}
        arguments = cell_arguments(self, "packed", options)
        return tabulated(self, run_packed(self.cell, self._params(), inputs, packing, **arguments))

    def zero_state(self, batch: tuple[int, ...] = ()) -> Any:
        """Returns the state before the first step."""
        return network.zero_batch(self.cell, self._params(), batch)

    def step(
        self, state: Any, x: PyTree[Float[Array, "*batch _"]], *, is_start: Bool[Array, "*batch"] | None = None
    ) -> tuple[Any, Float[Array, "*batch output"]]:
        """Advances by one step; returns the next state and the output. With `reverse`, feed inputs from last to first.

        Args:
            is_start: True at the first step of a new sequence: the state is zero before this step.
        """
        return network.step_batch(self.cell, self._params(), state, x, is_start=is_start, dtype=self.dtype)

    def _params(self) -> Any:
        return cast(self._join(), self.dtype)
