"""Makes a run of an imported model: its checkpoint of step 0, and the record of epoch 0."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.imdb.importing.imported import Imported
from experiments.imdb.importing.word_index import Moved, move_rows
from experiments.imdb.reviews.dataset import Dataset
from experiments.imdb.runs.start import environment, start_run
from experiments.imdb.training.backend import choose_backend
from experiments.imdb.training.model import make_forward
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.train import evaluation, state_of
from experiments.new_folder import new_folder
from recurrent.training import Record, RunDirectory, Timing, make_mesh, make_predict
from recurrent.training.order import num_batches

__all__ = ["Fitted", "fit_to_reviews", "refuse_existing", "write_run"]


class Fitted(NamedTuple):
    """A model that reads the prepared reviews."""

    recipe: Recipe
    params: Any
    moved: Moved | None  # None: the ids are those of the reviews


def refuse_existing(path: Path) -> None:
    """Raises ValueError for the folder of a new run that holds something already."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise ValueError(f"{path} is not a folder. --run-dir names a new one.")
    if path.exists() and any(path.iterdir()):
        raise ValueError(f"{path} holds something already, and nothing is overwritten. --run-dir names a new folder.")


def fit_to_reviews(imported: Imported, recipe: Recipe, params: Any, data: Dataset) -> Fitted:
    """Returns the model with its embedding at the ids of the reviews.

    Args:
        imported: the model.
        recipe: of `recipe_of`.
        params: of `tensors.fit`.
        data: the reviews.

    Raises:
        ValueError: the model's classes are not those of the reviews, or its words' ids can't be.
    """
    if recipe.num_classes != len(data.classes) or imported.classes not in (None, data.classes):
        found = imported.classes or f"{recipe.num_classes} classes"
        raise ValueError(f"The model has {found}, and the reviews have {data.classes}. --source names other reviews.")
    if recipe.bigrams and imported.pairs != data.vocabulary.pairs:
        raise ValueError(
            "The model knows other pairs of words than the reviews. --source names the reviews that it was trained on."
        )
    if imported.words is None:
        return Fitted(recipe, params, None)
    moved = move_rows(params["embedding"]["embedding"], imported.words, data.vocabulary)
    if moved.num_moved and recipe.bigrams:
        raise ValueError(
            f"{moved.num_moved:,} words have other ids among the reviews, and the table of pairs is by id. "
            "--source names the reviews that the model was trained on."
        )
    params = {**params, "embedding": {"embedding": moved.table}}
    return Fitted(dataclasses.replace(recipe, vocabulary_size=len(moved.table)), params, moved)


def write_run(
    path: Path,
    fitted: Fitted,
    data: Dataset,
    origin: Mapping[str, Any],
    data_dir: Path,
    report: Callable[[str, int, int], Any],
) -> Record:
    """Writes a run that did not exist, all or nothing; returns the record of epoch 0.

    Args:
        path: its folder.
        fitted: the model; its recipe has all settings decided.
        data: the reviews, with the recipe's vocabulary size.
        origin: where the model comes from, for the manifest.
        data_dir: where the reviews were prepared.
        report: called with what is done, how much of it, and the total.

    Raises:
        ValueError: the folder holds something.
        OSError: it can't be written.
    """
    refuse_existing(path)
    recipe = fitted.recipe
    mesh = make_mesh(recipe.num_shards or 1)
    params = jax.tree.map(jnp.asarray, fitted.params)
    state = state_of(params, recipe, num_batches(len(data.train.labels), recipe.batch_size))
    predict = make_predict(make_forward(recipe, data.vocabulary.pairs), mesh)
    numbers, start = [], time.perf_counter()
    for done, examples in enumerate((data.train, data.validation)):
        report("evaluating", done, 2)
        numbers.append(evaluation(recipe, predict(params, examples.tokens), examples.labels))
    record = Record(0, 0, *numbers)
    timing = Timing(0, steps=0, seconds=0.0, eval_seconds=time.perf_counter() - start)
    with new_folder(path) as unfinished, RunDirectory(unfinished) as run:
        used = environment(list(mesh.devices.flat), choose_backend(recipe).name)
        start_run(run, recipe, data, used, data_dir, origin)
        run.save(0, state)
        run.record(record, timing)
        run.save_best(0)
    return record
