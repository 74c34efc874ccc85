"""What lies in a run directory beside checkpoints and records: the recipe, the vocabulary and the manifest.

`open_run` gets a trained run back in one call:

    run = open_run("runs/imdb-lstm-seed0")
    run.predict(["a wonderful film", "a waste of time"])  # probabilities of "positive"
    tokens = run.encode(["a wonderful film"])
    logits = run.forward(run.params, tokens)  # or run.model(tokens), a Flax NNX module
"""

import dataclasses
import hashlib
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from experiments.command_line import command, in_words
from experiments.imdb.batches import pad
from experiments.imdb.dataset import SOURCE_NAMES, Dataset
from experiments.imdb.recipes import Recipe
from experiments.imdb.run_places import FREE_TO_CHANGE
from experiments.imdb.vocabulary import Vocabulary, digest, encode
from experiments.imdb.vocabulary import load as load_vocabulary
from experiments.imdb.vocabulary import save as save_vocabulary
from recurrent.training.atomic import write_text
from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.checkpoints.restore import restore_newest
from recurrent.training.environment import describe_environment
from recurrent.training.run.directory import RunDirectory
from recurrent.training.run.identity import differences
from recurrent.training.run.records import Record, Timing, read_lines, salvage_lines
from recurrent.training.run.resume import examine

if TYPE_CHECKING:
    from experiments.imdb.model import Classifier

__all__ = [
    "Run",
    "environment",
    "identity",
    "open_run",
    "problems",
    "read_recipe",
    "remembered_recipe",
    "settle",
    "start_run",
    "write_recipe",
]


class Run(NamedTuple):
    """A trained run; `predict` answers texts."""

    recipe: Recipe
    params: Any  # nested dicts of arrays, from the checkpoint that was asked for
    model: "Classifier"
    forward: Callable[[Any, Any], Any]  # (params, tokens [batch, time]) -> logits [batch]
    vocabulary: Vocabulary
    records: list[Record]
    timings: list[Timing]
    manifest: dict[str, Any]  # identity, facts, environments
    step: int

    def predict(self, texts: Sequence[str]) -> Float[np.ndarray, "texts"]:
        """Returns the probability that each text is positive, in float64.

        Where the model knows no word of a text, the number is its answer to no text and says nothing about it;
        `experiments.imdb.predict.predict` counts the words that it knows.

        Raises:
            TypeError: `texts` is one string instead of several.
        """
        from experiments.imdb.predict import predict

        predictions = predict(self, _several(texts))
        return np.array([prediction.probability for prediction in predictions], np.float64)

    def encode(self, texts: Sequence[str]) -> Int[np.ndarray, "texts time"]:
        """Returns the tokens of texts as the model reads them: its last `sequence_length` ids, padded in front.

        Raises:
            TypeError: `texts` is one string instead of several.
        """
        ids = [encode(self.vocabulary, text) for text in _several(texts)]
        return pad(ids, self.recipe.sequence_length, self.recipe.vocabulary_size)


def _several(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"texts must be several texts, not one: give a list such as [{texts!r}].")
    return list(texts)


def open_run(path: str | Path, checkpoint: Literal["best", "latest"] = "best") -> Run:
    """Loads a run: its best epoch, or its latest state. All that decides its answers is held against hashes.

    Raises:
        FileNotFoundError: there is no run, or none that has been saved yet.
        ValueError: a file of it is damaged.
    """
    from experiments.imdb.model import former_path, init_params, make_forward, make_model

    path = Path(path)
    recipe = read_recipe(path)
    try:
        vocabulary = load_vocabulary(path / "vocabulary.json")
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(f"{in_words(error)} The command that trained the run writes vocabulary.json anew.") from error
    try:
        checkpoints = Checkpoints(path / "checkpoints" / checkpoint)
        params, sealed = restore_newest(checkpoints, like=init_params(recipe), former=former_path)
    except FileNotFoundError as error:
        hint = "The first is saved at the end of the first epoch." if not (path / "records.jsonl").exists() else ""
        raise FileNotFoundError(f"{error} {hint} `{command('imdb', 'doctor', path)}` says what is there.") from error
    except ValueError as error:
        raise ValueError(f"{error} `{command('imdb', 'doctor', path)}` says what is whole.") from error
    description, _ = RunDirectory(path).description(FREE_TO_CHANGE)
    if found := problems(sealed.about.get("identity", {}), recipe, vocabulary):
        raise ValueError(f"{path}: {'; '.join(found)}. `{command('imdb', 'doctor', path)}` says more.")
    return Run(
        recipe=recipe,
        params=params,
        model=make_model(recipe, params),
        forward=make_forward(recipe),
        vocabulary=vocabulary,
        records=read_lines(path / "records.jsonl", Record),
        timings=salvage_lines(path / "timings.jsonl", Timing)[0],
        manifest=description._asdict() if description else {},
        step=sealed.step,
    )


