"""Training states on disk, through Orbax; each counts only once a manifest with its hashes stands beside it.

    <folder>/<step>/...              what Orbax writes, under another name first
    <folder>/../manifests/<name of the folder>/<step>.json

Saves are synchronous. An asynchronous one is lost when the process ends on an exception or a signal, and saves next to
no time at these sizes. Steps are kept, copied and deleted here, since only here it is known which of them count.
"""

import errno
import os
import shutil
import time
from pathlib import Path
from typing import Any

from recurrent.training.arguments import integer
from recurrent.training.atomic import sync_folder, unfinished
from recurrent.training.checkpoints.fitting import Former, read_state, unchanged
from recurrent.training.checkpoints.leaves import describe, to_plain
from recurrent.training.checkpoints.seal import (
    Damaged,
    Manifest,
    compare_files,
    hash_files,
    read_manifest,
    verify,
    versions,
    write_manifest,
)
from recurrent.training.checkpoints.store import write_arrays

__all__ = ["Checkpoints"]

ROOM_BYTES = 128 << 10  # for the small files beside a state's arrays: descriptions, indices, the manifest
_DELETED = ".deleted.tmp"
_COPIED = ".copied.tmp"
_UNFINISHED = ".orbax-checkpoint-tmp*"


class Checkpoints:
    """The steps in one folder. Reading needs no lock; whoever writes must be alone."""

    def __init__(self, folder: Path, keep: int = 1) -> None:
        """Describes the folder; nothing is touched.

        Args:
            keep: how many steps to keep; the oldest go first.

        Raises:
            ValueError: that is no integer of at least 1.
        """
        self.folder = folder.absolute()
        self.manifests = self.folder.parent / "manifests" / self.folder.name
        self._keep = integer("keep", keep, 1)  # a run without checkpoints can't be resumed

    def steps(self) -> list[int]:
        """Lists the steps that are there, oldest first: whole or not, and those of which the manifest alone is left."""
        deleted = {path.name.removesuffix(_DELETED) for path in self.folder.glob(f"*{_DELETED}")}
        names = {path.name for path in self.folder.glob("*")}
        names |= {path.stem for path in self.manifests.glob("*.json")} - deleted
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def sealed_steps(self) -> list[int]:
        """Lists the steps that count, oldest first: those with a manifest. Whether they are whole, `check` says."""
        return [step for step in self.steps() if self.manifest_path(step).exists() and self.path(step).exists()]

    def path(self, step: int) -> Path:
        """Returns the folder of a step."""
        return self.folder / str(step)

    def manifest_path(self, step: int) -> Path:
        """Returns the file of a step's manifest."""
        return self.manifests / f"{step}.json"

    def check(self, step: int) -> Manifest:
        """Reads every byte of a step and returns its manifest.

        Raises:
            Damaged: it is not what was saved; says why.
        """
        manifest = read_manifest(self.manifest_path(step))
        if manifest.step != step:
            raise Damaged(f"its manifest is that of step {manifest.step}")
        verify(self.path(step), manifest)
        return manifest

    def save(self, step: int, state: Any, about: dict[str, Any] | None = None) -> None:
        """Saves a state; a step that is there already is the same state, and stays.

        Args:
            state: a tree of arrays: JAX's, NumPy's, typed keys, of any size and dtype that JAX has.
            about: what else to write into its manifest, in JSON's types.

        Raises:
            ValueError: the step is no integer of at least 0, or something in the state would not come back as it was;
                names it.
            FloatingPointError: a number in the state is NaN.
            OSError: it can't be saved, for want of space perhaps. The steps before it stay as they are.
        """
        step = integer("step", step, 0)
        if step in self.sealed_steps():
            self._prune()  # a kill may have come between a seal and this
            return
        tree = describe(state)
        # From the host, Orbax writes no devices down, and takes half the time.
        arrays = to_plain(step, state)
        try:
            shutil.rmtree(self.path(step), ignore_errors=True)  # of a save without a manifest, which counts for nothing
            self._refuse_no_room(sum(array.nbytes for array in arrays))
            write_arrays(self.path(step), arrays)
            self._seal(step, Manifest(step, hash_files(self.path(step), is_new=True), tree, about or {}, versions()))
        except Exception as error:  # Orbax raises many kinds
            self._clear(step)
            raise self._not_saved(step, error) from error
        self._prune()

    def copy_from(self, other: "Checkpoints", step: int, about: dict[str, Any]) -> None:
        """Takes over a step of another folder, and reads every byte of it.

        Raises:
            Damaged: it is not what was saved.
            OSError: it can't be written. What was here stays as it is.
        """
        if step in self.sealed_steps():
            self._prune()
            return
        manifest = read_manifest(other.manifest_path(step))
        unfinished_copy = self.folder / f"{step}{_COPIED}"
        try:
            shutil.rmtree(self.path(step), ignore_errors=True)
            self._refuse_no_room(sum(file.stat().st_size for file in other.path(step).rglob("*")))
            shutil.copytree(other.path(step), unfinished_copy)
            compare_files(manifest.files, hash_files(unfinished_copy, is_new=True))
            unfinished_copy.rename(self.path(step))
            self._seal(step, manifest._replace(about=about, versions=versions()))
        except (OSError, Damaged) as error:
            shutil.rmtree(unfinished_copy, ignore_errors=True)
            self._clear(step)
            raise error if isinstance(error, Damaged) else self._not_saved(step, error) from error
        self._prune()

    def reseal(self, step: int, about: dict[str, Any]) -> None:
        """Replaces what a step's manifest says beside hashes and tree.

        Raises:
            Damaged: it has no manifest that is whole.
        """
        manifest = read_manifest(self.manifest_path(step))
        write_manifest(self.manifest_path(step), manifest._replace(about=about))

    def restore(self, step: int, like: Any, former: Former = unchanged) -> Any:
        """Restores a step that `check` has found whole.

        Args:
            like: a state of the structure, shapes, dtypes and shardings to expect.
            former: what its leaves were called in earlier checkpoints; see `fitting.Former`.

        Raises:
            ValueError: the checkpoint doesn't fit, or Orbax can't read it.
        """
        return read_state(self.path(step), read_manifest(self.manifest_path(step)), like, former=former)

    def set_aside(self, step: int, target: Path) -> None:
        """Moves a step and its manifest out of the way."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.path(step).exists() or self.path(step).is_symlink():
            self.path(step).rename(target)
        if self.manifest_path(step).exists():
            self.manifest_path(step).rename(target.with_name(target.name + ".json"))

    def leftovers(self) -> list[Path]:
        """Lists what killed saves, copies and deletions left behind."""
        patterns = (f"*{_UNFINISHED}", f"*{_DELETED}", f"*{_COPIED}")
        return sorted(path for pattern in patterns for path in self.folder.glob(pattern)) + unfinished(self.manifests)

    def clear_leftovers(self) -> None:
        """Deletes them, and manifests whose checkpoint was being deleted."""
        for path in self.leftovers():
            if path.name.endswith(_DELETED):
                self._forget(int(path.name.removesuffix(_DELETED)))
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def delete(self, step: int) -> None:
        """Deletes a step; killed half-way, it is either whole or gone."""
        self.path(step).rename(self.folder / f"{step}{_DELETED}")
        self._forget(step)

    def _forget(self, step: int) -> None:
        if not self.path(step).exists():
            self.manifest_path(step).unlink(missing_ok=True)
        shutil.rmtree(self.folder / f"{step}{_DELETED}")

    def _refuse_no_room(self, num_bytes: int) -> None:
        """Raises OSError where the disk lacks room: Orbax' threads would print a page each before its error came."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.folder).free < num_bytes + ROOM_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _not_saved(self, step: int, error: Exception) -> OSError:
        full = os.strerror(errno.ENOSPC)
        reason = full if full in str(error) else str(error).strip() or type(error).__name__
        return OSError(f"{self.path(step)} could not be saved: {reason}. Earlier checkpoints are whole.")

    def _seal(self, step: int, manifest: Manifest) -> None:
        """Writes the manifest; from now on the step counts."""
        sync_folder(self.folder)
        write_manifest(self.manifest_path(step), manifest)

    def _prune(self) -> None:
        """Deletes the oldest steps, those without a manifest aside: they are no checkpoints."""
        for step in self.sealed_steps()[: -self._keep]:
            self.delete(step)

    def _clear(self, step: int) -> None:
        """Leaves nothing of a save that failed; for a moment, Orbax' threads may still be writing there."""
        self.manifest_path(step).unlink(missing_ok=True)
        for _ in range(50):
            remains = [path for path in (self.path(step), *self.folder.glob(f"{step}{_UNFINISHED}")) if path.exists()]
            if not remains:
                return
            for path in remains:
                shutil.rmtree(path, ignore_errors=True)
            time.sleep(0.02)
