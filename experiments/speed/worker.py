"""One contestant in a process of its own: reads one command per line, writes one JSON object per line.

Separate processes separate thread pools, allocators and flags. A contestant waits for its turn by reading its pipe.
"""

import importlib
import importlib.metadata
import json
import os
import sys
import time
from typing import Any

from experiments.machine import num_cores, start_jax
from experiments.speed.contestants import CONTESTANTS, LeftOut
from experiments.speed.devices import Engine, device_name, engine_version, measure_memory
from experiments.speed.settings import allocator
from experiments.speed.task import Task, block, weights

__all__ = ["serve"]


def serve(name: str, task: Task) -> None:
    """Writes versions, device and settings; then answers `train TURN` and `predict TURN`, or `memory 0`.

    If the contestant can't take part here, it writes why and ends. `memory` needs a fresh process.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to standard error
    engine = CONTESTANTS[name].engine
    if engine == "jax":
        _start_jax(task, keeps_memory=name != "fused")  # at its best, as each other one is
    module = importlib.import_module(f"experiments.speed.contestants.{name}")
    settings = f"{module.start()}, {allocator()}" if hasattr(module, "start") else ""
    try:
        contestant = module.make(task, weights(task))
    except LeftOut as reason:
        print(json.dumps({"left_out": str(reason)}), file=answers)
        return
    introduction = {
        "version": _version(module.PACKAGE),
        "engine": f"{engine} {engine_version(engine)}",
        "device": device_name(engine),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "settings": settings,
    }
    print(json.dumps(introduction), file=answers)
    for line in sys.stdin:
        command, turn = line.split()
        answer = _memory(contestant, engine, task) if command == "memory" else _timed(contestant, command, task, turn)
        print(json.dumps(answer), file=answers)


def _version(package: str) -> str:
    """Returns the version of a package; this one may be a checkout that is not installed."""
    if package != "recurrent-jax":
        return importlib.metadata.version(package)
    import recurrent

    return recurrent.__version__


def _start_jax(task: Task, keeps_memory: bool = True) -> None:
    """Starts JAX with each core as a device, where the task does not ask for JAX as it comes.

    Peers use one device, with threads on all cores, as by default.
    """
    if task.start == "tuned":
        start_jax(num_cpu_devices=num_cores(), keeps_memory=keeps_memory)
    import jax

    jax.config.update("jax_enable_compilation_cache", False)  # else the first turn would be fast in a second run


def _timed(contestant: Any, command: str, task: Task, turn: str) -> dict[str, Any]:
    data = block(task, int(turn))
    start = time.perf_counter()
    result = getattr(contestant, command)(data)
    seconds = time.perf_counter() - start
    per_step = seconds / (task.steps if command == "train" else 1)
    return {"seconds": per_step, "result": result if command == "train" else result.tolist()}


def _memory(contestant: Any, engine: Engine, task: Task) -> dict[str, Any]:
    first, again = block(task, 0), block(task, 1)
    return measure_memory(engine, lambda: contestant.train(first), lambda: contestant.train(again))._asdict()


if __name__ == "__main__":
    serve(sys.argv[1], Task(**json.loads(sys.argv[2])))