def read_recipe(path: Path) -> Recipe:
    """Reads the recipe a run was started with.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: the file is damaged, or from another version of this project.
    """
    file = path / "recipe.json"
    if not file.exists():
        if (path / "checkpoints").exists():
            raise FileNotFoundError(f"{file} is missing. {_remedy(path)}")
        made_by = command("imdb", "train")
        raise FileNotFoundError(f"{path} is no run: it has no recipe.json. Runs are made by `{made_by}`.")
    try:
        return Recipe(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{file} is not a recipe: {str(error).rstrip('.')}. {_remedy(path)}") from error


def _remedy(path: Path) -> str:
    """Says how a recipe comes back: from a checkpoint, if there is one that is whole and remembers it."""
    if remembered_recipe(RunDirectory(path)) is not None:
        return f"`{command('imdb', 'doctor', path, '--repair')}` writes it anew from a checkpoint."
    return "No whole checkpoint of this version remembers it: bring the file back, or train in another folder."


def remembered_recipe(run: RunDirectory) -> Recipe | None:
    """Returns the recipe that the newest whole checkpoint remembers; None if there is none that is a recipe here."""
    manifest = next((each.manifest for each in examine(run.latest, run.best) if each.manifest), None)
    try:
        return Recipe(**manifest.about["identity"]["recipe"]) if manifest else None
    except (ValueError, TypeError, KeyError):  # saved by another program, or by another version of this one
        return None


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Writes the recipe of a run."""
    write_text(path / "recipe.json", json.dumps(dataclasses.asdict(recipe), indent=2) + "\n")


def settle(recipe: Recipe, path: Path, num_accelerators: int) -> Recipe:
    """Decides what the recipe left open: as the run in this folder did, or else for this machine.

    A source's path becomes absolute, so that the run can be evaluated from any folder.
    """
    there = read_recipe(path) if (path / "recipe.json").exists() else None
    if recipe.source not in SOURCE_NAMES and Path(recipe.source).exists():
        is_same = there is not None and Path(there.source).absolute() == Path(recipe.source).absolute()
        recipe = dataclasses.replace(recipe, source=there.source if is_same else str(Path(recipe.source).absolute()))
    if recipe.num_shards is not None:
        return recipe
    if there is not None:
        return dataclasses.replace(recipe, num_shards=there.num_shards)
    divisors = [count for count in range(1, (num_accelerators or 2) + 1) if recipe.batch_size % count == 0]
    return dataclasses.replace(recipe, num_shards=divisors[-1])


def identity(recipe: Recipe, fingerprint: str, vocabulary: Vocabulary) -> dict[str, Any]:
    """Names all that a run's numbers depend on."""
    return {"recipe": dataclasses.asdict(recipe), "data": fingerprint, "vocabulary": digest(vocabulary)}


def problems(sealed: dict[str, Any], recipe: Recipe | None, vocabulary: Vocabulary | None) -> list[str]:
    """Says which files are not what a checkpoint of the run remembers of them.

    Args:
        sealed: the checkpoint's identity.
        recipe: as read from its file, as `vocabulary` is; what is None is not compared.
    """
    found = []
    if recipe is not None:
        now = {"recipe": dataclasses.asdict(recipe)}
        differing = differences({"recipe": sealed.get("recipe", {})}, now, FREE_TO_CHANGE)
        found += [f"recipe.json is not that of the checkpoint ({'; '.join(differing)})"] if differing else []
    if vocabulary is not None and digest(vocabulary) != sealed.get("vocabulary"):
        found.append("vocabulary.json was changed: its SHA-256 is not the one that the checkpoint remembers")
    return found


def start_run(
    run: RunDirectory, recipe: Recipe, data: Dataset, environment: dict[str, Any], data_dir: Path | None = None
) -> list[str]:
    """Writes a new run's files, or checks that the run which is there is the same; returns warnings.

    Args:
        data_dir: where the reviews were prepared, for the run to remember.

    Raises:
        ValueError: the folder holds a run with another recipe, vocabulary or other data; lists what differs.
    """
    free = set(FREE_TO_CHANGE)
    if recipe.schedule != "constant":
        free.remove("recipe.epochs")
    if recipe.nonfinite == "stop":  # a run that may have skipped steps is no longer one that stops
        free.remove("recipe.nonfinite")
    now = identity(recipe, data.fingerprint, data.vocabulary)
    try:
        facts = data.facts._asdict() | ({} if data_dir is None else {"data_dir": str(data_dir.absolute())})
        warnings = run.begin(now, free, environment, facts)
    except ValueError as error:
        raise ValueError(f"{error} --run-dir names the folder.") from error
    file = run.path / "vocabulary.json"
    if not file.exists() or digest(data.vocabulary) != hashlib.sha256(file.read_bytes()).hexdigest():
        warnings += ["vocabulary.json was damaged; written anew from the reviews"] if file.exists() else []
        save_vocabulary(data.vocabulary, file)
    # The recipe comes last: where it stands, the rest stands too.
    write_recipe(run.path, recipe)
    return warnings


def environment(devices: Sequence[Any]) -> dict[str, Any]:
    """Describes what decides the last bits of a run, and which revision of this project made it."""
    return {**describe_environment(devices), "git_revision": _git_revision()}


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
