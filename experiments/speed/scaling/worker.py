"""One process of a point: reads one command per line, writes one JSON object per line."""

import json
import os
import sys
import time
from typing import Any

from experiments.cluster import asked
from experiments.machine import start_jax
from experiments.processes import joined
from experiments.speed.scaling.points import Point
from experiments.speed.task import Task, block, weights

__all__ = ["serve"]

CONNECT_SECONDS = 100


def serve(point: Point, task: Task, cores: list[int]) -> None:
    """Writes what the compiled step exchanges, then answers `train TURN` until its input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to standard error
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    start_jax("cpu", point.devices // point.processes, cluster=asked(None, None, None, CONNECT_SECONDS))
    with joined():
        _answer(point, task, answers)


def _answer(point: Point, task: Task, answers: Any) -> None:
    import jax

    from experiments.imdb.training.backend import choose_backend
    from experiments.speed.contestants.ours import Ours
    from recurrent.collectives import collectives

    ours = Ours(task, weights(task), num_shards=point.shards)
    if ours.mesh.size != point.devices:
        raise ValueError(f"{point}: the steps run on {ours.mesh.size} devices.")
    exchanged = collectives(jax.jit(ours.steps), ours.state, *ours.arguments(block(task, 0)))
    introduction = {
        "backend": choose_backend(ours.recipe).name,
        "param_bytes": sum(leaf.nbytes for leaf in jax.tree.leaves(ours.state.params)),
        # Those within the loop over steps.
        "collectives": [each._asdict() | {"sent_bytes": each.sent_bytes} for each in exchanged if each.loops],
    }
    print(json.dumps(introduction), file=answers)
    for line in sys.stdin:
        print(json.dumps(_timed(ours, task, int(line.split()[1]))), file=answers)


def _timed(ours: Any, task: Task, turn: int) -> dict[str, float]:
    from jax.experimental import multihost_utils

    arguments = ours.arguments(block(task, turn))
    multihost_utils.sync_global_devices("turn")  # all processes begin at once
    start = time.perf_counter()
    loss = ours.take_steps(arguments)
    return {"seconds": (time.perf_counter() - start) / task.steps, "loss": loss}


if __name__ == "__main__":
    serve(Point(**json.loads(sys.argv[1])), Task(**json.loads(sys.argv[2])), json.loads(sys.argv[3]))
