"""Makes a run of a model that was read: its weights, its words, the reviews, the run's folder."""

from pathlib import Path
from typing import NamedTuple

import jax

from experiments.imdb.importing.imported import Imported
from experiments.imdb.importing.run import fit_to_reviews, refuse_existing, write_run
from experiments.imdb.importing.tensors import fit
from experiments.imdb.importing.word_index import Moved
from experiments.imdb.reviews.dataset import Dataset, load
from experiments.imdb.reviews.source import OnProgress, ignore_progress
from experiments.imdb.runs.start import settle
from experiments.imdb.training.recipes import Recipe
from recurrent.training import Record

__all__ = ["Made", "make_run"]


class Made(NamedTuple):
    """A run that was made."""

    recipe: Recipe  # with all settings decided
    record: Record  # of epoch 0
    moved: Moved | None  # of its words; None where the ids are those of the reviews


def make_run(
    imported: Imported, recipe: Recipe, path: Path, data_dir: Path, report: OnProgress = ignore_progress
) -> Made:
    """Makes a run that the commands take and that trains on: a checkpoint of step 0 and the record of epoch 0.

    Args:
        imported: of `read_imported`.
        recipe: of `recipe_of`.
        path: the run's folder, new or empty.
        data_dir: the folder of prepared reviews.
        report: called with what is done, how much of it, and the total.

    Raises:
        ValueError: the folder holds something, or the model does not fit its recipe or the reviews; says what.
        OSError: the run can't be written. Nothing is left of it then.
    """
    refuse_existing(path)
    params = fit(recipe, imported.tensors)
    recipe = settle(recipe, path, 0 if jax.default_backend() == "cpu" else jax.local_device_count())

    def prepared(recipe: Recipe) -> Dataset:
        sizes = recipe.vocabulary_size, recipe.sequence_length
        return load(recipe.source, data_dir, *sizes, report, recipe.validation_share, recipe.num_pairs)

    data = prepared(recipe)
    fitted = fit_to_reviews(imported, recipe, params, data)
    if fitted.recipe != recipe:
        data = prepared(fitted.recipe)
    record = write_run(path, fitted, data, imported.origin, data_dir, report)
    return Made(fitted.recipe, record, fitted.moved)
