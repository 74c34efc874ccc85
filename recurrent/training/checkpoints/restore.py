"""Reads a part of a checkpoint, such as the params, without a lock, for evaluating and predicting."""

from typing import Any

from recurrent.training.checkpoints.fitting import Former, read_state, unchanged
from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.checkpoints.hashes import Corrupt
from recurrent.training.checkpoints.seal import Seal

__all__ = ["restore_newest"]


def restore_newest(
    checkpoints: Checkpoints, like: Any, within: str = "params", former: Former = unchanged
) -> tuple[Any, Seal]:
    """Reads one part of the newest checkpoint in a folder, without writing to it; returns the seal too.

    A run that is still training may delete the step that is being read; then the newer step is read.

    Args:
        checkpoints: the folder.
        like: a tree of the structure, shapes and dtypes to expect.
        within: the part's name in the state.
        former: what its leaves were called in earlier checkpoints; paths such as params/head/kernel.

    Raises:
        FileNotFoundError: the folder holds no checkpoint.
        ValueError: the checkpoint is corrupt, or doesn't fit.
    """
    while steps := checkpoints.sealed_steps():
        try:
            return _restore_part(checkpoints, steps[-1], like, within, former)
        except ValueError:
            if steps[-1] in checkpoints.sealed_steps():
                raise
    raise FileNotFoundError(f"{checkpoints.folder} holds no checkpoint.")


def _restore_part(checkpoints: Checkpoints, step: int, like: Any, within: str, former: Former) -> tuple[Any, Seal]:
    path = checkpoints.path(step)
    try:
        seal = checkpoints.check(step)
    except Corrupt as error:
        raise Corrupt(f"{path} is corrupt: {error}.") from error
    return read_state(path, seal, like, f"{within}/", former), seal
