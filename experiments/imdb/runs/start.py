"""Starts or continues a run: decides settings that were left open, and writes or compares its files."""

import dataclasses
import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from experiments.imdb.reviews.dataset import SOURCE_NAMES, Dataset
from experiments.imdb.runs.files import identity, read_recipe, recipe_fields, write_classes, write_recipe
from experiments.imdb.runs.places import FREE_TO_CHANGE
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.shards import usual_shards
from experiments.imdb.vocabulary import digest
from experiments.imdb.vocabulary import save as save_vocabulary
from recurrent.training.environment import describe_environment
from recurrent.training.mesh import make_mesh
from recurrent.training.run.directory import RunDirectory
from recurrent.training.run.identity import differences
from recurrent.training.run.manifest import read_manifest

__all__ = [
    "absolute_source",
    "environment",
    "environment_of",
    "fit_to_data",
    "num_accelerators",
    "refuse_other_recipe",
    "settle",
    "start_run",
]


def settle(recipe: Recipe, path: Path, num_accelerators: int, num_processes: int = 1) -> Recipe:
    """Returns the recipe with its open settings decided: as in the run in this folder, or else for this machine.

    A source's path becomes absolute, so that the run can be evaluated from any folder.

    Raises:
        ValueError: the batch size is not a multiple of the number of processes.
    """
    there = read_recipe(path) if (path / "recipe.json").exists() else None
    source = absolute_source(recipe.source)
    is_same = there is not None and absolute_source(there.source) == source
    recipe = dataclasses.replace(recipe, source=there.source if is_same else source)
    if there is not None and recipe.segment_size is None:
        recipe = dataclasses.replace(recipe, segment_size=there.segment_size)
    if recipe.num_shards is not None:
        return recipe
    if there is not None:
        return dataclasses.replace(recipe, num_shards=there.num_shards)
    return dataclasses.replace(recipe, num_shards=usual_shards(recipe, num_accelerators, num_processes))


def absolute_source(source: str) -> str:
    """Returns a source whose path, if it is an existing one, is absolute."""
    return source if source in SOURCE_NAMES or not Path(source).exists() else str(Path(source).absolute())


def fit_to_data(recipe: Recipe, data: Dataset) -> Recipe:
    """Returns the recipe with as many classes as the data have."""
    return dataclasses.replace(recipe, num_classes=len(data.classes))


def start_run(
    run: RunDirectory,
    recipe: Recipe,
    data: Dataset,
    environment: dict[str, Any],
    data_dir: Path | None = None,
    origin: Mapping[str, Any] | None = None,
) -> list[str]:
    """Writes a new run's files, or checks that the run in the folder is the same one; returns warnings.

    Args:
        run: the run's folder.
        recipe: with all settings decided.
        data: its reviews.
        environment: of `environment`.
        data_dir: where the reviews were prepared; stored with the run.
        origin: of an imported model: the file that it comes from; stored with the run.

    Raises:
        ValueError: the folder holds a run with another recipe, vocabulary or other data; lists the differences.
    """
    free = _free(recipe)
    now = identity(recipe, data.fingerprint, data.vocabulary, data.classes)
    try:
        known = {name: value for name, value in data.facts._asdict().items() if value is not None}
        facts = known | ({} if data_dir is None else {"data_dir": str(data_dir.absolute())})
        facts |= {} if origin is None else {"imported": dict(origin)}
        warnings = run.begin(now, free, environment, facts)
    except ValueError as error:
        raise ValueError(f"{error} --run-dir sets the folder.") from error
    return run.processes.led("files", lambda: warnings + _write_files(run, recipe, data))


def refuse_other_recipe(run: RunDirectory, recipe: Recipe) -> None:
    """Refuses a folder that holds a run of another recipe, before its reviews are prepared.

    Raises:
        ValueError: it does; lists the differences.
    """
    try:
        there = read_manifest(run.path / "manifest.json").identity["recipe"]
    except (OSError, ValueError, KeyError):  # a new run, or a corrupt manifest, which `start_run` repairs or refuses
        return
    free = _free(recipe) | {"recipe.num_classes"}  # which the reviews decide
    if found := differences({"recipe": there}, {"recipe": recipe_fields(recipe)}, free):
        raise ValueError(
            f"{run.path} holds another run ({'; '.join(found)}). Use another folder, or remove that one. --run-dir "
            "sets the folder."
        )


def _free(recipe: Recipe) -> set[str]:
    """Returns what may change when a run continues."""
    free = set(FREE_TO_CHANGE)
    if recipe.schedule != "constant":
        free.remove("recipe.epochs")
    if recipe.nonfinite == "stop":  # a run that may have skipped steps can no longer become one that stops
        free.remove("recipe.nonfinite")
    return free


def _write_files(run: RunDirectory, recipe: Recipe, data: Dataset) -> list[str]:
    """Writes what an experiment keeps in a run's folder; returns warnings."""
    warnings = []
    file = run.path / "vocabulary.json"
    if not file.exists() or digest(data.vocabulary) != hashlib.sha256(file.read_bytes()).hexdigest():
        warnings += ["vocabulary.json was corrupt; rewritten from the reviews"] if file.exists() else []
        save_vocabulary(data.vocabulary, file)
    write_classes(run.path, data.classes)
    # The recipe comes last: if it exists, the rest exists too.
    write_recipe(run.path, recipe)
    return warnings


def environment(devices: Sequence[Any], backend: str) -> dict[str, Any]:
    """Returns what decides the last bits of a run, and the revision of this project that made it."""
    return {**describe_environment(devices, backend), "git_revision": _git_revision()}


def environment_of(recipe: Recipe, backend: str, is_traced: bool = False, is_vmapped: bool = False) -> dict[str, Any]:
    """Returns the environment of a recipe that is trained on this machine's devices.

    Args:
        recipe: with all settings decided.
        backend: the name of the recurrence's implementation.
        is_traced: whether the optimizer's numbers are values of the program, as in a sweep.
        is_vmapped: whether several runs are computed side by side.
    """
    found = environment(list(make_mesh(recipe.num_shards or 1).devices.flat), backend)
    numbers, runs = "values" if is_traced else "constants", "side by side" if is_vmapped else "alone"
    return {**found, "program": {"numbers": numbers, "runs": runs}}


def num_accelerators() -> int:
    """Counts the devices of all processes; 0 if one process runs on a CPU."""
    if jax.default_backend() == "cpu":  # a core of each process, if there are several
        return 0 if jax.process_count() == 1 else max(2, jax.process_count())
    return jax.device_count()


def _git_revision() -> str | None:
    here = Path(__file__).parent
    try:
        answer = subprocess.run(
            ["git", "-C", here, "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
