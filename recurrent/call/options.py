"""The keyword-only options of `run` and of every function built on it, as TypedDicts.

`run`, `scan_cell` and `run_network` document what each option means.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypedDict

from jaxtyping import Array, Bool, DTypeLike, Float, Int

from recurrent.call.prefix import Prefix
from recurrent.shapes import RandomKey

__all__ = [
    "CallOptions",
    "ExplainOptions",
    "NetworkOptions",
    "PackedNetworkOptions",
    "PackedOptions",
    "RunOptions",
    "SequenceOptions",
    "refuse_unknown",
]


class SequenceOptions(TypedDict, total=False):
    """Options about the sequences of one call; the call of a layer takes these, and its constructor the others.

    In a network `initial`, `reset_to` and `recurrent_mask` are tuples with one `Directions` per layer.
    """

    is_token: Bool[Array, "*batch time"] | None
    is_start: Bool[Array, "*batch time"] | None
    initial: Any
    reset_to: Any
    reset_index: Int[Array, "*batch time"] | None
    recurrent_mask: Any
    prefix: Prefix | None
    truncate_every: int | None
    make_inputs: Callable[[Any], Any] | None


class CallOptions(SequenceOptions, total=False):
    """Options of a call of one cell, whatever the backend."""

    reverse: bool
    segment_size: int | None
    dtype: DTypeLike | None


class RunOptions(CallOptions, total=False):
    """Options of `run`, `run_final` and the functions of `recurrent.inspect`."""

    backend: str


class ExplainOptions(RunOptions, total=False):
    """Options of `explain`."""

    keeps_outputs: bool


class _PackedOptions(TypedDict, total=False):
    initial: Any
    segment_size: int | None
    dtype: DTypeLike | None
    backend: str


class PackedOptions(_PackedOptions, total=False):
    """Options of `run_packed`."""

    recurrent_mask: Float[Array, "sequences 1 hidden"] | None
    reverse: bool
    make_inputs: Callable[[Any], Any] | None


class NetworkOptions(SequenceOptions, total=False):
    """Options of `run_network` and `run_network_final`."""

    key: RandomKey | None
    numbers: Int[Array, "*batch"] | None
    segment_size: int | None
    dtype: DTypeLike | None
    backend: str


class PackedNetworkOptions(_PackedOptions, total=False):
    """Options of `run_packed_network`."""

    recurrent_mask: Any
    key: RandomKey | None
    numbers: Int[Array, "sequences"] | None


def refuse_unknown(function: str, options: Iterable[str], kind: Any) -> None:
    """Raises TypeError, with Python's own message, for an option that a function does not take.

    Args:
        kind: the TypedDict of the function's options.
    """
    for name in options:
        if name not in kind.__optional_keys__:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")
