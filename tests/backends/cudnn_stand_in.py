"""cuDNN's LSTM on a machine without a GPU: its reference on a CPU, and the sizes that lowering asks the library for."""

from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
from jax.experimental import rnn
from jax.interpreters import mlir
from jaxlib import gpu_rnn

SIZES = ("input_size", "hidden_size", "num_layers", "bidirectional")
LIBRARY = SimpleNamespace(build_rnn_descriptor=lambda *sizes: repr(sizes).encode())
"""In place of the part of JAX' CUDA plugin that describes an LSTM to cuDNN."""


def install(monkeypatch):
    """Lets `rnn.lstm` be traced, run on a CPU and lowered for CUDA; nothing of it reaches a machine with a GPU."""
    assert jax.default_backend() == "cpu"
    # With the plugin, this number comes from a GPU.
    monkeypatch.setattr(gpu_rnn, "compute_rnn_workspace_reserve_space_sizes", lambda *_: (16, 8), raising=False)
    for primitive, reference, lower in (
        (rnn.rnn_fwd_p, forward, gpu_rnn._rnn_fwd_lowering),
        (rnn.rnn_bwd_p, backward, gpu_rnn._rnn_bwd_lowering),
    ):
        mlir.register_lowering(primitive, mlir.lower_fun(reference, multiple_results=True), platform="cpu")
        mlir.register_lowering(primitive, partial(lower, LIBRARY, "cu"), platform="cuda")


def reference(x, h_0, c_0, weights, lengths, sizes):
    """JAX' own reference of cuDNN's LSTM, on flat weights."""
    parts = rnn.unpack_lstm_weights(weights, *sizes.values())
    return rnn.lstm_ref(x, h_0, c_0, *parts, seq_lengths=lengths, dropout=0.0, **sizes)


def forward(x, h_0, c_0, weights, lengths, *, dropout, cudnn_allow_tf32, **sizes):
    results = reference(x, h_0, c_0, weights, lengths, sizes)
    # cuDNN refuses other lengths.
    is_accepted = jnp.all((lengths >= 1) & (lengths <= x.shape[1]))
    return *(jnp.where(is_accepted, result, jnp.nan) for result in results), jnp.zeros(8, jnp.float32)


def backward(dy, dh, dc, x, h_0, c_0, weights, y, reserve, lengths, *, dropout, cudnn_allow_tf32, **sizes):
    _, pull = jax.vjp(lambda *arguments: reference(*arguments, lengths, sizes), x, h_0, c_0, weights)
    return pull((dy, dh, dc))
