"""One contestant in a process of its own: reads a command a line, answers a JSON object a line.

Own processes keep thread pools, allocators and flags apart; a contestant that waits for its turn sleeps on its pipe.
"""

import importlib
import importlib.metadata
import json
import os
import sys
import time
from typing import Any

from experiments.platform import start_jax
from experiments.speed.task import Task, block, weights

__all__ = ["serve"]


def serve(name: str, task: Task) -> None:
    """Answers `train TURN`, `predict TURN` and, first, a line that introduces the contestant."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is no answer
    if name != "pytorch":
        start_jax(num_cpu_devices=len(os.sched_getaffinity(0)))
    module = importlib.import_module(f"experiments.speed.contestants.{name}")
    contestant = module.make(task, weights(task))
    print(json.dumps({"version": importlib.metadata.version(module.PACKAGE)}), file=answers)
    for line in sys.stdin:
        command, turn = line.split()
        print(json.dumps(_timed(contestant, command, task, int(turn))), file=answers)


def _timed(contestant: Any, command: str, task: Task, turn: int) -> dict[str, Any]:
    data = block(task, turn)
    start = time.perf_counter()
    result = getattr(contestant, command)(data)
    seconds = time.perf_counter() - start
    per_step = seconds / (task.steps if command == "train" else 1)
    return {"seconds": per_step, "result": result if command == "train" else result.tolist()}


if __name__ == "__main__":
    serve(sys.argv[1], Task(**json.loads(sys.argv[2])))
