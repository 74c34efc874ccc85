"""Reads NumPy's arrays of lists without an unpickler.

NumPy stores such arrays as pickles: programs for a stack machine, which can call any function by name. Here the program
is only disassembled (`pickletools`, which executes nothing), and the few instructions that build lists of integers are
interpreted. A name is never looked up: a call returns an inert placeholder.
"""

import io
import pickletools
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Int

__all__ = ["read_lists"]

MAX_INTEGER = 1 << 20  # far above the number of words
_NUMPY_NAMES = {
    "numpy.core.multiarray _reconstruct",  # NumPy 1
    "numpy._core.multiarray _reconstruct",  # NumPy 2
    "numpy ndarray",
    "numpy dtype",
    "_codecs encode",  # bytes, in pickles that Python 2 can read
}


def read_lists(content: bytes) -> list[Int[np.ndarray, "_"]]:
    """Reads an .npy file with an array of lists of positive integers.

    Raises:
        ValueError: it is something else, or names a function to call. A corrupt file may raise any other exception.
    """
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, _, dtype = read_header(stream)
    if dtype.kind != "O":
        raise ValueError(f"its reviews are an array of {dtype}, not of lists.")
    held = _Machine().follow(stream)
    if not isinstance(held, _Held) or not isinstance(held.state, tuple) or not held.state:
        raise ValueError("its reviews are not a pickled array.")
    reviews = held.state[-1]
    if type(reviews) is not list or shape != (len(reviews),) or any(type(review) is not list for review in reviews):
        raise ValueError("its reviews are not an array of lists.")
    return _integers(reviews, len(content))


def _integers(reviews: list[list[Any]], num_bytes: int) -> list[Int[np.ndarray, "_"]]:
    lengths = np.array([len(review) for review in reviews], np.int64)
    if lengths.sum() > num_bytes:  # one list shared by many reviews: a small file that would fill the memory
        raise ValueError(f"it claims {lengths.sum()} ids in {num_bytes} bytes.")
    if not set(map(type, chain.from_iterable(reviews))) <= {int}:
        raise ValueError("its reviews hold something other than integers.")
    integers = np.fromiter(chain.from_iterable(reviews), np.int64, count=int(lengths.sum()))
    if integers.size and (integers.min() < 1 or integers.max() > MAX_INTEGER):
        raise ValueError(f"its ids reach from {integers.min()} to {integers.max()}, but ranks start at 1.")
    return np.split(integers.astype(np.int32), np.cumsum(lengths)[:-1]) if reviews else []


class _Held:
    """A placeholder for anything that a pickle would call or build. It keeps its state and does nothing."""

    state: Any = None


class _Machine:
    """Interprets the instructions that arrays of lists need, and no others."""

    def __init__(self) -> None:
        """Starts empty."""
        self.stack: list[Any] = []
        self.marks: list[int] = []  # the height of the stack at each open mark
        self.memo: dict[int, Any] = {}

    def follow(self, stream: io.BytesIO) -> Any:
        """Returns what the instructions build.

        Raises:
            ValueError: an unknown instruction, or a name that is not one of NumPy's.
            IndexError, KeyError: the instructions do not fit together.
        """
        for instruction, argument, _ in pickletools.genops(stream):
            step = _INSTRUCTIONS.get(instruction.name)
            if step is None:
                raise ValueError(f"its pickle has the instruction {instruction.name}, which no array of lists needs.")
            step(self, argument)
        return self.stack.pop()

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def since_mark(self) -> list[Any]:
        """Pops the values that were pushed since the last mark."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def take(self, count: int) -> list[Any]:
        """Pops the last `count` values."""
        items = [self.stack.pop() for _ in range(count)]
        return items[::-1]

    def extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError("its pickle appends to something that is not a list.")
        self.stack[-1].extend(items)

    def memoize(self, number: int | None) -> None:
        self.memo[len(self.memo) if number is None else number] = self.stack[-1]

    def name(self, name: str) -> None:
        if name not in _NUMPY_NAMES:
            raise ValueError(f"it would call {name.replace(' ', '.')}; nothing was called.")
        self.push(_Held())

    def reduce(self, _: Any) -> None:
        self.take(2)
        self.push(_Held())

    def build(self, _: Any) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _Held):
            raise ValueError("its pickle sets the state of something that has none.")
        self.stack[-1].state = state


_INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda machine, _: None),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1"), _Machine.push),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "UNICODE", "BINBYTES", "SHORT_BINBYTES"), _Machine.push),
    **dict.fromkeys(("BINSTRING", "SHORT_BINSTRING", "STRING"), _Machine.push),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "MARK": _Machine.mark,
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "LIST": lambda machine, _: machine.push(machine.since_mark()),
    "APPEND": lambda machine, _: machine.extend(machine.take(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.take(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.take(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.take(3))),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    **dict.fromkeys(("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"), _Machine.memoize),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, number: machine.push(machine.memo[number])),
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": lambda machine, _: machine.name(" ".join(machine.take(2))),
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
}
