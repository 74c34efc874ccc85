"""Params of Flax' cells as those of ours, from arrays that were checked before: also under a transformation.

Arrays are named by their paths, such as `hn/bias`, and cells by their names here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from recurrent.cells import gru, lstm, simple_rnn
from recurrent.interop.cells import OURS
from recurrent.interop.gates import join, namespace, reorder, zeros_like

__all__ = ["LETTERS", "NNX_GATES", "linen_params", "nnx_bias", "nnx_params"]

LETTERS = MappingProxyType(
    {
        "lstm": {"input": "i", "forget": "f", "candidate": "g", "output": "o"},
        "gru": {"reset": "r", "update": "z", "candidate": "n"},
    }
)
"""Linen's letters of the gates, which are also those of NNX' `LSTMCell`."""

NNX_GATES = MappingProxyType(
    {"simple_rnn": simple_rnn.GATES, "lstm": lstm.GATES, "gru": ("reset", "update", "candidate")}
)
"""The blocks of NNX' kernels, in order."""


def linen_params(name: str, arrays: Mapping[str, Any]) -> Any:
    """Returns the params of a cell from the arrays of Linen's.

    >>> import numpy as np
    >>> kernels = {"i/kernel": np.ones((3, 4)), "h/kernel": np.ones((4, 4))}
    >>> linen_params("simple_rnn", {**kernels, "i/bias": np.ones(4)}).bias.shape
    (4,)
    """
    if name == "simple_rnn":
        return OURS[name].Params(arrays["i/kernel"], arrays["h/kernel"], arrays["i/bias"])
    letters, gates = LETTERS[name], OURS[name].GATES
    sides = [join({gate: arrays[f"{side}{letters[gate]}/kernel"] for gate in gates}, gates) for side in "ih"]
    if name == "lstm":
        return OURS[name].Params(*sides, join({gate: arrays[f"h{letters[gate]}/bias"] for gate in gates}, gates))
    biases = {gate: arrays[f"i{letters[gate]}/bias"] for gate in gates}
    of_state = {gate: zeros_like(bias) for gate, bias in biases.items()} | {"candidate": arrays["hn/bias"]}
    return OURS[name].Params(*sides, namespace(*sides).stack([join(biases, gates), join(of_state, gates)]))


def nnx_params(name: str, arrays: Mapping[str, Any]) -> Any:
    """Returns the params of a cell from the arrays of NNX' cell with joint kernels.

    >>> import numpy as np
    >>> kernels = {"dense_i/kernel": np.ones((3, 12)), "dense_h/kernel": np.ones((4, 12))}
    >>> nnx_params("gru", {**kernels, "dense_i/bias": np.ones(12)}).bias.shape
    (2, 12)
    """
    kernels, bias = [arrays["dense_i/kernel"], arrays["dense_h/kernel"]], arrays[nnx_bias(name)]
    if name != "gru":
        return OURS[name].Params(*kernels, bias)
    *kernels, bias = (reorder(array, NNX_GATES[name], gru.GATES) for array in (*kernels, bias))
    return OURS[name].Params(*kernels, namespace(bias).stack([bias, zeros_like(bias)]))


def nnx_bias(name: str) -> str:
    """Returns the path of an NNX cell's bias."""
    return "dense_h/bias" if name == "lstm" else "dense_i/bias"
