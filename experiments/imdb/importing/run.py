"""Makes a run of an imported model: its checkpoint of step 0, and the record of epoch 0."""

import dataclasses
import os
import shutil
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
from experiments.imdb.training import class_metrics
from experiments.imdb.training import metrics as two_class_metrics
from experiments.imdb.training.model import choose_backend, make_forward
from experiments.imdb.training.optimizer import make_average, make_optimizer
from experiments.imdb.training.recipes import Recipe
from recurrent.training import Record, RunDirectory, Timing, init_state, make_mesh, make_predict
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
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.importing")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed and had this number
    try:
        record = _write(unfinished, fitted, data, origin, data_dir, report)
        if path.exists():
            path.rmdir()
        unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return record


def _write(
    path: Path,
    fitted: Fitted,
    data: Dataset,
    origin: Mapping[str, Any],
    data_dir: Path,
    report: Callable[[str, int, int], Any],
) -> Record:
    recipe = fitted.recipe
    mesh = make_mesh(recipe.num_shards or 1)
    steps_per_epoch = num_batches(len(data.train.labels), recipe.batch_size)
    params = jax.tree.map(jnp.asarray, fitted.params)
    has_average = make_average(recipe, steps_per_epoch) is not None
    state = init_state(params, make_optimizer(recipe, steps_per_epoch), has_average=has_average)
    predict = make_predict(make_forward(recipe, data.vocabulary.pairs), mesh)
    metrics = class_metrics if recipe.num_classes > 2 else two_class_metrics
    numbers, start = [], time.perf_counter()
    for done, examples in enumerate((data.train, data.validation)):
        report("evaluating", done, 2)
        logits = predict(params, examples.tokens)
        loss, accuracy = metrics.cross_entropy(logits, examples.labels), metrics.accuracy(logits, examples.labels)
        numbers.append({"loss": loss, "acc": accuracy})
    record = Record(0, 0, *numbers)
    timing = Timing(0, steps=0, seconds=0.0, eval_seconds=time.perf_counter() - start)
    with RunDirectory(path) as run:
        used = environment(list(mesh.devices.flat), choose_backend(recipe).name)
        start_run(run, recipe, data, used, data_dir, origin)
        run.save(0, state)
        run.record(record, timing)
        run.save_best(0)
    return record
