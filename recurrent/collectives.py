"""The collectives of a compiled program: which exchanges between devices XLA put into it, counted from its text."""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

__all__ = ["Collective", "collectives", "read_collectives"]

KINDS = ("all-gather", "all-reduce", "reduce-scatter", "collective-permute", "all-to-all")

_BYTES = {"pred": 1, "bf16": 2, "f8e4m3fn": 1, "f8e5m2": 1}
_INSTRUCTION = re.compile(rf" = (.+?) ({'|'.join(KINDS)})(-start)?\(")
_CALLED = re.compile(r"(?:body|condition|to_apply|calls|(?:true|false)_computation)=%([\w.\-]+)")
_CALLED_LISTS = re.compile(r"(?:branch_computations|called_computations)=\{([^}]*)\}")
_TRIPS = re.compile(r'known_trip_count":\{"n":"(\d+)"')


class Collective(NamedTuple):
    """An exchange between devices.

    >>> from recurrent.sharding import Collective
    >>> print(Collective("all-gather", num_bytes=512, num_devices=4, loops=(2, 25)))
    all-gather of 512 bytes among 4 devices, in a loop: 50 times
    """

    kind: str  # all-gather, all-reduce, reduce-scatter, collective-permute or all-to-all
    num_bytes: int  # of the result on one device
    num_devices: int  # that exchange with each other; 2 for a collective-permute
    loops: tuple[
        int | None, ...
    ]  # the turns of the loops around it, outermost first; None where XLA does not know them

    @property
    def times(self) -> int | None:
        """How often it is executed in a call; None if a loop's turns are unknown."""
        return None if None in self.loops else math.prod(filter(None, self.loops))

    @property
    def sent_bytes(self) -> int:
        """What a device sends each time, if the devices form a ring."""
        others = self.num_devices - 1
        whole = {"reduce-scatter": self.num_bytes * self.num_devices}.get(self.kind, self.num_bytes)
        if self.kind == "collective-permute":
            return whole
        return math.ceil(whole * others / self.num_devices) * (2 if self.kind == "all-reduce" else 1)

    def __str__(self) -> str:
        """Returns it in words."""
        often = "once" if not self.loops else "in a loop" + ("" if self.times is None else f": {self.times:,} times")
        return f"{self.kind} of {self.num_bytes:,} bytes among {self.num_devices} devices, {often}"


def collectives(function: Callable[..., Any], *arguments: Any) -> list[Collective]:
    """Returns the collectives of a function's compiled program, those in the most deeply nested loops first.

    Args:
        function: it may be under `jax.jit` already.
        arguments: arrays on a mesh, or `jax.ShapeDtypeStruct` with a sharding.

    >>> import jax, jax.numpy as jnp
    >>> from recurrent.sharding import collectives
    >>> collectives(lambda x: x @ x, jnp.ones((2, 2)))  # one device has nothing to exchange
    []
    """
    compiled: Any = function if hasattr(function, "lower") else jax.jit(function)
    return read_collectives(compiled.lower(*arguments).compile().as_text() or "")


def read_collectives(program: str) -> list[Collective]:
    """Returns the collectives in the text of an optimized HLO program."""
    bodies = dict(_computations(program))
    entry = next((name for name in bodies if name.startswith("ENTRY ")), None)
    found = [] if entry is None else list(_walk(bodies, entry, ()))
    return sorted(found, key=lambda each: -len(each.loops))


def _computations(program: str) -> Iterator[tuple[str, list[str]]]:
    """Yields the name and the lines of each computation; the entry's name begins with ENTRY."""
    name, lines = "", []
    for line in program.splitlines():
        if header := re.match(r"(ENTRY )?%([\w.\-]+) \(.*\{$", line):
            name, lines = (header[1] or "") + header[2], []
        elif line.startswith("}"):
            yield name, lines
        else:
            lines.append(line)


def _walk(bodies: dict[str, list[str]], name: str, loops: tuple[int | None, ...]) -> Iterator[Collective]:
    for line in bodies.get(name, []):
        if found := _INSTRUCTION.search(line):
            result, kind, is_start = found.groups()
            num_bytes = _num_bytes(_result_of(result, kind) if is_start else result)
            yield Collective(kind, num_bytes, _num_devices(line, kind), loops)
            continue
        around = loops
        if re.search(r" while\(", line):
            trips = _TRIPS.search(line)
            around = (*loops, int(trips[1]) if trips else None)
        lists = [called.strip().lstrip("%") for names in _CALLED_LISTS.findall(line) for called in names.split(",")]
        for called in (*_CALLED.findall(line), *lists):
            yield from _walk(bodies, called, around)


def _result_of(start: str, kind: str) -> str:
    """Returns the result's part of the type of an asynchronous start, which holds the operands too."""
    if kind in ("all-reduce", "reduce-scatter", "all-to-all") and not start.startswith("(("):
        return start
    arrays = re.findall(r"\w+\[[\d,]*\]", start)
    arrays = [each for each in arrays if not each.endswith("[]")] or arrays  # without a permute's contexts
    return " ".join(arrays[len(arrays) // 2 :])


def _num_bytes(result: str) -> int:
    return sum(
        math.prod(int(size) for size in sizes.split(",") if size) * _BYTES.get(dtype, _bits(dtype) // 8)
        for dtype, sizes in re.findall(r"(\w+)\[([\d,]*)\]", result)
    )


def _bits(dtype: str) -> int:
    return int((re.search(r"\d+$", dtype) or ["8"])[0])


def _num_devices(line: str, kind: str) -> int:
    """Returns how many devices exchange with each other, in any of the forms in which HLO writes it."""
    if kind == "collective-permute":
        return 2
    if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", line):
        return len(listed[1].split(","))
    if iota := re.search(r"replica_groups=\[(\d+),(\d+)\]<=", line):
        return int(iota[2])
    if mesh := re.search(r"replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}", line):
        sizes = {name: int(size) for name, size in re.findall(r"'(\w+)'=(\d+)", mesh[1])}
        return math.prod(sizes.get(name, 1) for name in re.findall(r"'(\w+)'", mesh[2]))
    return 1
