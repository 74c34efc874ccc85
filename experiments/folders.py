"""Default folders of data and results: in the checkout, whatever the current folder is.

Commands installed from a wheel have no checkout: data lie in the user's cache, results in `runs` of the current folder.
"""

import os
import tempfile
from pathlib import Path

__all__ = ["CHECKOUT", "check_output_file", "check_output_folder", "data_folder", "runs_folder"]


def _find_checkout() -> Path | None:
    root = Path(__file__).resolve().parents[1]
    return root if (root / "pyproject.toml").is_file() and (root / "scripts").is_dir() else None


CHECKOUT = _find_checkout()
"""The folder that holds pyproject.toml, scripts and experiments; None if the commands are installed from a wheel."""


def data_folder() -> Path:
    """Returns the default folder of prepared reviews."""
    if CHECKOUT is not None:
        return _as_seen_from_here(CHECKOUT / "data")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "recurrent" / "data"


def runs_folder() -> Path:
    """Returns the default folder of runs, reports and pictures."""
    return Path("runs") if CHECKOUT is None else _as_seen_from_here(CHECKOUT / "runs")


def _as_seen_from_here(path: Path) -> Path:
    """Returns a path relative to the current folder, if it lies inside."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the current folder was removed
        return path
    return path.relative_to(here) if path.is_relative_to(here) else path


def check_output_file(path: Path) -> None:
    """Checks before the work that a file can be written, and makes its folder.

    Raises:
        ValueError: the path is that of a folder.
        OSError: the file or its folder can't be written.
    """
    if path.is_dir():
        raise ValueError(f"--output {path} is a folder: give the name of a file.")
    _check_folder(path.parent, f"--output {path}")


def check_output_folder(path: Path) -> None:
    """Checks before the work that files can be written into a folder, and makes the folder.

    Raises:
        OSError: they can't.
    """
    _check_folder(path, f"--output {path}")


def _check_folder(path: Path, shown: str) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"0")
    except OSError as error:
        raise OSError(error.errno, error.strerror, shown) from error
