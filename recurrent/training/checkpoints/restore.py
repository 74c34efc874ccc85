"""Reads the weights in a checkpoint, without a lock, for evaluating and predicting."""

from typing import Any

from recurrent.training.checkpoints.fitting import Former, read_state, unchanged
from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.checkpoints.hashes import Corrupt
from recurrent.training.checkpoints.seal import Seal

__all__ = ["restore_weights"]


def restore_weights(checkpoints: Checkpoints, like: Any, former: Former = unchanged) -> tuple[Any, Seal]:
    """Reads the weights in the newest checkpoint of a folder, without writing to it; returns the seal too.

    The weights are the averaged params where the state has them, otherwise the params.

    A run that is still training may delete the step that is being read; then the newer step is read.

    Args:
        checkpoints: the folder.
        like: a tree of the structure, shapes and dtypes to expect.
        former: what their leaves were called in earlier checkpoints; paths such as params/head/kernel.

    Raises:
        FileNotFoundError: the folder holds no checkpoint.
        ValueError: the checkpoint is corrupt, or doesn't fit.
    """
    while steps := checkpoints.sealed_steps():
        try:
            return _restore_weights(checkpoints, steps[-1], like, former)
        except ValueError:
            if steps[-1] in checkpoints.sealed_steps():
                raise
    raise FileNotFoundError(f"{checkpoints.folder} holds no checkpoint.")


def _restore_weights(checkpoints: Checkpoints, step: int, like: Any, former: Former) -> tuple[Any, Seal]:
    path = checkpoints.path(step)
    try:
        seal = checkpoints.check(step)
    except Corrupt as error:
        raise Corrupt(f"{path} is corrupt: {error}.") from error
    within = "average/" if any(name.startswith("average/") for name in seal.tree) else "params/"
    return read_state(path, seal, like, within, former), seal
