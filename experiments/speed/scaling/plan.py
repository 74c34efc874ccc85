"""Carries the model to GPUs: what adding the gradients of all shards costs on many hosts, in three ways.

Each GPU has one shard of 128 examples, so the batch grows with the GPUs. P are the bytes of the params, D the GPUs, H
the hosts::

    gather    every GPU gets all D x P bytes and adds them in the shards' order
    slices    as `recurrent.training` does: all-to-all, add in the shards' order, all-gather
    tree      recursive halving, then doubling, over a binary tree of the shards: its bits depend on the shards alone,
              but for more than 3 shards they are others than those of the first two

A ring has D - H latencies within hosts and H - 1 between them, as NCCL's own model counts them. So has an all-to-all by
pairs. A tree has log2 of D, twice (Thakur, Rabenseifner & Gropp 2005).
"""

import math
from typing import Literal, NamedTuple

from experiments.speed.scaling.model import OPTIMIZER_MOVES, Parts

__all__ = ["CLUSTERS", "EXAMPLES", "PARAM_BYTES", "WAYS", "Cluster", "Way", "step_parts", "sum_parts", "texts_needed"]

Way = Literal["gather", "slices", "tree"]
WAYS: tuple[Way, ...] = ("gather", "slices", "tree")
PARAM_BYTES = 4 * (10_000 * 32 + (32 + 32 + 1) * 4 * 32 + 32 + 1)
"""Of the benchmark's LSTM, nearly all of it the embedding's."""
EXAMPLES = 128
"""Of a GPU."""


class Cluster(NamedTuple):
    """Hosts and their links. Assumptions: peaks of data sheets, NCCL's own latencies, and another library's time."""

    name: str
    host_link: float  # bytes a second that a host receives from others, all of its adapters together
    gpus_per_host: int = 8
    gpu_link: float = 450e9  # bytes a second that a GPU receives from others of its host: NVLink 4, one direction
    memory: float = 3.35e12  # bytes a second of an H100's memory
    near_latency: float = 3.4e-6  # seconds: NCCL's ring over NVLink, src/graph/tuning.cc
    far_latency: float = 9.6e-6  # the same over the network
    compute: float = 1.8e-3  # that of PyTorch's LSTM on an H100, as docs/costs.md has it


CLUSTERS = (
    Cluster("InfiniBand, 8 x 400 Gb/s a host", host_link=8 * 50e9),
    Cluster("Ethernet, 100 Gb/s a host", host_link=12.5e9),
)


def step_parts(cluster: Cluster, num_gpus: int, way: Way) -> Parts:
    """Returns the parts of a training step's time on whole hosts, or on a part of one."""
    moved, exchange = sum_parts(cluster, num_gpus, way)
    return Parts(cluster.compute, (moved + OPTIMIZER_MOVES * PARAM_BYTES) / cluster.memory, exchange)


def texts_needed(cluster: Cluster) -> float:
    """Returns the texts a second that a host must read, or its GPUs would wait for input.

    >>> round(texts_needed(CLUSTERS[0]), -3)
    569000.0
    """
    return cluster.gpus_per_host * EXAMPLES / cluster.compute


def sum_parts(cluster: Cluster, num_gpus: int, way: Way) -> tuple[float, float]:
    """Returns the bytes that a GPU's memory moves for a sum over all shards, and the seconds of its exchange.

    Raises:
        ValueError: the last host would have fewer GPUs than the others.

    >>> moved, seconds = sum_parts(CLUSTERS[1], 512, "gather")
    >>> f"{moved / 2e6:.0f} MB are gathered in {seconds * 1e3:.0f} ms"
    '672 MB are gathered in 56 ms'
    """
    own = min(num_gpus, cluster.gpus_per_host)
    if num_gpus % own:
        raise ValueError(f"{num_gpus} GPUs are not whole hosts of {own}.")
    hosts, rest = num_gpus // own, 1 - 1 / num_gpus
    slowest = min(cluster.gpu_link, cluster.host_link) if hosts > 1 else cluster.gpu_link
    ring = (num_gpus - hosts) * cluster.near_latency + (hosts - 1) * cluster.far_latency
    if way == "gather":
        return 2.0 * num_gpus * PARAM_BYTES, ring + rest * num_gpus * PARAM_BYTES / slowest
    # Of both: within a host over its links, between hosts over the adapters that its GPUs share.
    if way == "slices":
        far = (1 - 1 / hosts) * PARAM_BYTES * own / cluster.host_link
        near = (own - 1) / num_gpus * PARAM_BYTES / cluster.gpu_link
        return 3.0 * PARAM_BYTES, 2 * ring + near + far + rest * PARAM_BYTES / slowest
    latency = math.log2(own) * cluster.near_latency + math.log2(hosts) * cluster.far_latency
    near, far = (1 - 1 / own) * PARAM_BYTES / cluster.gpu_link, (1 - 1 / hosts) * PARAM_BYTES / cluster.host_link
    return 5.0 * PARAM_BYTES, 2 * (latency + near + far)
