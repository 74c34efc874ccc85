"""The cost of a data-parallel training step, as a sum of three parts::

    compute  = crowd x (step + shard x shards of a device + example x examples of a device)
    memory   = crowd x (2 x shards + 5) x bytes of the params / memory rate
    exchange = latency x log2(processes) + crowd x received bytes / link rate

`crowd` is the number of devices that share a core, at least 1. Memory: a device writes and reads the gradients of all
shards, and the optimizer reads params, average and gradient, and writes two of them. Devices of one process exchange
through memory, so their exchange is part of it. Exchange: the latency and the bytes of an all-gather by recursive
doubling (Thakur, Rabenseifner & Gropp 2005).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.speed.scaling.points import Point
from experiments.speed.scaling.results import Measured, Scaling

__all__ = ["Parts", "Rates", "columns", "fit", "predict", "residuals"]


class Rates(NamedTuple):
    """The constants, all in seconds; those that a fit can't see are 0."""

    step: float  # of any step
    shard: float  # of a shard, however few examples it has: the time axis is serial
    example: float
    memory_byte: float
    latency: float  # of a message between processes
    link_byte: float  # between processes


class Parts(NamedTuple):
    """Seconds of a step."""

    compute: float
    memory: float
    exchange: float


def columns(point: Point, param_bytes: int, num_cores: int) -> tuple[float, ...]:
    """Returns what each constant is multiplied by.

    >>> columns(Point(devices=4, processes=4, shards=8, batch=128), param_bytes=100, num_cores=2)
    (2.0, 4.0, 64.0, 4200.0, 2.0, 1200.0)
    """
    crowd = max(1.0, point.devices / num_cores)
    own = (crowd, crowd * point.shards / point.devices, crowd * point.batch / point.devices)
    moved = crowd * (2 * point.shards + 5) * param_bytes
    received = param_bytes * point.shards * (1 - 1 / point.processes)
    return (*own, moved, math.log2(point.processes), crowd * received)


def predict(rates: Rates, point: Point, param_bytes: int, num_cores: int) -> Parts:
    """Returns the parts of a step's time."""
    step, shard, example, memory, latency, link = np.multiply(columns(point, param_bytes, num_cores), rates).tolist()
    return Parts(step + shard + example, memory, latency + link)


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
