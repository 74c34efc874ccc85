"""How a call of `run` is computed: its backend, what is skipped and how much memory it takes."""

from collections import Counter
from functools import partial
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp

from recurrent.backends import BACKENDS, choose
from recurrent.batch import run_on_backend
from recurrent.call.call import Call, make_call
from recurrent.call.options import ExplainOptions, refuse_unknown
from recurrent.cells.protocol import Cell
from recurrent.collectives import Collective, read_collectives

__all__ = ["Explanation", "compiled_bytes", "explain"]


class Explanation(NamedTuple):
    """How a call is computed; `str` lists it in words."""

    backend: str
    refusals: dict[str, str]  # backend -> why it cannot run the call
    matmuls_before_loop: int  # those of `project`, each over many steps
    matmuls_in_loop: int  # those of `recur` and `update`, per step
    segment_size: int | None  # steps between stored states; None if all residuals are stored
    skips_idle_rows: bool  # skips rows without a token in a segment
    shares_prefix: bool  # computes the prefix once for all sequences
    forward_bytes: int | None  # temporary memory of the compiled program; None where unknown
    gradient_bytes: int | None  # the same for the gradient of params and inputs
    forward_collectives: tuple[Collective, ...] = ()  # exchanges between devices, where arrays are sharded
    gradient_collectives: tuple[Collective, ...] = ()  # the same for the gradient

    def __str__(self) -> str:
        """Returns one line per fact."""
        lines = [f"backend: {self.backend}"]
        lines += [f"not {name}: {reason}" for name, reason in self.refusals.items()]
        kept = "all residuals" if self.segment_size is None else f"the state every {self.segment_size} steps"
        lines += [
            f"matmuls: {self.matmuls_before_loop} before the loop, {self.matmuls_in_loop} per step in the loop",
            f"stored for the backward pass: {kept}",
            f"idle rows: {'skipped' if self.skips_idle_rows else 'computed'}",
            f"prefix: {'computed once' if self.shares_prefix else 'none, or computed for each sequence'}",
            f"temporary memory: {_amount(self.forward_bytes)} forward, {_amount(self.gradient_bytes)} with gradients",
        ]
        lines += [f"forward: {each}" for each in _counted(self.forward_collectives)]
        lines += [f"with gradients: {each}" for each in _counted(self.gradient_collectives)]
        return "\n".join(lines)


def explain(cell: Cell, params: Any, inputs: Any, **options: Unpack[ExplainOptions]) -> Explanation:
    """Returns which backend runs a call, what it skips, how much memory it takes and what devices exchange.

    It compiles the call and computes nothing.

    Args:
        cell: as in `run`, like `params`, `inputs` and all options.
        params: arrays, or their shapes and dtypes as `jax.ShapeDtypeStruct`.
        inputs: arrays, or their shapes and dtypes.
        keeps_outputs: False explains `run_final`.

    Raises:
        ValueError: a shape or dtype does not fit, or the backend cannot run the call.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> explanation = recurrent.explain(recurrent.lstm, params, jnp.ones((2, 5, 3)))
    >>> explanation.backend in recurrent.backends.BACKENDS, explanation.matmuls_in_loop
    (True, 1)
    """
    refuse_unknown("explain", options, ExplainOptions)
    backend = options.pop("backend", "auto")
    call = make_call(cell, params, inputs, **options)
    name = choose(call, backend)
    chosen = BACKENDS[name]
    forward = partial(_run, name, call)
    gradient = jax.grad(partial(_total, forward), argnums=_differentiable(call.inputs))
    programs = [jax.jit(each).lower(call.params, call.inputs).compile() for each in (forward, gradient)]
    return Explanation(
        backend=name,
        refusals={other: why for other in BACKENDS if (why := BACKENDS[other].why_not(call)) is not None},
        matmuls_before_loop=_count_matmuls(cell.project, call.params, call.layout.x),
        matmuls_in_loop=_matmuls_of_step(call),
        segment_size=chosen.segment_size(call),
        skips_idle_rows=chosen.skips(call),
        shares_prefix=chosen.shares_prefix(call),
        forward_bytes=_bytes_of(programs[0]),
        gradient_bytes=_bytes_of(programs[1]),
        forward_collectives=tuple(read_collectives(programs[0].as_text() or "")),
        gradient_collectives=tuple(read_collectives(programs[1].as_text() or "")),
    )


def _run(name: str, call: Call, params: Any, inputs: Any) -> Any:
    return run_on_backend(call._replace(params=params, inputs=inputs), name)


def _total(forward: Any, params: Any, inputs: Any) -> Any:
    """Returns the sum of all results of a call, to take its gradient."""
    return sum(jnp.sum(leaf.astype(jnp.float32)) for leaf in jax.tree.leaves(forward(params, inputs)))


def _differentiable(inputs: Any) -> tuple[int, ...]:
    is_floating = all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(inputs))
    return (0, 1) if is_floating else (0,)


def compiled_bytes(function: Any, *arguments: Any) -> int | None:
    """Compiles a function and returns the memory that it takes besides arguments and results; None: unknown here."""
    return _bytes_of(jax.jit(function).lower(*arguments).compile())


def _bytes_of(program: Any) -> int | None:
    analysis: Any = program.memory_analysis()
    return int(analysis.temp_size_in_bytes) if analysis else None  # not every platform has an analysis


def _counted(found: tuple[Collective, ...]) -> list[str]:
    return [f"{count} x {each}" for each, count in Counter(map(str, found)).items()]


def _amount(num_bytes: int | None) -> str:
    return "unknown" if num_bytes is None else f"{num_bytes:,} bytes"


def _matmuls_of_step(call: Call) -> int:
    zero = call.cell.zero_state(call.params)
    projected = jax.eval_shape(call.cell.project, call.params, call.layout.x)
    recurrent = jax.eval_shape(call.cell.recur, call.params, zero)
    in_update = _count_matmuls(call.cell.update, call.params, zero, projected, recurrent)
    return _count_matmuls(call.cell.recur, call.params, zero) + in_update


def _count_matmuls(function: Any, *arguments: Any) -> int:
    return str(jax.make_jaxpr(function)(*arguments)).count("dot_general[")
