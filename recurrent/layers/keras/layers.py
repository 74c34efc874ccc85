"""Subclasses of Keras' layers that replace its loop over time, and nothing else."""

import warnings
from typing import Any

import keras

from recurrent.layers.keras.loop import run_layer
from recurrent.layers.keras.support import prefers_cudnn, why_not

__all__ = ["GRU", "LSTM", "SimpleRNN"]

register = keras.saving.register_keras_serializable(package="recurrent")


class _Loop:
    """Computes Keras' `inner_loop` by `recurrent.run` where it can; all else is Keras' own."""

    name: str
    _was_told = False

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """Returns the last output, the outputs and the final states."""
        reason = why_not(self, training)
        if reason is None and not prefers_cudnn(self, mask):
            return run_layer(self, sequences, initial_state, mask, training)
        if reason is not None and not self._was_told:
            self._was_told = True
            name = type(self).__name__
            warnings.warn(f"Keras' own code computes the {name} layer {self.name!r}, since {reason}.", stacklevel=2)
        parent: Any = super()
        return parent.inner_loop(sequences, initial_state, mask=mask, training=training)


@register
class SimpleRNN(_Loop, keras.layers.SimpleRNN):
    """Keras' `SimpleRNN`, computed by `recurrent.run`; arguments, weights and config are Keras'.

    >>> from recurrent.layers.keras import SimpleRNN
    >>> SimpleRNN(4).compute_output_shape((2, 5, 3))
    (2, 4)
    """


@register
class LSTM(_Loop, keras.layers.LSTM):
    """Keras' `LSTM`, computed by `recurrent.run`; arguments, weights and config are Keras'.

    >>> from recurrent.layers.keras import LSTM
    >>> LSTM(4, return_sequences=True, return_state=True).compute_output_shape((2, 5, 3))
    ((2, 5, 4), (2, 4), (2, 4))
    """


@register
class GRU(_Loop, keras.layers.GRU):
    """Keras' `GRU`, computed by `recurrent.run`; arguments, weights and config are Keras'.

    >>> from recurrent.layers.keras import GRU
    >>> GRU(4, go_backwards=True, return_sequences=True).compute_output_shape((2, 5, 3))
    (2, 5, 4)
    """
