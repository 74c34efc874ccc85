"""Reading a part of a checkpoint, the params say, without a lock: what evaluating and predicting need."""

from typing import Any

import jax
import orbax.checkpoint as ocp

from recurrent.training.checkpoint import Checkpoints
from recurrent.training.manifest import Damaged, Manifest, refuse_misfit

__all__ = ["restore_newest"]


def restore_newest(checkpoints: Checkpoints, like: Any, within: str = "params") -> tuple[Any, Manifest]:
    """Reads one part of the newest checkpoint in a folder, without touching the folder; returns its manifest too.

    A run that is still going may delete the step that is being read; then the one that took its place is read.

    Args:
        like: the part as it should be: structure, shapes and dtypes.
        within: its name in the state.

    Raises:
        FileNotFoundError: the folder holds no checkpoint.
        ValueError: the checkpoint is damaged, or doesn't fit.
    """
    while steps := checkpoints.sealed_steps():
        try:
            return _restore_part(checkpoints, steps[-1], like, within)
        except ValueError:
            if steps[-1] in checkpoints.sealed_steps():
                raise
    raise FileNotFoundError(f"{checkpoints.folder} holds no checkpoint.")


def _restore_part(checkpoints: Checkpoints, step: int, like: Any, within: str) -> tuple[Any, Manifest]:
    path = checkpoints.path(step)
    try:
        manifest = checkpoints.check(step)
    except Damaged as error:
        raise Damaged(f"{path} is damaged: {error}.") from error
    refuse_misfit(path, manifest, like, f"{within}/")
    # The device is named, since the one it was saved from may not be here.
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    target = {within: jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), like)}
    restore = ocp.args.PyTreeRestore(
        item=target, restore_args=ocp.checkpoint_utils.construct_restore_args(target), partial_restore=True
    )
    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            restored = checkpointer.restore(path, args=restore)
    except Exception as error:  # Orbax raises many kinds
        raise ValueError(f"{path} can't be restored: {error}") from error
    return restored[within], manifest
