"""Kills a training run over and over with SIGKILL, and compares what it ends with to a run that was never killed.

    scripts/imdb soak --kills 200

Half of the kills come while a process starts, reads, restores or compiles, half after it has saved a checkpoint. Their
moments are random and spread over the whole run.
"""

import json
import random
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from recurrent.training.checkpoints.folder import Checkpoints

__all__ = ["Soak", "compare_runs", "newest_step", "soak"]

OnKill = Callable[[int, dict[str, Any]], None]
"""Called with the number of a kill, and a description of it."""


class Soak(NamedTuple):
    """The settings of a soak."""

    kills: int
    command: Callable[[Path], Sequence[str]]  # a run's folder -> the command that trains there
    seed: int  # of the moments of the kills
    folder: Path  # of both runs
    start_seconds: float  # a process that has not saved yet is killed within this time
    environment: Mapping[str, str] | None = None  # of the processes; this one's by default
    later_seconds: float = 0.4  # a process that has saved its last step is killed within this time


def soak(plan: Soak, on_kill: OnKill = lambda number, life: None) -> dict[str, Any]:
    """Trains once without and once with kills, in the folders `whole` and `killed`; returns statistics of the kills.

    Raises:
        ValueError: the folder holds an earlier soak.
        RuntimeError: a run ended with an error, or processes ended too soon to be killed.
    """
    whole, killed = plan.folder / "whole", plan.folder / "killed"
    if killed.exists():
        raise ValueError(f"{killed} exists already: remove it, so that the kills spread over a whole run.")
    if code := _start(plan, whole).wait():
        raise RuntimeError(f"The run that was not killed ended with {code}.")
    num_steps = json.loads((whole / "records.jsonl").read_text().splitlines()[-1])["step"]
    return _summarise(plan, _kill_often(plan, killed, num_steps, on_kill))


def _kill_often(plan: Soak, path: Path, num_steps: int, on_kill: OnKill) -> list[dict[str, Any]]:
    draw, lives, misses = random.Random(plan.seed), [], 0
    while len(lives) < plan.kills:
        # Every second process takes steps, on average half of `share`, so the kills spread over the whole run.
        share = 4 * max(0, num_steps - newest_step(path)) / (plan.kills - len(lives))
        life = _live_and_die(plan, path, draw, share)
        if life is not None:
            lives.append(life)
            on_kill(len(lives), life)
        elif misses == plan.kills:
            raise RuntimeError(f"{misses} processes ended before they were killed.")
        else:
            misses += 1
    if code := _start(plan, path).wait():
        raise RuntimeError(f"The last process ended with {code}.")
    return lives


def _live_and_die(plan: Soak, path: Path, draw: random.Random, steps: float) -> dict[str, Any] | None:
    """Starts a process and kills it; returns None if it ended before.

    Args:
        plan: the settings.
        path: the run's folder.
        draw: the random generator.
        steps: how many it should take at most; half as many on average.
    """
    before, start = newest_step(path), time.perf_counter()
    process = _start(plan, path)
    is_early = draw.random() < 0.5 or steps == 0
    deadline = start + draw.uniform(0, plan.start_seconds) if is_early else float("inf")
    target = before + max(1, round(draw.uniform(0, steps)))
    while process.poll() is None and time.perf_counter() < deadline:
        if not is_early and deadline == float("inf") and newest_step(path) >= target:
            deadline = time.perf_counter() + draw.uniform(0, plan.later_seconds)
        time.sleep(0.005)
    process.kill()
    code = process.wait()
    if code not in (0, -9):
        raise RuntimeError(f"A run ended with {code} before it was killed.")
    if code == 0:
        return None
    unfinished = sorted(entry.name for entry in path.rglob("*tmp*") if entry.parent.parent.name == "checkpoints")
    seconds = round(time.perf_counter() - start, 2)
    return {"seconds": seconds, "step": newest_step(path), "unfinished": unfinished}


def _start(plan: Soak, path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(plan.command(path), stdout=subprocess.DEVNULL, env=plan.environment)


def newest_step(path: Path) -> int:
    """Returns the newest step that has a seal, 0 for none."""
    seals = path / "checkpoints" / "manifests" / "latest"
    return max((int(file.stem) for file in seals.glob("*.json") if file.stem.isdigit()), default=0)


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
    }
