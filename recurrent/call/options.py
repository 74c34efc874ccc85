"""What may be said in a call of `run` and of all that is built on it, spelled once for those that hand it on."""

from collections.abc import Callable, Iterable
from typing import Any, TypedDict

from jaxtyping import Array, Bool, DTypeLike, Int

from recurrent.call.call import Prefix
from recurrent.shapes import RandomKey

__all__ = ["NetworkOptions", "RunOptions", "SequenceOptions", "refuse_unknown"]


class SequenceOptions(TypedDict, total=False):
    """What a call says about its sequences; a layer takes these, and has the other options itself.

    In a network `initial`, `reset_to` and `recurrent_mask` are tuples of `Directions`, one for each layer.
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


class RunOptions(SequenceOptions, total=False):
    """What `run` and `run_final` take beside cell, params and inputs."""

    reverse: bool
    segment_size: int | None
    dtype: DTypeLike | None
    backend: str


class NetworkOptions(SequenceOptions, total=False):
    """What `run_network` and `run_network_final` take beside network, params and inputs."""

    key: RandomKey | None
    numbers: Int[Array, "*batch"] | None
    segment_size: int | None
    dtype: DTypeLike | None
    backend: str


def refuse_unknown(function: str, options: Iterable[str], kind: Any) -> None:
    """Raises TypeError, as Python does, for an option that a function does not take.

    Args:
        kind: the TypedDict of the function's options.
    """
    for name in options:
        if name not in kind.__optional_keys__:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")
