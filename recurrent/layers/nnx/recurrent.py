"""One cell as a layer."""

from types import MappingProxyType
from typing import Any, Unpack

from flax import nnx
from jaxtyping import Array, Bool, DTypeLike, Float, PyTree

from recurrent import network
from recurrent.batch import run, run_final
from recurrent.call.options import SequenceOptions, refuse_unknown
from recurrent.cells.protocol import Cell
from recurrent.layers.arrays import Partitioning, cast, check_partitioning, with_dtype
from recurrent.layers.nnx.arrays import Arrays
from recurrent.layers.nnx.tabulated import tabulated
from recurrent.packing import Packing, run_packed

__all__ = ["Recurrent"]


class Recurrent(Arrays):
    """One cell over a batch of sequences.

    Each array of the cell's params is an `nnx.Param` of its own, named like the field: `layer.recurrent_kernel`.

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
            segment_size, backend: as in `recurrent.run`.
            dtype: computes matmuls and returns outputs in it; by default matmuls have the params' dtype and outputs
                the inputs'. The state is kept in at least float32.
            param_dtype: of the params; the cell's own choice by default, which is float32.
            partitioning: a field's name -> the names of the mesh axes that its array is split over, such as
                `{"recurrent_kernel": (None, "model")}`; what `nnx.with_partitioning` gives to an initializer.
            init_options: for the cell's `init`, such as `forget_bias`.
        """
        self.cell = cell
        self.reverse = reverse
        self.segment_size = segment_size
        self.backend = backend
        self.dtype = dtype
        params = cell.init(rngs.params(), input_size, hidden_size, **with_dtype(init_options, param_dtype))
        self._hold(params, partitioning)
        check_partitioning(partitioning, self.layout.paths)

    def __call__(
        self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[SequenceOptions]
    ) -> tuple[Float[Array, "*batch time output"], Any]:
        """Returns outputs and final state, always; the options are those of `recurrent.run`."""
        refuse_unknown("Recurrent", options, SequenceOptions)
        return tabulated(self, run(self.cell, self._params(), inputs, **self._own(), **options))

    def final(self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[SequenceOptions]) -> Any:
        """Returns the final state alone; the options are those of `recurrent.run_final`."""
        refuse_unknown("final", options, SequenceOptions)
        return run_final(self.cell, self._params(), inputs, **self._own(), **options)

    def packed(
        self,
        inputs: PyTree[Float[Array, "rows time _"]],
        packing: Packing,
        *,
        initial: Any = None,
        recurrent_mask: Float[Array, "sequences 1 hidden"] | None = None,
    ) -> tuple[Float[Array, "rows time output"], Any]:
        """Returns the outputs of packed rows, and each sequence's final state; as `recurrent.run_packed`."""
        options = {"initial": initial, "recurrent_mask": recurrent_mask}
        return tabulated(self, run_packed(self.cell, self._params(), inputs, packing, **self._own(), **options))

    def zero_state(self, batch: tuple[int, ...] = ()) -> Any:
        """Returns the state before the first step."""
        return network.zero_batch(self.cell, self._params(), batch)

    def step(
        self, state: Any, x: PyTree[Float[Array, "*batch _"]], *, is_start: Bool[Array, "*batch"] | None = None
    ) -> tuple[Any, Float[Array, "*batch output"]]:
        """Advances by one step, back in time where `reverse`, and returns the next state and the output.

        Args:
            is_start: True where a new sequence begins: the state is zero before this step.
        """
        return network.step_batch(self.cell, self._params(), state, x, is_start=is_start, dtype=self.dtype)

    def _params(self) -> Any:
        return cast(self._join(), self.dtype)

    def _own(self) -> dict[str, Any]:
        return {
            "reverse": self.reverse,
            "segment_size": self.segment_size,
            "dtype": self.dtype,
            "backend": self.backend,
        }
