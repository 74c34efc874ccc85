"""The loggers of a run, by name: what they write lies in the run's folder."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from recurrent.training import loggers

__all__ = ["log_to"]


@contextlib.contextmanager
def log_to(names: Sequence[str], is_profiled: bool, path: Path) -> Iterator[Callable[[Any], None]]:
    """Yields a function that passes an event to all loggers of a run.

    Args:
        names: of tensorboard, wandb and mlflow.
        is_profiled: whether to trace some steps, into the folder profile.
        path: the run's folder.

    Raises:
        ModuleNotFoundError: a logger's library is not installed; says how to install it.
    """
    with contextlib.ExitStack() as stack:
        logs = [stack.enter_context(_make(name, path)) for name in dict.fromkeys(names)]
        if is_profiled:
            logs.append(stack.enter_context(loggers.profile(path / "profile")))

        def log(event: Any) -> None:
            for each in logs:
                each(event)

        yield log


def _make(name: str, path: Path) -> contextlib.AbstractContextManager[Callable[[Any], None]]:
    folder = path.absolute() / name
    if name == "tensorboard":
        return loggers.tensorboard(folder)
    if name == "wandb":
        return loggers.wandb(folder, project="imdb", name=path.name)
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    return loggers.mlflow(uri or folder.as_uri(), experiment="imdb", run=path.name)
