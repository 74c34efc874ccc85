"""The steps in a folder of checkpoints, by their names on disk: where each lies, which there are, how one is removed.

<folder>/<step>/...              the files of a step; Orbax writes them under another name first
<folder>/../manifests/<name of the folder>/<step>.json           its seal
"""

import shutil
from pathlib import Path

from recurrent.training.atomic import unfinished

__all__ = ["COPIED", "UNFINISHED", "Steps"]

COPIED = ".copied.tmp"
UNFINISHED = ".orbax-checkpoint-tmp*"
_DELETED = ".deleted.tmp"


class Steps:
    """The steps in one folder, without a look at their content."""

    def __init__(self, folder: Path) -> None:
        """Stores the paths; nothing is touched."""
        self.folder = folder.absolute()
        self.seals = self.folder.parent / "manifests" / self.folder.name

    def path(self, step: int) -> Path:
        """Returns the folder of a step."""
        return self.folder / str(step)

    def seal_path(self, step: int) -> Path:
        """Returns the file of a step's seal."""
        return self.seals / f"{step}.json"

    def steps(self) -> list[int]:
        """Lists all steps, oldest first: complete ones, incomplete ones, and those with a seal alone."""
        deleted = {path.name.removesuffix(_DELETED) for path in self.folder.glob(f"*{_DELETED}")}
        names = {path.name for path in self.folder.glob("*")}
        names |= {path.stem for path in self.seals.glob("*.json")} - deleted
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def sealed_steps(self) -> list[int]:
        """Lists the steps that count, oldest first: those with a seal. It does not verify their content."""
        return [step for step in self.steps() if self.seal_path(step).exists() and self.path(step).exists()]

    def set_aside(self, step: int, target: Path) -> None:
        """Moves a step to `target`, and its seal beside it."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.path(step).exists() or self.path(step).is_symlink():
            self.path(step).rename(target)
        if self.seal_path(step).exists():
            self.seal_path(step).rename(target.with_name(target.name + ".json"))

    def delete(self, step: int) -> None:
        """Deletes a step. If it is killed in between, the step is still complete or it is gone."""
        self.path(step).rename(self.folder / f"{step}{_DELETED}")
        self._forget(step)

    def _forget(self, step: int) -> None:
        if not self.path(step).exists():
            self.seal_path(step).unlink(missing_ok=True)
        shutil.rmtree(self.folder / f"{step}{_DELETED}")

    def leftovers(self) -> list[Path]:
        """Lists what killed saves, copies and deletions left behind."""
        patterns = (f"*{UNFINISHED}", f"*{_DELETED}", f"*{COPIED}")
        return sorted(path for pattern in patterns for path in self.folder.glob(pattern)) + unfinished(self.seals)

    def clear_leftovers(self) -> None:
        """Deletes the leftovers, and the seals of steps that were being deleted."""
        for path in self.leftovers():
            if path.name.endswith(_DELETED):
                self._forget(int(path.name.removesuffix(_DELETED)))
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
