"""HDF5 files of weights, read by a process of its own: `hdf5_child` says why, and what is refused."""

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.imdb.importing.file import as_json

__all__ = ["Hdf5", "read_hdf5"]

_CHILD = Path(__file__).with_name("hdf5_child.py")
_SECONDS = 30  # for a file of usual size; reading takes a second
_BYTES_PER_SECOND = 20_000_000


class Hdf5(NamedTuple):
    """What a file holds."""

    arrays: dict[str, np.ndarray]  # of floating-point numbers, by path
    others: dict[str, str]  # the dtypes of other arrays
    model_config: str | None  # an attribute of the file


def read_hdf5(content: bytes, *prefixes: str) -> Hdf5:
    """Reads the floating-point arrays below some groups.

    Args:
        content: the file's.
        prefixes: the groups' names, each with a slash at its end.

    Raises:
        ValueError: the file is damaged, or holds more than groups and arrays of numbers.
        ModuleNotFoundError: h5py is not installed.
    """
    if importlib.util.find_spec("h5py") is None:
        raise ModuleNotFoundError("A file of Keras needs h5py: pip install 'recurrent-jax[import]'", name="h5py")
    seconds = _SECONDS + len(content) // _BYTES_PER_SECOND
    arguments = json.dumps([[path for path in sys.path if path], prefixes, seconds])
    line = [sys.executable, "-I", str(_CHILD), arguments]
    try:
        done = subprocess.run(line, input=content, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"Its HDF5 data are damaged: reading them did not end within {seconds} s.") from error
    head, _, body = done.stdout.partition(b"\n")
    if done.returncode or not head:
        raise ValueError(f"Its HDF5 data are damaged: the HDF5 library ended with code {done.returncode}.")
    answer = as_json(head, "The HDF5 reader's answer")
    if "refused" in answer:
        raise ValueError(answer["refused"])
    return Hdf5(_split(answer["arrays"], body), answer["others"], answer["model_config"])


def _split(described: dict[str, Any], body: bytes) -> dict[str, np.ndarray]:
    """Returns the arrays whose bytes stand one after the other."""
    arrays, start = {}, 0
    for path, (dtype, shape) in described.items():
        count = math.prod(shape)
        arrays[path] = np.frombuffer(body, np.dtype(dtype), count, start).reshape(shape)
        start += arrays[path].nbytes
    return arrays
