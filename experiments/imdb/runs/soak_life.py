"""One life of a run that is killed: its processes are started, and one of them is killed with SIGKILL."""

import random
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.local_cluster import free_port

__all__ = ["Soak", "live_and_die", "newest_step", "start", "wait"]

MOST_SECONDS = 60.0
"""How long other processes may go on after one was killed."""
CONNECT_SECONDS = 20
_NAMED = "Start all processes again to resume."


class Soak(NamedTuple):
    """The settings of a soak."""

    kills: int
    command: Callable[[Path], Sequence[str]]  # a run's folder -> the command that trains there
    seed: int  # of the moments of the kills
    folder: Path  # of both runs
    start_seconds: float  # a process that has not saved yet is killed within this time
    environment: Mapping[str, str] | None = None  # of the processes; this one's by default
    later_seconds: float = 0.4  # a process that has saved its last step is killed within this time
    processes: int = 1  # that train the run together; one of them is killed


class Started(NamedTuple):
    """A process of a run, and the file that its errors go to."""

    process: subprocess.Popen[bytes]
    errors: Path | None  # its own, of several processes


def start(plan: Soak, path: Path) -> list[Started]:
    """Starts all processes of a run."""
    joined: list[list[str]] = [[]]
    if plan.processes > 1:
        of_all = [f"--coordinator=127.0.0.1:{free_port()}", f"--num-processes={plan.processes}"]
        of_all.append(f"--connect-seconds={CONNECT_SECONDS}")
        joined = [[*of_all, f"--process-id={index}"] for index in range(plan.processes)]
    return [_start_one(plan, path, index, options) for index, options in enumerate(joined)]


def _start_one(plan: Soak, path: Path, index: int, options: Sequence[str]) -> Started:
    command, pipes = [*plan.command(path), *options], {"stdout": subprocess.DEVNULL, "env": plan.environment}
    if plan.processes == 1:
        return Started(subprocess.Popen(command, **pipes), None)
    plan.folder.mkdir(parents=True, exist_ok=True)
    errors = plan.folder / f"errors_of_process_{index}.txt"
    with errors.open("wb") as file:
        return Started(subprocess.Popen(command, stderr=file, **pipes), errors)


def wait(started: Sequence[Started]) -> int:
    """Waits for all processes of a run, and returns the first exit code that is not 0."""
    codes = [each.process.wait() for each in started]
    return next((code for code in codes if code), 0)


def live_and_die(plan: Soak, path: Path, draw: random.Random, steps: float) -> dict[str, Any] | None:
    """Starts the processes and kills one; returns None if they ended before.

    Args:
        plan: the settings.
        path: the run's folder.
        draw: the random generator.
        steps: how many it should take at most; half as many on average.

    Raises:
        RuntimeError: a process ended with an error before, or another one did not end after the kill.
    """
    before, begun = newest_step(path), time.perf_counter()
    started = start(plan, path)
    is_early = draw.random() < 0.5 or steps == 0
    deadline = begun + draw.uniform(0, plan.start_seconds) if is_early else float("inf")
    target = before + max(1, round(draw.uniform(0, steps)))
    index = draw.randrange(plan.processes) if plan.processes > 1 else 0
    while all(each.process.poll() is None for each in started) and time.perf_counter() < deadline:
        if not is_early and deadline == float("inf") and newest_step(path) >= target:
            deadline = time.perf_counter() + draw.uniform(0, plan.later_seconds)
        time.sleep(0.005)
    failed = [each for each in started if each.process.poll()]
    started[index].process.kill()
    code = started[index].process.wait()
    others = _end_of_others(started, index)
    if failed or code not in (0, -9):
        each = failed[0] if failed else started[index]
        raise RuntimeError(f"A run ended with {each.process.returncode} before it was killed.{_last_words(each)}")
    if code == 0 or (others and not any(others["codes"])):
        return None
    unfinished = sorted(entry.name for entry in path.rglob("*tmp*") if entry.parent.parent.name == "checkpoints")
    seconds = round(time.perf_counter() - begun, 2)
    return {"seconds": seconds, "step": newest_step(path), "unfinished": unfinished, **others}


def _end_of_others(started: Sequence[Started], killed: int) -> dict[str, Any]:
    """Waits for the processes that were not killed; returns how long they took, and whether they say why they ended."""
    others = [each for index, each in enumerate(started) if index != killed]
    if not others:
        return {}
    since = time.perf_counter()
    try:
        for each in others:
            each.process.wait(max(0.0, since + MOST_SECONDS - time.perf_counter()))
    except subprocess.TimeoutExpired as error:
        for each in others:
            each.process.kill()
            each.process.wait()
        text = f"After process {killed} was killed, another one went on for {MOST_SECONDS:.0f} s."
        raise RuntimeError(text) from error
    words = [_last_words(each) for each in others]
    return {
        "killed": killed,
        "others_ended_after": round(time.perf_counter() - since, 1),
        "codes": [each.process.returncode for each in others],
        "named": all(_NAMED in text or "127.0.0.1:" in text for text in words),
    }


def _last_words(started: Started) -> str:
    """Returns the end of what a process wrote to its standard error."""
    if started.errors is None:
        return ""
    return " " + started.errors.read_text(encoding="utf-8", errors="replace")[-2000:].strip()


def newest_step(path: Path) -> int:
    """Returns the newest step that has a seal, 0 for none."""
    seals = path / "checkpoints" / "manifests" / "latest"
    return max((int(file.stem) for file in seals.glob("*.json") if file.stem.isdigit()), default=0)
