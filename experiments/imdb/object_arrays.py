"""NumPy's arrays of lists, read without running anything that the file says.

Such arrays are pickled, and unpickling calls whatever the file names. Here the few names that NumPy writes stand for a
class that merely holds what it is given, and any other name is an error.
"""

import io
import pickle
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Int

__all__ = ["read_lists"]

MAX_INTEGER = 1 << 20  # far more than there are words
_NUMPY_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"),  # NumPy 1
    ("numpy._core.multiarray", "_reconstruct"),  # NumPy 2
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),  # bytes, in the pickles that Python 2 could read
}


def read_lists(content: bytes) -> list[Int[np.ndarray, "_"]]:
    """Reads an .npy file with an array of lists of positive integers.

    Raises:
        ValueError: it is something else, or names something to be called. A damaged file may raise anything else too.
    """
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, _, dtype = read_header(stream)
    if dtype.kind != "O":
        raise ValueError(f"its reviews are an array of {dtype}, not of lists.")
    held = _Unpickler(stream, encoding="latin1").load()
    if not isinstance(held, _Held) or not isinstance(held.state, tuple):
        raise ValueError("its reviews are no pickled array.")
    reviews = held.state[-1]
    if type(reviews) is not list or shape != (len(reviews),) or any(type(review) is not list for review in reviews):
        raise ValueError("its reviews are not an array of lists.")
    return _integers(reviews, len(content))


def _integers(reviews: list[list[Any]], num_bytes: int) -> list[Int[np.ndarray, "_"]]:
    lengths = np.array([len(review) for review in reviews], np.int64)
    if lengths.sum() > num_bytes:  # one list that stands for many reviews: a small file that would fill the memory
        raise ValueError(f"it claims {lengths.sum()} ids in {num_bytes} bytes.")
    if not set(map(type, chain.from_iterable(reviews))) <= {int}:
        raise ValueError("its reviews hold something other than integers.")
    integers = np.fromiter(chain.from_iterable(reviews), np.int64, count=int(lengths.sum()))
    if integers.size and (integers.min() < 1 or integers.max() > MAX_INTEGER):
        raise ValueError(f"its ids reach from {integers.min()} to {integers.max()}, where ranks from 1 are expected.")
    return np.split(integers.astype(np.int32), np.cumsum(lengths)[:-1]) if reviews else []


class _Held:
    """Stands for whatever NumPy's pickles name: it keeps what it is given and does nothing."""

    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Unpickles without looking anything up in any module."""

    def find_class(self, module: str, name: str) -> type[_Held]:
        """Returns the stand-in, or raises ValueError for a name that no array needs."""
        if (module, name) not in _NUMPY_NAMES:
            raise ValueError(f"it would call {module}.{name}; nothing was called.")
        return _Held
