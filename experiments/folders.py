"""Where commands keep data and results: in the checkout that they run from, whatever the current folder is.

Installed from a wheel there is no checkout: data then lie in the user's cache, results in `runs` of the current folder.
"""

import os
import tempfile
from pathlib import Path

__all__ = ["CHECKOUT", "check_output_file", "check_output_folder", "data_folder", "runs_folder"]


def _find_checkout() -> Path | None:
    root = Path(__file__).resolve().parents[1]
    return root if (root / "pyproject.toml").is_file() and (root / "scripts").is_dir() else None


CHECKOUT = _find_checkout()
"""The folder that holds pyproject.toml, scripts and experiments; None where the commands were installed."""


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
    """Makes a path relative where that is shorter for a person to read and type."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the current folder was removed
        return path
    return path.relative_to(here) if path.is_relative_to(here) else path


def check_output_file(path: Path, endings: tuple[str, ...] = ()) -> None:
    """Checks, before the work, that a file can be written when it is done; makes its folder.

    Args:
        endings: those that the file's name may have; any, if none is given.

    Raises:
        ValueError: the name ends otherwise, or is that of a folder.
        OSError: the file or its folder can't be written.
    """
    if endings and path.suffix not in endings:
        raise ValueError(f"--output {path}: the name must end with {' or '.join(endings)}.")
    if path.is_dir():
        raise ValueError(f"--output {path} is a folder: give the name of a file.")
    _check_folder(path.parent, f"--output {path}")


def check_output_folder(path: Path) -> None:
    """Checks, before the work, that files can be written into a folder when it is done; makes the folder.

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
