"""Kills a training run over and over with SIGKILL, and compares what it ends with to a run that was never killed.

    scripts/imdb soak --kills 200
    scripts/imdb soak --processes 2 --kills 20    one of two processes, which train the run together

Half of the kills come while a process starts, reads, restores or compiles, half after it has saved a checkpoint. Their
moments are random and spread over the whole run.
"""

import json
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.imdb.runs.soak_life import Soak, live_and_die, newest_step, start, wait
from recurrent.training.checkpoints.folder import Checkpoints

__all__ = ["Soak", "compare_runs", "newest_step", "soak"]

OnKill = Callable[[int, dict[str, Any]], None]
"""Called with the number of a kill, and a description of it."""


def soak(plan: Soak, on_kill: OnKill = lambda number, life: None) -> dict[str, Any]:
    """Trains once without and once with kills, in the folders `whole` and `killed`; returns statistics of the kills.

    Raises:
        ValueError: the folder holds an earlier soak.
        RuntimeError: a run ended with an error, or processes ended too soon to be killed.
    """
    whole, killed = plan.folder / "whole", plan.folder / "killed"
    if killed.exists():
        raise ValueError(f"{killed} exists already: remove it, so that the kills spread over a whole run.")
    if code := wait(start(plan, whole)):
        raise RuntimeError(f"The run that was not killed ended with {code}.")
    num_steps = json.loads((whole / "records.jsonl").read_text().splitlines()[-1])["step"]
    return _summarise(plan, _kill_often(plan, killed, num_steps, on_kill))


def _kill_often(plan: Soak, path: Path, num_steps: int, on_kill: OnKill) -> list[dict[str, Any]]:
    draw, lives, misses = random.Random(plan.seed), [], 0
    while len(lives) < plan.kills:
        # Every second process takes steps, on average half of `share`, so the kills spread over the whole run.
        share = 4 * max(0, num_steps - newest_step(path)) / (plan.kills - len(lives))
        life = live_and_die(plan, path, draw, share)
        if life is not None:
            lives.append(life)
            on_kill(len(lives), life)
        elif misses == plan.kills:
            raise RuntimeError(f"{misses} processes ended before they were killed.")
        else:
            misses += 1
    if code := wait(start(plan, path)):
        raise RuntimeError(f"The last process ended with {code}.")
    return lives


def compare_runs(one: Path, other: Path, like: Any) -> list[str]:
    """Compares records, and every leaf of the latest and the best checkpoints, bit for bit; lists the differences.

    Args:
        one: a run's folder.
        other: the other run's.
        like: a state of the runs' structure, shapes and dtypes.
    """
    differing = []
    if (one / "records.jsonl").read_bytes() != (other / "records.jsonl").read_bytes():
        differing.append("records.jsonl")
    for kind in ("latest", "best"):
        both = [Checkpoints(path / "checkpoints" / kind) for path in (one, other)]
        steps = [checkpoints.sealed_steps()[-1:] for checkpoints in both]
        if steps[0] != steps[1] or not steps[0]:
            differing.append(f"{kind}: step {steps[0]} and step {steps[1]}")
            continue
        states = [checkpoints.restore(checkpoints.check(steps[0][0]).step, like) for checkpoints in both]
        leaves = zip(*map(jax.tree_util.tree_leaves_with_path, states), strict=True)
        differing += [
            f"{kind}: {jax.tree_util.keystr(path)}"
            for (path, first), (_, second) in leaves
            if np.asarray(first).tobytes() != np.asarray(second).tobytes()
        ]
    return differing


def _summarise(plan: Soak, lives: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns statistics of the kills."""
    steps = [life["step"] for life in lives]
    return {
        "kills": plan.kills,
        "seed": plan.seed,
        "kills_that_left_a_save_unfinished": sum(1 for life in lives if life["unfinished"]),
        "kills_before_a_new_checkpoint": sum(1 for old, new in zip([0, *steps], steps, strict=False) if old == new),
        "seconds": round(sum(life["seconds"] for life in lives)),
        "step_after_each_kill": steps,
        **(_of_others(lives) if plan.processes > 1 else {}),
    }


def _of_others(lives: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns statistics of the processes that were not killed."""
    seconds = [life["others_ended_after"] for life in lives]
    return {
        "kills_of_process_0": sum(1 for life in lives if life["killed"] == 0),
        "seconds_until_the_others_ended": {"median": round(statistics.median(seconds), 1), "most": max(seconds)},
        "kills_that_the_others_did_not_name": sum(1 for life in lives if not life["named"]),
        "seconds_until_the_others_ended_after_each_kill": seconds,
    }
