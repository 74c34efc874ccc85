"""One cell as a Linen layer."""

from collections.abc import Mapping
from typing import Any, Unpack

from flax import linen as nn
from flax.core import FrozenDict
from jaxtyping import Array, Bool, DTypeLike, Float, PyTree

from recurrent import network
from recurrent.batch import run, run_final
from recurrent.call.options import SequenceOptions
from recurrent.cells.precision import cast
from recurrent.cells.protocol import Cell
from recurrent.layers.arrays import Partitioning, with_dtype
from recurrent.layers.linen.arrays import declare, find, input_size, name_variables
from recurrent.layers.options import cell_arguments
from recurrent.packing import Packing, run_packed
from recurrent.shapes import RandomKey

__all__ = ["Recurrent"]


class Recurrent(nn.Module):
    """One cell over a batch of sequences; each array of the cell's params is a param named like its field.

    Args:
        cell: a module such as `recurrent.lstm`, or any other `Cell`.
        hidden_size: units.
        reverse: as in `recurrent.run`, like `segment_size` and `backend`.
        segment_size: as in `recurrent.run`.
        backend: as in `recurrent.run`.
        dtype: the dtype of matmuls and outputs. By default matmuls have the params' dtype and outputs the inputs'. The
            state has at least float32.
        param_dtype: the dtype of the params; the cell's default otherwise, which is float32.
        partitioning: field name -> for each axis of the array the mesh axis that it is split over, or None, such as
            ``{"recurrent_kernel": (None, "model")}``; as in `nn.with_partitioning`.
        init_options: options of the cell's `init`, such as `forget_bias`.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.layers.linen import Recurrent
    >>> layer = Recurrent(recurrent.lstm, hidden_size=4)
    >>> (outputs, final), variables = layer.init_with_output(jax.random.key(0), jnp.ones((2, 5, 3)))
    >>> outputs.shape, variables["params"]["bias"].shape
    ((2, 5, 4), (16,))
    >>> state = layer.apply(variables, (2,), method="zero_state")
    >>> state, output = layer.apply(variables, state, jnp.ones((2, 3)), method="step")
    >>> output.shape
    (2, 4)
    """

    cell: Cell
    hidden_size: int
    reverse: bool = False
    segment_size: int | None = None
    backend: str = "auto"
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike | None = None
    partitioning: Partitioning = FrozenDict()
    init_options: Mapping[str, Any] = FrozenDict()

    def __call__(
        self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[SequenceOptions]
    ) -> tuple[Float[Array, "*batch time output"], Any]:
        """Returns the outputs and the final state; `recurrent.run` documents the options.

        `make_inputs` must be a pure function: it may read params, but must not call a module.
        """
        params = self._params(input_size(inputs, options.get("make_inputs")))
        return run(self.cell, params, inputs, **cell_arguments(self, "Recurrent", options))

    def final(self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[SequenceOptions]) -> Any:
        """Returns the final state; the options are those of a call of the layer."""
        params = self._params(input_size(inputs, options.get("make_inputs")))
        return run_final(self.cell, params, inputs, **cell_arguments(self, "final", options))

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
        return run_packed(self.cell, self._params(input_size(inputs)), inputs, packing, **arguments)

    def zero_state(self, batch: tuple[int, ...] = ()) -> Any:
        """Returns the state before the first step; the params must exist."""
        return network.zero_batch(self.cell, cast(self.cell_params(), self.dtype), batch)

    def step(
        self, state: Any, x: PyTree[Float[Array, "*batch _"]], *, is_start: Bool[Array, "*batch"] | None = None
    ) -> tuple[Any, Float[Array, "*batch output"]]:
        """Advances by one step; returns the next state and the output. With `reverse`, feed inputs from last to first.

        Args:
            is_start: True at the first step of a new sequence: the state is zero before this step.
        """
        params = self._params(input_size(x))
        return network.step_batch(self.cell, params, state, x, is_start=is_start, dtype=self.dtype)

    def cell_params(self) -> Any:
        """Returns the params as the cell's `init` returns them, in the dtype in which they are stored.

        Call it on a bound module: `layer.bind(variables).cell_params()`.

        Raises:
            ValueError: the layer was not called yet, so there are no params.
        """
        return find(self, lambda key: self._draw(key, 1))

    @staticmethod
    def make_variables(params: Any) -> dict[str, Any]:
        """Returns the layer's variables for a cell's own params; the inverse of `cell_params`."""
        return name_variables(params)

    @nn.compact
    def _params(self, input_size: int) -> Any:
        return cast(declare(self, lambda key: self._draw(key, input_size), self.partitioning), self.dtype)

    @nn.nowrap
    def _draw(self, key: RandomKey, input_size: int) -> Any:
        return self.cell.init(key, input_size, self.hidden_size, **with_dtype(self.init_options, self.param_dtype))
