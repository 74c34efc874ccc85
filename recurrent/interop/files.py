"""Files of arrays that execute nothing: safetensors. Formats that may hold a pickle are refused by name."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from recurrent.extras import needs

__all__ = ["read_safetensors"]

_DTYPES = {"BF16": jnp.bfloat16, "F16": np.float16, "F32": np.float32, "F64": np.float64}
_PICKLES = (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".npy", ".npz")
_KERAS = (".h5", ".hdf5", ".keras")


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a file by name, in their own dtypes, bfloat16 too.

    Raises:
        ValueError: the file is damaged, of another format, or holds a dtype that is no floating-point one.
    """
    suffix = path.suffix.lower()
    if suffix in _PICKLES:
        raise ValueError(
            f"{path} is not read: a {suffix} file may hold a pickle, which can execute any code. Where you trust it, "
            "write it anew: safetensors.torch.save_file(torch.load(path, weights_only=True), 'weights.safetensors')."
        )
    if suffix in _KERAS:
        raise ValueError(f"{path} is Keras' own: load it with keras.saving.load_model, and pass its layers.")
    with needs(__name__, "interop", {"safetensors": "safetensors"}):
        import safetensors
    try:
        tensors = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not an intact safetensors file: {error}.") from error
    return {name: _as_array(path, name, tensor) for name, tensor in tensors}


def _as_array(path: Path, name: str, tensor: dict[str, Any]) -> np.ndarray:
    if tensor["dtype"] not in _DTYPES:
        raise ValueError(f"{path}: {name} is {tensor['dtype']}, but must be one of {', '.join(_DTYPES)}.")
    return np.frombuffer(tensor["data"], jnp.dtype(_DTYPES[tensor["dtype"]])).reshape(tensor["shape"])
