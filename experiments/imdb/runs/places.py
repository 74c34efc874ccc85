"""The folders and names of runs, where their reviews were prepared, and which of some paths are runs."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from experiments.folders import data_folder, runs_folder
from experiments.imdb.training.recipes import RECIPES, Recipe

__all__ = [
    "FREE_TO_CHANGE",
    "choose_data_dir",
    "default_run_dir",
    "find_data_dir",
    "is_run",
    "only_runs",
    "refuse_no_run",
    "remembered_data_dir",
    "run_name",
    "runs_within",
]

FREE_TO_CHANGE = (
    "recipe.epochs",
    "recipe.device",
    "recipe.patience",
    "recipe.nonfinite",
    "recipe.backend",
    "recipe.stream",
)
"""What a resume may change. With a schedule that ends at the last epoch, `epochs` may not. A run that stopped at a step
that is not finite may continue by skipping it: until that step, both ways are the same. Another device or backend
changes the last bits, which is a warning."""

_LONGEST_NAME = 100


def default_run_dir(recipe: Recipe) -> Path:
    """Returns the folder in which `train` keeps a run by default."""
    return runs_folder() / run_name(recipe)


def run_name(recipe: Recipe) -> str:
    """Returns the name of a run: its cell, its seed, and other settings that decide its numbers and are not default.

    A recipe that has a name is called by it.

    >>> run_name(RECIPES["pooled"]())
    'imdb-pooled-seed0'
    >>> run_name(Recipe(cell="gru")), run_name(Recipe(cell="simple_rnn", padding="masked", seed=3, epochs=2))
    ('imdb-gru-seed0', 'imdb-simple-rnn-padding-masked-seed3')
    """
    free = {field.removeprefix("recipe.") for field in FREE_TO_CHANGE} - {"backend"} | {"cell", "seed"}
    if recipe.schedule != "constant":
        free.remove("epochs")
    for name, make in RECIPES.items():
        if all(
            getattr(recipe, field) == value
            for field, value in dataclasses.asdict(make()).items()
            if field not in free - {"cell"}
        ):
            return f"imdb-{name}-seed{recipe.seed}"
    default, values = dataclasses.asdict(Recipe()), dataclasses.asdict(recipe)
    changed = {name: value for name, value in values.items() if name not in free and value != default[name]}
    shown = [f"{name}-{Path(value).name if name == 'source' else value}" for name, value in changed.items()]
    if len("-".join(shown)) > _LONGEST_NAME:
        shown = [hashlib.sha256(json.dumps(changed).encode()).hexdigest()[:12]]
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(["imdb", recipe.cell, *shown, f"seed{recipe.seed}"]))


def find_data_dir(given: Path | None, *runs: Path) -> Path:
    """Returns the folder of prepared reviews: the given one, the one that a run was trained from, or the default."""
    return choose_data_dir(given, map(remembered_data_dir, runs))


def choose_data_dir(given: Path | None, remembered: Iterable[str | None]) -> Path:
    """Returns the given folder, the first of the remembered ones that this machine has, or the default."""
    if given is not None:
        return given
    paths = (Path(path) for path in remembered if path is not None)
    return next((path for path in paths if path.is_dir()), data_folder())


def remembered_data_dir(run: Path) -> str | None:
    """Returns the folder of reviews that a run was trained from, as its manifest has it; None if it has none."""
    try:
        path = json.loads((run / "manifest.json").read_bytes())["facts"]["data_dir"]
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RecursionError,
    ):  # of an earlier revision, or corrupt: the doctor reports that
        return None
    return path if isinstance(path, str) else None


def is_run(path: Path) -> bool:
    """Says whether a path is a run's folder, intact or not."""
    return (path / "recipe.json").is_file() or (path / "checkpoints").is_dir()


def refuse_no_run(path: Path) -> None:
    """Raises FileNotFoundError for a folder in which no run was ever started."""
    if not any((path / name).exists() for name in ("recipe.json", "manifest.json", "checkpoints")):
        missing = "it has neither recipe.json nor checkpoints."
        raise FileNotFoundError(f"{path} is not a run: {missing}{runs_within(path)}")


def runs_within(path: Path) -> str:
    """Names a run in a folder that is none itself, such as that of `train --seeds` or of a sweep; else nothing."""
    if not path.is_dir():
        return ""
    first = min((each for pattern in ("*", "settings/*/*") for each in path.glob(pattern) if is_run(each)), default="")
    return f" It holds runs: give one of them, such as {first}." * bool(first)


def only_runs(paths: Sequence[Path], on_other: Callable[[str], None]) -> list[Path]:
    """Returns the runs among some paths that have a finished epoch.

    Args:
        paths: of folders.
        on_other: called with a line for each path that is left out, which says why.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: none of them is such a run.
    """
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} is not a run: it does not exist.")
    reasons = {path: _why_not(path) for path in paths}
    runs = [path for path in paths if reasons[path] is None]
    if not runs:
        found = "; ".join(f"{path} {reason}" for path, reason in reasons.items() if reason)
        raise ValueError(
            f"There is no run to report: give one folder or more, such as {runs_folder()}/*."
            + (f" ({found})" * bool(found))
        )
    for path, reason in reasons.items():
        if reason is not None:
            on_other(f"skipped: {path} {reason}")
    return runs


def _why_not(path: Path) -> str | None:
    if not is_run(path):
        return f"is not a run.{runs_within(path)}".removesuffix(".")
    records = path / "records.jsonl"
    return None if records.is_file() and records.stat().st_size else "has no finished epoch yet"
