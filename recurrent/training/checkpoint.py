"""Training states on disk, through Orbax: the latest few, and the best one, in two folders that never evict each other.

Saves are synchronous. An asynchronous one is lost when the process ends on an exception or a signal, and saves next to
no time at these sizes.
"""

import shutil
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from recurrent.training.state import TrainState

__all__ = ["Checkpoints", "abstract"]


def abstract(state: TrainState) -> TrainState:
    """Returns the shapes, dtypes and shardings of a state: what a restore has to fit into."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), state)


class Checkpoints:
    """The steps in one folder, a sub-folder each; complete or not there at all (Orbax renames them into place)."""

    def __init__(self, folder: Path, keep: int) -> None:
        """Opens the folder, clearing away what killed saves left behind; only safe under the run's lock.

        Args:
            keep: how many steps to keep; the oldest go first.
        """
        self.folder = folder.absolute()
        # Not Orbax' own clearing: it runs in a thread that a process which ends at once leaves with a traceback.
        for unfinished in self.folder.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(unfinished)
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def steps(self) -> list[int]:
        """Lists the steps that are there, oldest first."""
        return sorted(self._manager.all_steps())

    def save(self, state: TrainState) -> None:
        """Saves a state under its step; a step that is there already is the same state, and stays.

        Raises:
            RuntimeError: nothing was saved.
        """
        step = int(state.step)
        if step in self.steps():
            return
        if not self._manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(state))):
            raise RuntimeError(f"Orbax did not save step {step} in {self.folder}, where {self.steps()} are.")

    def restore(self, like: TrainState, step: int) -> TrainState:
        """Restores a step.

        Args:
            like: a state, or its `abstract`, of the structure, shapes and dtypes to expect.

        Raises:
            ValueError: the checkpoint can't be read, or doesn't fit.
        """
        target = ocp.args.Composite(state=ocp.args.StandardRestore(like))
        try:
            restored: Any = self._manager.restore(step, args=target)
        except Exception as error:  # Orbax raises many kinds; each means that this step is of no use
            raise ValueError(f"{self.folder / str(step)} can't be restored: {error}") from error
        return restored.state

    def drop_after(self, step: int) -> None:
        """Deletes the steps beyond one: a run that goes on from there will make them again."""
        for later in self.steps():
            if later > step:
                self._manager.delete(later)

    def close(self) -> None:
        """Releases what Orbax holds."""
        self._manager.close()


def restore_params(folder: Path, like: Any) -> tuple[Any, int]:
    """Reads the params alone of the newest checkpoint in a folder, without touching the folder; returns its step too.

    Args:
        like: params of the structure, shapes and dtypes to expect.

    Raises:
        FileNotFoundError: the folder holds no checkpoint.
        ValueError: the checkpoint can't be read, or doesn't fit.
    """
    steps = sorted(int(entry.name) for entry in folder.glob("*") if entry.name.isdigit())
    if not steps:
        raise FileNotFoundError(f"{folder} holds no checkpoint yet: the first is saved at the end of the first epoch.")
    path = folder.absolute() / str(steps[-1]) / "state"
    # The device is named, since the one it was saved from may not be here.
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    target = {"params": jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), like)}
    restore = ocp.args.PyTreeRestore(
        item=target, restore_args=ocp.checkpoint_utils.construct_restore_args(target), partial_restore=True
    )
    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            restored = checkpointer.restore(path, args=restore)
    except Exception as error:  # Orbax raises many kinds
        raise ValueError(f"{path} can't be restored: {error}") from error
    return restored["params"], steps[-1]
