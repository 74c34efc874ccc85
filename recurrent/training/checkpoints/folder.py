"""Training states on disk, through Orbax. A state counts once a seal with the hashes of its files stands beside it.

Saves are synchronous. An asynchronous save is lost when the process ends on an exception or a signal, and hardly saves
time at these sizes. Steps are kept, copied and deleted here and not by Orbax, which does not know the seals.
"""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recurrent.call.arguments import integer
from recurrent.training.atomic import sync_folder
from recurrent.training.checkpoints.fitting import Former, check_fit, read_state, unchanged
from recurrent.training.checkpoints.hashes import Corrupt, check_files, compare_files, hash_files
from recurrent.training.checkpoints.leaves import describe
from recurrent.training.checkpoints.plain import to_plain
from recurrent.training.checkpoints.seal import Seal, read_seal, write_seal
from recurrent.training.checkpoints.steps import COPIED, UNFINISHED, Steps
from recurrent.training.checkpoints.store import write_arrays
from recurrent.training.environment import versions

__all__ = ["Checkpoints"]

ROOM_BYTES = 128 << 10  # for the small files beside a state's arrays: descriptions, indices, the seal


class Checkpoints(Steps):
    """The checkpoints in one folder. Reading needs no lock; only one process may write."""

    def __init__(self, folder: Path, keep: int = 1) -> None:
        """Stores the arguments; nothing is touched.

        Args:
            folder: where the steps lie.
            keep: how many steps to keep; the oldest are deleted first.

        Raises:
            ValueError: `keep` is not an integer of at least 1.
        """
        super().__init__(folder)
        self._keep = integer("keep", keep, 1)  # a run without checkpoints can't be resumed

    def check(self, step: int) -> Seal:
        """Reads every byte of a step and returns its seal.

        Raises:
            Corrupt: it is not what was saved; says why.
        """
        seal = read_seal(self.seal_path(step))
        if seal.step != step:
            raise Corrupt(f"its seal is that of step {seal.step}")
        check_files(self.path(step), seal.files)
        return seal

    def seal(self, step: int) -> Seal:
        """Reads a step's seal, and not its files.

        Raises:
            Corrupt: it has no intact seal.
        """
        return read_seal(self.seal_path(step))

    def check_fit(self, step: int, like: Any, former: Former = unchanged) -> None:
        """Raises ValueError if `restore` would, without reading arrays."""
        check_fit(self.path(step), self.seal(step), like, former=former)

    def restore(self, step: int, like: Any, former: Former = unchanged) -> Any:
        """Restores a step that `check` has verified.

        Args:
            step: the step.
            like: a state of the structure, shapes, dtypes and shardings to expect.
            former: what its leaves were called in earlier checkpoints; see `fitting.Former`.

        Raises:
            ValueError: the checkpoint doesn't fit, or Orbax can't read it.
        """
        return read_state(self.path(step), read_seal(self.seal_path(step)), like, former=former)

    def save(self, step: int, state: Any, about: dict[str, Any] | None = None) -> None:
        """Saves a state. A step that is saved already is taken to be the same state, and stays.

        Args:
            step: the step.
            state: a tree of arrays: JAX's, NumPy's, typed keys, of any size and dtype that JAX has.
            about: what else to write into its seal, in JSON's types.

        Raises:
            ValueError: the step is not an integer of at least 0, or something in the state would not be restored
                unchanged; names it.
            FloatingPointError: a number in the state is NaN.
            OSError: it can't be saved, for example because the disk is full. Earlier steps stay as they are.
        """
        step = integer("step", step, 0)
        if self._is_saved(step):
            return
        tree = describe(state)
        # Arrays of the host: for those, Orbax writes no devices down, and takes half the time.
        arrays = to_plain(step, state)
        with self._saving(step):
            self._make_room(step, sum(array.nbytes for array in arrays))
            write_arrays(self.path(step), arrays)
            self._seal(step, Seal(step, hash_files(self.path(step), is_new=True), tree, about or {}, versions()))
        self._prune()

    def prepare(self, step: int, num_bytes: int) -> bool:
        """Clears the place of a step that several processes write; returns False if it is saved already.

        Raises:
            OSError: the disk has not so many bytes left.
        """
        step = integer("step", step, 0)
        if self._is_saved(step):
            return False
        with self._saving(step):
            self._make_room(step, num_bytes)
        return True

    def seal_new(self, step: int, seal: Seal) -> None:
        """Seals a step that several processes have written, and deletes the oldest one.

        Raises:
            OSError: the seal can't be written.
        """
        with self._saving(step):
            self._seal(step, seal)
        self._prune()

    def copy_from(self, other: "Checkpoints", step: int, about: dict[str, Any]) -> None:
        """Copies a step of another folder, and verifies every byte of the copy.

        Raises:
            Corrupt: it is not what was saved.
            OSError: it can't be written. What was here stays as it is.
        """
        if self._is_saved(step):
            return
        seal = read_seal(other.seal_path(step))
        unfinished_copy = self.folder / f"{step}{COPIED}"
        try:
            shutil.rmtree(self.path(step), ignore_errors=True)
            self._refuse_no_room(sum(file.stat().st_size for file in other.path(step).rglob("*")))
            shutil.copytree(other.path(step), unfinished_copy)
            compare_files(seal.files, hash_files(unfinished_copy, is_new=True))
            unfinished_copy.rename(self.path(step))
            self._seal(step, seal._replace(about=about, versions=versions()))
        except (OSError, Corrupt) as error:
            shutil.rmtree(unfinished_copy, ignore_errors=True)
            self._clear(step)
            raise error if isinstance(error, Corrupt) else self.not_saved(step, error) from error
        self._prune()

    def reseal(self, step: int, about: dict[str, Any]) -> None:
        """Replaces `about` in a step's seal.

        Raises:
            Corrupt: it has no intact seal.
        """
        seal = read_seal(self.seal_path(step))
        write_seal(self.seal_path(step), seal._replace(about=about))

    def _is_saved(self, step: int) -> bool:
        """Says whether a step is saved already; a kill may have come between its seal and the deletion of others."""
        is_saved = step in self.sealed_steps()
        if is_saved:
            self._prune()
        return is_saved

    @contextmanager
    def _saving(self, step: int) -> Iterator[None]:
        """Removes all files of the step if it can't be saved."""
        try:
            yield
        except Exception as error:  # Orbax raises many kinds
            self._clear(step)
            raise self.not_saved(step, error) from error

    def _make_room(self, step: int, num_bytes: int) -> None:
        """Removes what a save without a seal has left, which counts for nothing."""
        shutil.rmtree(self.path(step), ignore_errors=True)
        self._refuse_no_room(num_bytes)

    def _refuse_no_room(self, num_bytes: int) -> None:
        """Raises OSError when the disk lacks room: Orbax's threads would print a page each before its own error."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.folder).free < num_bytes + ROOM_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def not_saved(self, step: int, error: Exception) -> OSError:
        """Returns the error of a step that can't be saved."""
        full = os.strerror(errno.ENOSPC)
        reason = full if full in str(error) else str(error).strip() or type(error).__name__
        return OSError(f"{self.path(step)} could not be saved: {reason}. Earlier checkpoints are intact.")

    def _seal(self, step: int, seal: Seal) -> None:
        """Writes the seal; from now on the step counts."""
        sync_folder(self.folder)
        write_seal(self.seal_path(step), seal)

    def _prune(self) -> None:
        """Deletes the oldest sealed steps. A step without a seal is no checkpoint and is not counted."""
        for step in self.sealed_steps()[: -self._keep]:
            self.delete(step)

    def _clear(self, step: int) -> None:
        """Removes all files of a failed save; Orbax's threads may still be writing there for a moment."""
        self.seal_path(step).unlink(missing_ok=True)
        for _ in range(50):
            remains = [path for path in (self.path(step), *self.folder.glob(f"{step}{UNFINISHED}")) if path.exists()]
            if not remains:
                return
            for path in remains:
                shutil.rmtree(path, ignore_errors=True)
            time.sleep(0.02)
