"""One cell over a batch of sequences, computed by the first backend that can run the call."""

from collections.abc import Callable
from typing import Any, Unpack

from jaxtyping import Array, Bool, DTypeLike, Float, Int, PyTree

from recurrent.backends import BACKENDS, choose
from recurrent.call.call import ARRAYS, Call, make_call
from recurrent.call.compiled import call_compiled
from recurrent.call.meshes import on_auto_axes
from recurrent.call.options import RunOptions, refuse_unknown
from recurrent.call.prefix import Prefix
from recurrent.cells.protocol import Cell, Params, State

__all__ = ["run", "run_final", "run_on_backend"]


def run(
    cell: Cell[Params, State],
    params: Params,
    inputs: PyTree[Float[Array, "*batch time _"]],
    *,
    is_token: Bool[Array, "*batch time"] | None = None,
    is_start: Bool[Array, "*batch time"] | None = None,
    initial: State | None = None,
    reset_to: State | None = None,
    reset_index: Int[Array, "*batch time"] | None = None,
    recurrent_mask: Float[Array, "*batch time_or_1 hidden"] | None = None,
    prefix: Prefix | None = None,
    reverse: bool = False,
    segment_size: int | None = None,
    truncate_every: int | None = None,
    make_inputs: Callable[[Any], Any] | None = None,
    dtype: DTypeLike | None = None,
    backend: str = "auto",
) -> tuple[PyTree[Float[Array, "*batch time _"]], State]:
    """Runs a cell over a batch of sequences; returns the outputs of all steps and the final states.

    Each sequence gets what `scan_cell` computes for it alone. Arguments and meaning are those of `scan_cell`, with any
    number of batch axes in front of all arrays except `params` and `reset_to`.

    Args:
        cell: a module such as `recurrent.lstm`, or any other `Cell`.
        params: the cell's params, from its `init`.
        inputs: ``[*batch, time, input]``, or a tree of arrays ``[*batch, time, ...]`` if the cell takes one.
        is_token: ``[*batch, time]``, False at masked steps.
        is_start: ``[*batch, time]``, True at the first step of a sequence.
        initial: the states before the first step, arrays ``[*batch, hidden]``; zero by default.
        reset_to: a table of states, arrays ``[rows, hidden]``, for all sequences.
        reset_index: ``[*batch, time]``, the row of `reset_to` for each reset.
        recurrent_mask: ``[*batch, time or 1, hidden]``, multiplies the hidden state that `recur` takes.
        prefix: steps with equal input at the front of all sequences.
        reverse: runs from the last step to the first.
        segment_size: steps of a segment, in which residuals are computed again in the backward pass.
        truncate_every: steps between cuts of the gradient.
        make_inputs: a pure function from `inputs` to the cell's inputs, each step from that step alone, whatever the
            number of axes in front.
        dtype: the dtype of the outputs; the inputs' by default.
        backend: "plain" is the reference and has every derivative. "fused" is fast and has reverse-mode derivatives.
            "native" runs SimpleRNN, LSTM and GRU on a CPU, and "cuda" those of up to 128 units on an NVIDIA GPU, where
            they are built. "cudnn" runs an LSTM on an NVIDIA GPU. "auto" chooses among all but the last;
            `recurrent.explain` says which, and why others can't run the call. Under `jit`, forward-mode
            differentiation cannot be detected: use "plain" there.

    Raises:
        ValueError: a shape or dtype does not fit, or the backend cannot run the call.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> params = recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> lengths = jnp.array([5, 2])
    >>> is_token = jnp.arange(5)[None] < lengths[:, None]
    >>> outputs, final = recurrent.run(recurrent.gru, params, jnp.ones((2, 5, 3)), is_token=is_token)
    >>> outputs.shape, final.hidden.shape
    ((2, 5, 4), (2, 4))
    """
    call = make_call(
        cell,
        params,
        inputs,
        is_token=is_token,
        is_start=is_start,
        initial=initial,
        reset_to=reset_to,
        reset_index=reset_index,
        recurrent_mask=recurrent_mask,
        prefix=prefix,
        reverse=reverse,
        segment_size=segment_size,
        truncate_every=truncate_every,
        make_inputs=make_inputs,
        dtype=dtype,
    )
    return _compute(call, backend)


def run_final(
    cell: Cell[Params, State],
    params: Params,
    inputs: PyTree[Float[Array, "*batch time _"]],
    **options: Unpack[RunOptions],
) -> State:
    """Runs a cell over a batch of sequences; returns the final states, and neither computes nor stores outputs.

    The options are those of `run`. A `prefix` is computed once for all sequences, unless masks, starts, initial states,
    `recurrent_mask`, `truncate_every` or `reverse` make it differ between them.

    Raises:
        ValueError: a shape or dtype does not fit, or the backend cannot run the call.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> params = recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> recurrent.run_final(recurrent.gru, params, jnp.ones((2, 5, 3))).hidden.shape
    (2, 4)
    """
    refuse_unknown("run_final", options, RunOptions)
    backend = options.pop("backend", "auto")
    return _compute(make_call(cell, params, inputs, keeps_outputs=False, **options), backend)[1]


def _compute(call: Call, backend: str) -> tuple[Any, Any]:
    return call_compiled(run_on_backend, call, backend=choose(call, backend))


def run_on_backend(call: Call, backend: str) -> tuple[Any, Any]:
    """Returns the outputs and the final states of a call, computed by the backend of a name."""

    def run_arrays(inputs: Any, others: dict[str, Any]) -> tuple[Any, Any]:
        return BACKENDS[backend].run(call._replace(inputs=inputs, **others))

    others = {name: getattr(call, name) for name in ARRAYS if name != "inputs"}
    return on_auto_axes(run_arrays, call.num_batch_axes, call.inputs, others)
