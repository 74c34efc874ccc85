"""Keras' `.keras` files: a zip archive of JSON and HDF5, of which two members are read and none is unpacked."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np

from experiments.imdb.importing.file import MODEL_MAX_BYTES, TEXT_MAX_BYTES
from experiments.imdb.importing.hdf5 import read_hdf5
from experiments.imdb.importing.keras_graph import Layer

__all__ = ["read_archive", "read_archived_arrays"]

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MAX_RATIO = 100  # of sizes; weights compress by a few per cent
_MAX_MEMBERS = 1000
_ROOTS = ("layers/", "_layer_checkpoint_dependencies/")  # the second by Keras 2.12
_CELL_PLACES = ("cell/vars",)
_BOTH_PLACES = ("forward_layer/cell/vars", "backward_layer/cell/vars")
_GROUPS = {"SimpleRNN": "simple_rnn"}  # of classes whose group is not their name in lower case


def read_archive(content: bytes) -> tuple[bytes, bytes]:
    """Returns the model's description, as JSON, and its weights, as an HDF5 file.

    Raises:
        ValueError: the archive is damaged or not Keras', a member is too large or its path leads out of a folder.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_members(archive.infolist())
            return _member(archive, _CONFIG, TEXT_MAX_BYTES), _member(archive, _WEIGHTS, MODEL_MAX_BYTES)
    except ValueError:
        raise
    except Exception as error:  # damaged archives raise many kinds
        raise ValueError(f"It is not an intact zip archive, as .keras files are ({error}).") from error


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > _MAX_MEMBERS:
        raise ValueError(f"It has {len(members):,} members; a .keras file has a few.")
    for member in members:
        name = member.orig_filename
        paths = PurePosixPath(name.replace("\\", "/")), PureWindowsPath(name)
        if any(path.is_absolute() or path.drive or ".." in path.parts for path in paths) or "\0" in name:
            raise ValueError(f"Its member {name!r} leads out of the archive: Keras wrote no such file.")


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """Decompresses a member, up to the size that it claims."""
    found = [member for member in archive.infolist() if member.filename == name]
    if len(found) != 1:
        has = "lacks" if not found else "has several members"
        raise ValueError(f"It {has} {name}. Save the whole model in one file: model.save('model.keras').")
    (member,) = found
    if member.file_size > limit:
        raise ValueError(f"Its {name} has {member.file_size:,} bytes, more than the limit of {limit:,}.")
    if member.file_size > _MAX_RATIO * member.compress_size + (1 << 16):
        raise ValueError(f"Its {name} is compressed more than {_MAX_RATIO}:1, as no weights are. It is not read.")
    if member.flag_bits & 1:
        raise ValueError(f"Its {name} is encrypted.")
    with archive.open(member) as file:
        return file.read(member.file_size)


def read_archived_arrays(content: bytes, layers: list[Layer]) -> dict[str, list[np.ndarray]]:
    """Returns the arrays of each layer, in Keras' order.

    Raises:
        ValueError: the file of weights is damaged, leads elsewhere, or has weights of an unknown layer.
    """
    file = read_hdf5(content, *_ROOTS)
    found: dict[str, np.ndarray | None] = {**dict.fromkeys(file.others), **file.arrays}
    root = next((root for root in _ROOTS if any(path.startswith(root) for path in found)), _ROOTS[0])
    left = {path.removeprefix(root): each for path, each in found.items() if path.startswith(root)}
    left = {path: each for path, each in left.items() if "seed_generator" not in path.split("/")}
    arrays = {layer.name: [*_take(left, place, layer)] for layer, place in _places(layers)}
    if left:
        raise ValueError(f"Its weights have superfluous arrays, {', '.join(sorted(left)[:5])}, of no layer.")
    return arrays


def _places(layers: list[Layer]) -> Iterator[tuple[Layer, str]]:
    """Yields the layers with their groups: their class in snake case, numbered where several have one class."""
    counts: dict[str, int] = {}
    for layer in layers:
        name = _GROUPS.get(layer.kind, layer.kind.lower())
        counts[name] = counts.get(name, -1) + 1
        yield layer, f"{name}_{counts[name]}" if counts[name] else name


def _take(left: dict[str, np.ndarray | None], group: str, layer: Layer) -> Iterator[np.ndarray]:
    """Takes a layer's arrays out of those that are left."""
    places = _BOTH_PLACES if layer.kind == "Bidirectional" else ("vars", *_CELL_PLACES)
    for place in places:
        number = 0
        while (path := f"{group}/{place}/{number}") in left:
            array = left.pop(path)
            if array is None:
                raise ValueError(f"{layer}: array {number} holds other than floating-point numbers, as weights are.")
            yield array
            number += 1
