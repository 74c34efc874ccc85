"""The measurement: trains each cell at each length from several seeds, as many at a time as there are devices.

On a CPU, every core is a device. On two cores, one training per core takes half the time of both cores on one training,
or of two trainings in one program: the matmuls of a step are too small to share.
"""

import datetime
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from threading import Event
from typing import Any, NamedTuple

import jax

import recurrent
from experiments.memory.contestants import CONTESTANTS
from experiments.memory.flow import measure_flow
from experiments.memory.results import Point, Run
from experiments.memory.settings import Settings
from experiments.memory.tasks import draw_batch
from experiments.memory.train import Trained, keys, make_task, train
from recurrent.training.streams import fixed_draws

__all__ = ["Training", "study"]


class Training(NamedTuple):
    """One of the trainings of a study."""

    cell: str
    length: int
    seed: int


def study(
    settings: Settings,
    wanted: list[tuple[str, int]],
    *,
    on_window: Callable[[Training, int, float], None],
    on_trained: Callable[[Training, Trained], None],
    should_stop: Callable[[], Any],
) -> Iterator[Point]:
    """Yields each cell at its length when all seeds are trained.

    Args:
        settings: of the measurement.
        wanted: cells and lengths.
        on_window: called after each window, from any thread, with the steps done and the window's mean loss.
        on_trained: called after each training, from any thread.
        should_stop: asked between windows.

    Raises:
        Stopped: `should_stop` returned true.
    """
    devices, is_over = SimpleQueue(), Event()
    for device in jax.local_devices():
        devices.put(device)

    def one(training: Training) -> Trained:
        with _one_of(devices) as device, jax.default_device(device):
            trained = train(
                settings,
                *training,
                on_window=partial(on_window, training),
                should_stop=lambda: is_over.is_set() or should_stop(),
            )
        on_trained(training, trained)
        return trained

    with ThreadPoolExecutor(devices.qsize()) as pool:
        try:
            futures = {
                pair: [pool.submit(one, Training(*pair, seed)) for seed in range(settings.seeds)] for pair in wanted
            }
            for (cell, length), of_seeds in futures.items():
                yield _point(settings, cell, length, [future.result() for future in of_seeds])
        finally:
            is_over.set()
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _one_of(free: SimpleQueue) -> Iterator[Any]:
    """Takes a free device, and returns it at the end."""
    device = free.get()
    try:
        yield device
    finally:
        free.put(device)


def _point(settings: Settings, cell: str, length: int, trained: list[Trained]) -> Point:
    """Gathers the seeds, and measures the gradients of each before and after training, on new sequences."""
    task = make_task(settings, length)
    with fixed_draws():
        examples = [draw_batch(task, keys(seed).flow, 0, settings.batch) for seed in range(settings.seeds)]
    measure = partial(measure_flow, recurrent.CELLS[CONTESTANTS[cell].cell], task)
    return Point(
        cell=cell,
        length=length,
        date=datetime.date.today().isoformat(),
        baseline=task.baseline,
        solved_below=task.solved_below,
        runs=[
            Run(seed, each.solved_at, round(each.seconds, 1), [float(f"{loss:.5g}") for loss in each.losses])
            for seed, each in enumerate(trained)
        ],
        before=measure([(each.before, batch) for each, batch in zip(trained, examples, strict=True)]),
        after=measure([(each.after, batch) for each, batch in zip(trained, examples, strict=True)]),
    )
