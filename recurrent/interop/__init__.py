"""Weights from other libraries and to them, one module a library::

    params = interop.torch.params_from(module)             one cell
    weights = interop.torch.params_to(params)
    network, params = interop.torch.network_from(module)   several layers, or both directions
    weights = interop.torch.network_to(network, params)

These four functions are in every module. Nothing is approximated: where no exact map exists, a ValueError says why.
A library is imported by the call that needs it.
"""

from recurrent.interop import cudnn, equinox, haiku, keras, linen, nnx, onnx, torch

__all__ = ["cudnn", "equinox", "haiku", "keras", "linen", "nnx", "onnx", "torch"]
