"""cuDNN's LSTM of one layer as a function of our params, with its derivative."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import rnn
from jaxtyping import Array, Float, Int

from recurrent.call.meshes import vary_like
from recurrent.cells import lstm

__all__ = ["Settings", "flat_weights", "run_rows", "settings_of"]

Rows = Float[Array, "rows hidden"]
Results = tuple[Float[Array, "rows time hidden"], Rows, Rows]

ROUNDED = (None, "default", "fastest", "high", "bfloat16", "bfloat16_3x", "tensorfloat32")
"""The values of `jax_default_matmul_precision` under which cuDNN may round operands of matmuls to TensorFloat-32."""


class Settings(NamedTuple):
    """What is static, in the order of the arguments of `jax.experimental.rnn`."""

    input_size: int
    hidden_size: int
    num_layers: int
    dropout: float
    bidirectional: bool
    precision: jax.lax.Precision


def settings_of(params: lstm.Params) -> Settings:
    """Returns the sizes of the params, and the precision that JAX is set to."""
    input_size, hidden_size = params.input_kernel.shape[0], params.recurrent_kernel.shape[0]
    is_rounded = getattr(jax.config, "jax_default_matmul_precision", None) in ROUNDED
    precision = jax.lax.Precision.HIGH if is_rounded else jax.lax.Precision.HIGHEST
    return Settings(input_size, hidden_size, 1, 0.0, False, precision)


def flat_weights(params: lstm.Params) -> Float[Array, "weights"]:
    """Returns the params as cuDNN's flat weights: W transposed, U transposed, and two biases that are added up.

    The gates' order is ours.
    """
    kernels = params.input_kernel.T.ravel(), params.recurrent_kernel.T.ravel()
    return jnp.concatenate([*kernels, params.bias, jnp.zeros_like(params.bias)])


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def run_rows(
    settings: Settings,
    inputs: Float[Array, "rows time input"],
    hidden: Rows,
    memory: Rows,
    weights: Float[Array, "weights"],
    lengths: Int[Array, "rows"],
) -> Results:
    """Computes the outputs and the final hidden states and memories of rows, whose tokens come first.

    Args:
        settings: of the params.
        inputs: those after a row's length are ignored.
        hidden: the hidden states before the first step.
        memory: the memories before the first step.
        weights: from `flat_weights`.
        lengths: the number of tokens of each row, at least 1. Outputs after it are zero.
    """
    return _keep(settings, inputs, hidden, memory, weights, lengths)[0]


def _keep(
    settings: Settings, inputs: Array, hidden: Array, memory: Array, weights: Array, lengths: Array
) -> tuple[Results, Any]:
    sizes = settings._asdict()
    (outputs, *final), kept = rnn.lstm_fwd(inputs, hidden[None], memory[None], weights, lengths, **sizes)
    # Under `shard_map`, JAX infers for this primitive that its results are equal on all devices.
    outputs, final, kept = vary_like((outputs, final, kept), inputs)
    return (outputs, final[0][0], final[1][0]), kept


def _pull(settings: Settings, kept: Any, cotangents: Results) -> tuple[Array, Array, Array, Array, None]:
    d_outputs, d_hidden, d_memory = cotangents
    cotangents = d_outputs, d_hidden[None], d_memory[None]
    d_inputs, d_hidden, d_memory, d_weights, _ = rnn.lstm_bwd(*settings, kept, cotangents)
    return d_inputs, d_hidden[0], d_memory[0], d_weights, None


run_rows.defvjp(_keep, _pull)
