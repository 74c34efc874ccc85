"""The cost of a data-parallel training step, as a sum of three parts::

    compute  = crowd x (shard x shards of a device + example x examples of a device)
    memory   = crowd x bytes that a device moves / memory rate
    exchange = collectives x (near latency x log2(devices of a process) + far latency x log2(processes))
               + crowd x bytes that a device receives from other processes / link rate

`crowd` is the number of devices that share a core, at least 1. Devices of one process exchange bytes through memory. A
latency includes the wait for the slowest device. With P bytes of params, S shards and D devices, `recurrent.training`
adds the shards' gradients in one of two ways::

    gather   a device gets all shards: receives (1 - 1/D) S P, writes and reads S P
    slices   a device gets its slice of all shards, then the others' sums: receives (1 - 1/D) (S/D + 1) P, writes and
             reads S/D P, and writes P

The optimizer moves 5 P more: it reads params, average and gradient, and writes two of them. Latencies are those of
recursive doubling (Thakur, Rabenseifner & Gropp 2005).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.speed.scaling.points import Point
from experiments.speed.scaling.results import Measured, Scaling

__all__ = ["OPTIMIZER_MOVES", "Parts", "Rates", "columns", "fit", "is_sliced", "predict", "residuals"]

OPTIMIZER_MOVES = 5


class Rates(NamedTuple):
    """The constants, all in seconds; those that a fit can't see are 0."""

    shard: float  # of a shard, however few examples it has: the time axis is serial
    example: float
    memory_byte: float
    near_latency: float  # between devices of a process
    far_latency: float  # between processes
    link_byte: float  # between processes


class Parts(NamedTuple):
    """Seconds of a step."""

    compute: float
    memory: float
    exchange: float


def columns(point: Point, param_bytes: int, num_cores: int) -> tuple[float, ...]:
    """Returns what each constant is multiplied by.

    >>> columns(Point(devices=4, processes=2, shards=8, batch=128), param_bytes=100, num_cores=2)
    (4.0, 64.0, 2000.0, 2.0, 2.0, 300.0)
    """
    crowd = max(1.0, point.devices / num_cores)
    own_shards = point.shards / point.devices
    moved, received, collectives = 2.0 * point.shards, float(point.shards), 1
    if is_sliced(point.shards, point.devices):
        moved, received, collectives = 2 * own_shards + 1, own_shards + 1, 2
    return (
        crowd * own_shards,
        crowd * point.batch / point.devices,
        crowd * (moved + OPTIMIZER_MOVES) * param_bytes,
        collectives * math.log2(point.devices / point.processes),
        collectives * math.log2(point.processes),
        crowd * (1 - 1 / point.processes) * received * param_bytes,
    )


def is_sliced(num_shards: float, num_devices: int) -> bool:
    """Returns whether devices add slices: where they receive fewer bytes than all shards."""
    return num_shards > num_shards / num_devices + 1


def predict(rates: Rates, point: Point, param_bytes: int, num_cores: int) -> Parts:
    """Returns the parts of a step's time."""
    shard, example, memory, *exchange = np.multiply(columns(point, param_bytes, num_cores), rates).tolist()
    return Parts(shard + example, memory, sum(exchange))


def fit(scaling: Scaling) -> Rates:
    """Returns the constants that fit the measured times best: least squares of relative errors, none below 0."""
    from scipy.optimize import nnls

    seconds = np.array([each.seconds for each in scaling.points])
    table = np.array([_columns(scaling, each) for each in scaling.points]) / seconds[:, None]
    scale = table.max(axis=0)  # bytes and steps differ by many powers of ten
    scale[scale == 0] = 1
    found, _ = nnls(table / scale, np.ones(len(seconds)))
    return Rates(*(found / scale).tolist())


def residuals(scaling: Scaling, rates: Rates) -> Sequence[float]:
    """Returns by which share of the measured time the model errs, for each point."""
    predicted = [sum(np.multiply(_columns(scaling, each), rates).tolist()) for each in scaling.points]
    return [own / each.seconds - 1 for own, each in zip(predicted, scaling.points, strict=True)]


def _columns(scaling: Scaling, measured: Measured) -> tuple[float, ...]:
    return columns(measured.point, measured.param_bytes, scaling.machine["cores"])
