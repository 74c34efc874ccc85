"""Keras' loop over time by `recurrent.run`: its masks, order of outputs, dropout masks and states."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
from jaxtyping import Array, Bool, Float

from recurrent.batch import run, run_final
from recurrent.cells import gru, gru_reset_before, lstm, simple_rnn
from recurrent.layers.keras.gate_masks import GateMasks

__all__ = ["run_layer"]


def run_layer(
    layer: Any, sequences: Any, initial_state: Any, mask: Any, training: bool
) -> tuple[Array, Array, list[Array]]:
    """Returns the last output, the outputs and the final states, as Keras' `inner_loop`.

    Without `return_sequences` the outputs are the last one alone.
    """
    cell, params = _cell_and_params(layer)
    inputs = keras.ops.cast(sequences, layer.compute_dtype)
    is_token = None if mask is None else _as_mask(mask)
    states = initial_state if isinstance(initial_state, Sequence) else [initial_state]
    initial = lstm.State(*states) if cell is lstm else cell.State(states[0])
    options: dict[str, Any] = {"is_token": is_token, "initial": initial, "reverse": bool(layer.go_backwards)}
    if training:
        cell, inputs, options = _with_dropout(layer.cell, cell, inputs, options)
    if layer.return_sequences:
        outputs, final = run(cell, params, inputs, **options)
        outputs = _arrange(layer, outputs, is_token, states[0])
    else:
        final = run_final(cell, params, inputs, **options)
        outputs = _last_output(layer, _own(final).hidden, is_token)[:, None]
    return outputs[:, -1], outputs, list(_own(final))


def _cell_and_params(layer: Any) -> tuple[Any, Any]:
    """Returns our cell for a layer, and its params in the layer's dtype of computation."""
    of_keras = layer.cell
    if isinstance(layer, keras.layers.GRU):
        cell = gru if of_keras.reset_after else gru_reset_before
    else:
        cell = lstm if isinstance(layer, keras.layers.LSTM) else simple_rnn
    kernel, recurrent_kernel = _as_array(layer, of_keras.kernel), _as_array(layer, of_keras.recurrent_kernel)
    if of_keras.use_bias:
        bias = _as_array(layer, of_keras.bias)
    else:
        bias = jnp.zeros((2, kernel.shape[1]) if cell is gru else kernel.shape[1], kernel.dtype)
    return cell, cell.Params(kernel, recurrent_kernel, bias)


def _as_array(layer: Any, weight: Any) -> Array:
    return keras.ops.convert_to_tensor(weight, dtype=layer.compute_dtype)


def _as_mask(mask: Any) -> Bool[Array, "batch time"]:
    """Converts a mask as Keras gives it: possibly in a list, of another dtype, or with an axis for features."""
    mask = jnp.asarray(mask[0] if isinstance(mask, Sequence) else mask).astype(bool)
    return jnp.any(mask, axis=-1) if mask.ndim == 3 else mask


def _with_dropout(of_keras: Any, cell: Any, inputs: Any, options: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Applies the masks that Keras has drawn for this call: one each, or one for each gate."""
    of_inputs = of_keras.get_dropout_mask(inputs[:, 0])
    of_state = of_keras.get_recurrent_dropout_mask(options["initial"].hidden)
    if isinstance(of_inputs, Sequence) or isinstance(of_state, Sequence):
        if isinstance(of_inputs, Sequence):
            inputs = tuple(inputs * mask[:, None] for mask in of_inputs)
        cell = GateMasks(cell)
        return cell, inputs, {**options, "initial": cell.with_masks(options["initial"], of_state)}
    if of_inputs is not None:
        inputs = inputs * of_inputs[:, None]
    return cell, inputs, {**options, "recurrent_mask": None if of_state is None else of_state[:, None]}


def _own(final: Any) -> Any:
    """Returns the cell's own state."""
    return final.of_cell if isinstance(final, GateMasks.State) else final


def _arrange(
    layer: Any, outputs: Float[Array, "batch time hidden"], is_token: Bool[Array, "batch time"] | None, first: Array
) -> Float[Array, "batch time hidden"]:
    """Returns the outputs in the order in which they were computed, with Keras' values at masked steps."""
    if is_token is not None and not layer.unroll:
        # A masked step repeats the last output, and before the first token the initial state; `run` gives zero there.
        if layer.zero_output_for_mask:
            outputs = jnp.where(is_token[..., None], outputs, 0)
        else:
            is_after = jax.lax.cummax(is_token.astype(jnp.int8), axis=1, reverse=bool(layer.go_backwards)) > 0
            outputs = jnp.where(is_after[..., None], outputs, first[:, None].astype(outputs.dtype))
    return jnp.flip(outputs, axis=1) if layer.go_backwards else outputs


def _last_output(layer: Any, hidden: Float[Array, "batch hidden"], is_token: Any) -> Float[Array, "batch hidden"]:
    """Returns the output of the last step from the final state."""
    if is_token is None:
        return hidden
    if layer.unroll:  # a row without tokens
        return jnp.where(jnp.any(is_token, axis=1)[:, None], hidden, 0)
    if layer.zero_output_for_mask:
        return jnp.where(is_token[:, 0 if layer.go_backwards else -1][:, None], hidden, 0)
    return hidden
