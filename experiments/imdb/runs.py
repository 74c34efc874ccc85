"""What lies in a run directory beside checkpoints and records: the recipe, the vocabulary and the manifest.

`open_run` gets a trained run back in one call:

    run = open_run("runs/imdb-lstm-seed0")
    logits = run.forward(run.params, tokens)        # or run.model(tokens), a Flax NNX module
"""

import dataclasses
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from experiments.imdb.dataset import Dataset
from experiments.imdb.recipes import Recipe
from experiments.imdb.vocabulary import Vocabulary
from experiments.imdb.vocabulary import load as load_vocabulary
from experiments.imdb.vocabulary import save as save_vocabulary
from experiments.platform import processor
from recurrent.training.records import Record, Timing, read_lines, write_atomically

if TYPE_CHECKING:
    from experiments.imdb.model import Classifier

__all__ = ["Run", "differences", "open_run", "read_recipe", "settle", "start_run"]

_FREE_TO_CHANGE = {"epochs", "device", "patience"}
"""What a resume may change; with a schedule that ends at the last epoch, `epochs` is not free."""


class Run(NamedTuple):
    """A trained run."""

    recipe: Recipe
    params: Any  # nested dicts of arrays, from the checkpoint that was asked for
    model: "Classifier"
    forward: Callable[[Any, Any], Any]  # (params, tokens [batch, time]) -> logits [batch]
    vocabulary: Vocabulary
    records: list[Record]
    timings: list[Timing]
    manifest: dict[str, Any]
    step: int


def open_run(path: str | Path, checkpoint: Literal["best", "latest"] = "best") -> Run:
    """Loads a run: its best epoch, or its latest state.

    Raises:
        FileNotFoundError: there is no run, or none that has been saved yet.
        ValueError: a file of it is damaged.
    """
    from experiments.imdb.model import init_params, make_forward, make_model
    from recurrent.training.checkpoint import restore_params

    path = Path(path)
    recipe = read_recipe(path)
    params, step = restore_params(path / "checkpoints" / checkpoint, like=init_params(recipe))
    return Run(
        recipe=recipe,
        params=params,
        model=make_model(recipe, params),
        forward=make_forward(recipe),
        vocabulary=load_vocabulary(path / "vocabulary.json"),
        records=read_lines(path / "records.jsonl", Record),
        timings=read_lines(path / "timings.jsonl", Timing),
        manifest=json.loads((path / "manifest.json").read_text(encoding="utf-8")),
        step=step,
    )


def read_recipe(path: Path) -> Recipe:
    """Reads the recipe a run was started with.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: the file is damaged, or from another version of this project.
    """
    file = path / "recipe.json"
    if not file.exists():
        raise FileNotFoundError(f"{path} is no run: it has no recipe.json. Runs are made by `scripts/imdb train`.")
    try:
        return Recipe(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file} is not a recipe: {error}") from error


def settle(recipe: Recipe, path: Path, num_accelerators: int) -> Recipe:
    """Decides what the recipe left open: as the run in this folder did, or else for this machine."""
    if recipe.num_shards is not None:
        return recipe
    if (path / "recipe.json").exists():
        return dataclasses.replace(recipe, num_shards=read_recipe(path).num_shards)
    divisors = [count for count in range(1, (num_accelerators or 2) + 1) if recipe.batch_size % count == 0]
    return dataclasses.replace(recipe, num_shards=divisors[-1])


def differences(old: Recipe, new: Recipe) -> list[str]:
    """Lists what keeps a run of one recipe from going on with another."""
    free = _FREE_TO_CHANGE if new.schedule == "constant" else _FREE_TO_CHANGE - {"epochs"}
    before, after = dataclasses.asdict(old), dataclasses.asdict(new)
    return [
        f"{name}: {before[name]} there, {after[name]} now"
        for name in before
        if before[name] != after[name] and name not in free
    ]


def start_run(path: Path, recipe: Recipe, data: Dataset, environment: dict[str, Any]) -> list[str]:
    """Writes a new run's files, or checks that the run which is there is the same; returns warnings.

    Raises:
        ValueError: the folder holds a run with another recipe or other data.
    """
    if not (path / "recipe.json").exists():
        save_vocabulary(data.vocabulary, path / "vocabulary.json")
        manifest = {"fingerprint": data.fingerprint, "facts": data.facts._asdict(), "environments": [environment]}
        write_atomically(path / "manifest.json", json.dumps(manifest, indent=2) + "\n")
        # The recipe comes last: where it stands, the rest stands too.
        _write_recipe(path, recipe)
        return []
    old = read_recipe(path)
    if found := differences(old, recipe):
        raise ValueError(
            f"{path} holds a run with another recipe ({'; '.join(found)}). Use another --run-dir, or remove that one."
        )
    manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    if manifest["fingerprint"] != data.fingerprint:
        raise ValueError(
            f"{path} was trained on other data: fingerprint {manifest['fingerprint'][:16]} there, "
            f"{data.fingerprint[:16]} now. Use another --run-dir."
        )
    _write_recipe(path, recipe)
    last = manifest["environments"][-1]
    if last == environment:
        return []
    manifest["environments"].append(environment)
    write_atomically(path / "manifest.json", json.dumps(manifest, indent=2) + "\n")
    changed = [
        f"{key}: {last.get(key)} before, {environment[key]} now"
        for key in environment
        if last.get(key) != environment[key]
    ]
    return [f"the environment has changed, so the numbers may differ in their last bits ({'; '.join(changed)})"]


def describe_environment(devices: list[Any]) -> dict[str, Any]:
    """Collects what decides the last bits of a run, beside its recipe and its data."""
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
    return {
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "device": devices[0].device_kind,
        "platform": devices[0].platform,
        "num_devices": len(devices),
        "processor": processor(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "git_revision": _git_revision(),
    }


def _write_recipe(path: Path, recipe: Recipe) -> None:
    write_atomically(path / "recipe.json", json.dumps(dataclasses.asdict(recipe), indent=2) + "\n")


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
