"""The points of the suite: over how many devices and processes a step is spread, and in how many shards."""

from typing import NamedTuple

__all__ = ["NUM_SHARDS", "Point", "caveat", "cores_of", "points"]

NUM_SHARDS = 8


class Point(NamedTuple):
    """Devices of all processes together, processes with as many devices each, and shards of a batch."""

    devices: int
    processes: int
    shards: int
    batch: int

    def __str__(self) -> str:
        """Returns it in words."""
        places = f"{self.processes} processes" if self.processes > 1 else _plural(self.devices, "device")
        return f"{places}, {_plural(self.shards, 'shard')}, batch {self.batch}"


def points(batch: int) -> list[Point]:
    """Returns the points of a batch.

    They are 8 shards on any number of devices; 2 shards, as `scripts/imdb train` cuts a batch on a CPU; and one shard
    of two sizes, for the cost of a shard and of an example.

    Raises:
        ValueError: the batch can't be cut into so many shards.
    """
    if batch < 1 or batch % NUM_SHARDS:
        raise ValueError(f"--batch must be a multiple of the {NUM_SHARDS} shards, not {batch}.")
    return [
        *(Point(count, 1, NUM_SHARDS, batch) for count in (1, 2, 4, 8)),
        *(Point(count, count, NUM_SHARDS, batch) for count in (2, 4)),
        *(Point(count, 1, 2, batch) for count in (1, 2)),
        Point(2, 2, 2, batch),
        *(Point(1, 1, 1, size) for size in (batch // NUM_SHARDS, batch)),
    ]


def cores_of(point: Point, process: int, cores: list[int]) -> list[int]:
    """Returns the cores that a process of a point may use: one for each device, as far as there are so many.

    Without this a device alone would use all cores, and another device would change nothing.

    >>> cores_of(Point(8, processes=1, shards=8, batch=8), 0, [0, 1]), cores_of(Point(4, 4, 8, 8), 3, [0, 1])
    ([0, 1], [1])
    """
    own = point.devices // point.processes
    return sorted({cores[(process * own + index) % len(cores)] for index in range(own)})


def caveat(num_cores: int) -> str:
    """Returns what the times show and what they do not."""
    return (
        f"Each device has one core, as far as there are cores: {num_cores} here. Beyond {num_cores} devices the times "
        "show what more devices cost, not what they save. All devices share one memory."
    )


def _plural(count: int, name: str) -> str:
    return f"{count} {name}" + ("" if count == 1 else "s")
