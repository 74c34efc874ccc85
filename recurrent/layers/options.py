"""The options of a layer's call, for NNX and Linen: `SequenceOptions` for one cell, `LayerOptions` for a network."""

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from jaxtyping import Array, DTypeLike, Int

from recurrent.call.options import SequenceOptions, refuse_unknown
from recurrent.shapes import RandomKey

__all__ = ["LayerOptions", "PackedLayerOptions", "cell_arguments", "network_arguments"]


class LayerOptions(SequenceOptions, total=False):
    """Options of the call of a network's layer."""

    deterministic: bool | None
    key: RandomKey | None
    numbers: Int[Array, "*batch"] | None


class PackedLayerOptions(TypedDict, total=False):
    """Options of `packed` of a network's layer."""

    initial: Any
    recurrent_mask: Any
    deterministic: bool | None
    key: RandomKey | None
    numbers: Int[Array, "sequences"] | None


def cell_arguments(layer: Any, method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the keyword arguments of `run`: the layer's own and those of the call."""
    refuse_unknown(method, options, SequenceOptions)
    return {"reverse": layer.reverse, **_own(layer), **options}


def network_arguments(
    layer: Any, method: str, options: Mapping[str, Any], kind: Any, draw_key: Callable[[], RandomKey]
) -> dict[str, Any]:
    """Returns the keyword arguments of `run_network`: the layer's own and those of the call.

    Args:
        kind: the TypedDict of the method's options.
        draw_key: makes a key if the call needs noise and brings no key.
    """
    refuse_unknown(method, options, kind)
    given = {name: option for name, option in options.items() if name != "deterministic"}
    return {**_own(layer), **given, "key": _noise_key(layer, options, draw_key)}


def _noise_key(layer: Any, options: Mapping[str, Any], draw_key: Callable[[], RandomKey]) -> RandomKey | None:
    """Returns the key of a call's dropout, or None for no noise."""
    deterministic, key = options.get("deterministic"), options.get("key")
    is_quiet = layer.deterministic if deterministic is None else deterministic
    if is_quiet or layer.description.dropout_rate == 0:
        return None
    return draw_key() if key is None else key


def _own(layer: Any) -> dict[str, DTypeLike | int | str | None]:
    return {"segment_size": layer.segment_size, "dtype": layer.dtype, "backend": layer.backend}
