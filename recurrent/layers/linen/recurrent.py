"""One cell as a layer."""

from collections.abc import Mapping
from typing import Any, Unpack

from flax import linen as nn
from flax.core import FrozenDict
from jaxtyping import Array, Bool, DTypeLike, Float, PyTree

from recurrent import network
from recurrent.batch import run, run_final
from recurrent.call.options import SequenceOptions, refuse_unknown
from recurrent.cells.protocol import Cell
from recurrent.layers.arrays import Partitioning, cast, with_dtype
from recurrent.layers.linen.arrays import declare, find, input_size, name_variables
from recurrent.packing import Packing, run_packed
from recurrent.shapes import RandomKey

__all__ = ["Recurrent"]


class Recurrent(nn.Module):
    """One cell over a batch of sequences; each array of the cell's params is a param with the name of its field.

    Args:
        segment_size, backend: as in `recurrent.run`.
        dtype: computes matmuls and returns outputs in it; by default matmuls have the params' dtype and outputs the
            inputs'. The state is kept in at least float32.
        param_dtype: of the params; the cell's own choice by default, which is float32.
        partitioning: a field's name -> the names of the mesh axes that its array is split over, such as
            `{"recurrent_kernel": (None, "model")}`; what `nn.with_partitioning` gives to an initializer.
        init_options: for the cell's `init`, such as `forget_bias`.

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
        """Returns outputs and final state, always; the options are those of `recurrent.run`.

        A `make_inputs` is a pure function: it may look up a param, and can't be a module.
        """
        refuse_unknown("Recurrent", options, SequenceOptions)
        return run(
            self.cell, self._params(input_size(inputs, options.get("make_inputs"))), inputs, **self._own(), **options
        )

    def final(self, inputs: PyTree[Float[Array, "*batch time _"]], **options: Unpack[SequenceOptions]) -> Any:
        """Returns the final state alone; the options are those of `recurrent.run_final`."""
        refuse_unknown("final", options, SequenceOptions)
        return run_final(
            self.cell, self._params(input_size(inputs, options.get("make_inputs"))), inputs, **self._own(), **options
        )

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
        return run_packed(self.cell, self._params(input_size(inputs)), inputs, packing, **self._own(), **options)

    def zero_state(self, batch: tuple[int, ...] = ()) -> Any:
        """Returns the state before the first step; the params have to be there."""
        return network.zero_batch(self.cell, cast(self.cell_params(), self.dtype), batch)

    def step(
        self, state: Any, x: PyTree[Float[Array, "*batch _"]], *, is_start: Bool[Array, "*batch"] | None = None
    ) -> tuple[Any, Float[Array, "*batch output"]]:
        """Advances by one step, back in time where `reverse`, and returns the next state and the output.

        Args:
            is_start: True where a new sequence begins: the state is zero before this step.
        """
        params = self._params(input_size(x))
        return network.step_batch(self.cell, params, state, x, is_start=is_start, dtype=self.dtype)

    def cell_params(self) -> Any:
        """Returns the params as the cell's own, in the dtype in which they are kept: `layer.bind(variables)` has them.

        Raises:
            ValueError: there are none yet.
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
    def _own(self) -> dict[str, Any]:
        return {
            "reverse": self.reverse,
            "segment_size": self.segment_size,
            "dtype": self.dtype,
            "backend": self.backend,
        }

    @nn.nowrap
    def _draw(self, key: RandomKey, input_size: int) -> Any:
        return self.cell.init(key, input_size, self.hidden_size, **with_dtype(self.init_options, self.param_dtype))
