"""Reading a part of a checkpoint, the params say, without a lock: what evaluating and predicting need."""

from typing import Any

from recurrent.training.checkpoints.fitting import Former, read_state, unchanged
from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.checkpoints.seal import Damaged, Manifest

__all__ = ["restore_newest"]


def restore_newest(
    checkpoints: Checkpoints, like: Any, within: str = "params", former: Former = unchanged
) -> tuple[Any, Manifest]:
    """Reads one part of the newest checkpoint in a folder, without touching the folder; returns its manifest too.

    A run that is still going may delete the step that is being read; then the one that took its place is read.

    Args:
        like: the part as it should be: structure, shapes and dtypes.
        within: its name in the state.
        former: what its leaves were called in earlier checkpoints; of whole paths, such as params/head/kernel.

    Raises:
        FileNotFoundError: the folder holds no checkpoint.
        ValueError: the checkpoint is damaged, or doesn't fit.
    """
    while steps := checkpoints.sealed_steps():
        try:
            return _restore_part(checkpoints, steps[-1], like, within, former)
        except ValueError:
            if steps[-1] in checkpoints.sealed_steps():
                raise
    raise FileNotFoundError(f"{checkpoints.folder} holds no checkpoint.")


def _restore_part(checkpoints: Checkpoints, step: int, like: Any, within: str, former: Former) -> tuple[Any, Manifest]:
    path = checkpoints.path(step)
    try:
        manifest = checkpoints.check(step)
    except Damaged as error:
        raise Damaged(f"{path} is damaged: {error}.") from error
    return read_state(path, manifest, like, f"{within}/", former), manifest
