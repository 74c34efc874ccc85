"""Reads an HDF5 file from standard input and writes its arrays to standard output; a program that runs by itself.

The HDF5 library is not made for hostile files: on some it never ends, on others it may crash. So it runs in a process
of its own, which can open no file, and has limits of time and memory. Links, external storage, virtual data sets,
references and filters are refused: HDF5 would follow them into other files, or load a library that the file names.
"""

import codecs
import contextlib
import io
import json
import math
import sys
from typing import Any

__all__ = ["main", "read_groups"]

MAX_OBJECTS = 10_000
MAX_DEPTH = 16
TEXT_MAX_BYTES = 32 << 20


def read_groups(content: bytes, prefixes: list[str]) -> tuple[dict[str, Any], dict[str, str], str | None]:
    """Returns the floating-point arrays below some groups, the dtypes of all other ones, and the text `model_config`.

    Raises:
        ValueError: the file holds more than groups and arrays of numbers.
    """
    import h5py

    found: dict[str, Any] = {}
    with h5py.File(io.BytesIO(content), "r") as file:
        _walk(file, "", found, 0)
        is_wanted = {path: path.startswith(tuple(prefixes)) and each.dtype.kind == "f" for path, each in found.items()}
        arrays = {path: each[()] for path, each in found.items() if is_wanted[path]}
        others = {path: str(each.dtype) for path, each in found.items() if not is_wanted[path]}
        return arrays, others, _text(file, "model_config")


def _walk(group: Any, prefix: str, found: dict[str, Any], depth: int) -> int:
    import h5py

    count = 0
    for name in group:
        path = f"{prefix}{name}"
        if not isinstance(name, str) or "/" in name or name in (".", ".."):
            raise ValueError(f"{path!r} is not a name.")
        if type(group.get(name, getlink=True)) is not h5py.HardLink:
            raise ValueError(f"{path} is a link that may lead to another file. Save the model again with Keras.")
        child = group[name]
        count += 1
        if isinstance(child, h5py.Group):
            if depth == MAX_DEPTH:
                raise ValueError(f"{path} is nested more than {MAX_DEPTH} deep.")
            count += _walk(child, f"{path}/", found, depth + 1)
        elif isinstance(child, h5py.Dataset):
            _check(path, child)
            found[path] = child
        else:
            raise ValueError(f"{path} is neither a group nor an array.")
        if count > MAX_OBJECTS:
            raise ValueError(f"It holds more than {MAX_OBJECTS:,} groups and arrays.")
    return count


def _check(path: str, dataset: Any) -> None:
    """Raises ValueError for a data set that is more, or less, than an array of numbers in this file."""
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"{path} lies in another file. Save the model again with Keras.")
    if dataset.dtype.kind not in "fiub":
        raise ValueError(f"{path} holds {dataset.dtype}, not numbers. Objects are never read.")
    if dataset.shape is None:
        raise ValueError(f"{path} has no shape.")
    if dataset.id.get_create_plist().get_nfilters():
        raise ValueError(f"{path} is compressed or filtered. Save the model again with Keras, which writes it plainly.")
    needed, stored = math.prod(dataset.shape) * dataset.dtype.itemsize, dataset.id.get_storage_size()
    if needed > stored:
        raise ValueError(f"{path} has {needed:,} bytes by its shape and {stored:,} in the file.")


def _text(group: Any, name: str) -> str | None:
    import h5py

    if name not in group.attrs:
        return None
    attribute = group.attrs.get_id(name)
    is_text = h5py.check_string_dtype(attribute.dtype) is not None and attribute.dtype.itemsize <= TEXT_MAX_BYTES
    if attribute.shape != () or not is_text:
        raise ValueError(f"The attribute {name} is not a text.")
    value = group.attrs[name]
    return value if isinstance(value, str) else bytes(value).decode("utf-8")


def _confine(num_bytes: int, seconds: int) -> None:
    """Lets this process open no more files, and end when it takes too much time or memory."""
    with contextlib.suppress(ImportError):  # Windows has no such limits; the parent's time limit remains
        import resource

        for kind, limit in (
            (resource.RLIMIT_CPU, seconds),
            (resource.RLIMIT_AS, (8 << 30) + 4 * num_bytes),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_NOFILE, 3),
        ):
            most = resource.getrlimit(kind)[1]
            least = limit if most == resource.RLIM_INFINITY else min(limit, most)
            resource.setrlimit(kind, (least, least))


def _warm_up() -> None:
    """Loads all that reading needs, before no more files can be opened."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["group/array"] = [0.5]
        file.attrs["model_config"] = b"text"
    for encoding in ("ascii", "utf-8", "latin-1"):
        codecs.lookup(encoding)
    read_groups(stream.getvalue(), ["group/"])


def main() -> None:
    """Reads, and answers with a line of JSON and the bytes of the arrays."""
    paths, prefixes, seconds = json.loads(sys.argv[1])
    sys.path[:] = paths
    import numpy as np

    _warm_up()
    content = sys.stdin.buffer.read()
    _confine(len(content), seconds)
    arrays: dict[str, Any] = {}
    try:
        arrays, others, text = read_groups(content, prefixes)
        arrays = {path: np.ascontiguousarray(each, each.dtype.newbyteorder("<")) for path, each in arrays.items()}
        described = {path: [each.dtype.str, each.shape] for path, each in arrays.items()}
        answer: dict[str, Any] = {"arrays": described, "others": others, "model_config": text}
    except ValueError as error:
        answer = {"refused": str(error)}
    except Exception as error:  # HDF5 has many kinds
        answer = {"refused": f"Its HDF5 data are damaged ({error})."}
    sys.stdout.buffer.write(json.dumps(answer).encode("ascii") + b"\n")
    if "refused" not in answer:
        for array in arrays.values():
            sys.stdout.buffer.write(array.tobytes())
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
