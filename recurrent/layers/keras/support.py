"""Whether `recurrent.run` can compute a layer of Keras."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import keras

__all__ = ["prefers_cudnn", "why_not"]

TANH: tuple[Callable[..., Any], ...] = (keras.activations.tanh, keras.ops.tanh, jnp.tanh)
SIGMOID: tuple[Callable[..., Any], ...] = (keras.activations.sigmoid, keras.ops.sigmoid, jax.nn.sigmoid)


def why_not(layer: Any, training: bool) -> str | None:
    """Returns the reason why `recurrent.run` cannot compute a layer, or None."""
    if keras.config.backend() != "jax":
        return f"Keras' backend is {keras.config.backend()}, not jax"
    cell = layer.cell
    for field, functions in (("activation", TANH), ("recurrent_activation", SIGMOID)):
        if getattr(cell, field, functions[0]) not in functions:
            return f"its {field} is {getattr(getattr(cell, field), '__name__', getattr(cell, field))}"
    if getattr(layer, "use_cudnn", "auto") is True:
        return "use_cudnn is True"
    return _why_not_dropout(cell) if training else None


def prefers_cudnn(layer: Any, mask: Any) -> bool:
    """Returns whether Keras would take cuDNN on this device, which is left to it."""
    is_on_gpu = jax.default_backend() == "gpu" and isinstance(layer, keras.layers.LSTM)
    return is_on_gpu and layer.use_cudnn == "auto" and mask is None and not layer.recurrent_dropout and layer.use_bias


def _why_not_dropout(cell: Any) -> str | None:
    if 1.0 in (cell.dropout, cell.recurrent_dropout):
        return "a rate of dropout is 1"
    has_gate_masks = getattr(cell, "implementation", 2) == 1 and (cell.dropout or cell.recurrent_dropout)
    if has_gate_masks and not getattr(cell, "reset_after", True):
        return "reset_after is False and each gate has a dropout mask of its own"
    return None
