"""Prepares the reviews of a recipe for a command, with a progress bar and under its interrupt."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.imdb.training.recipes import Recipe

if TYPE_CHECKING:
    from experiments.imdb.reviews.dataset import Dataset
    from recurrent.training import Interrupt

__all__ = ["prepared_reviews"]


def prepared_reviews(out: Any, recipe: Recipe, data_dir: Path, interrupt: "Interrupt") -> "Dataset":
    """Returns the reviews of a recipe, which are prepared at the first time.

    Args:
        out: the console.
        recipe: names the source, and the sizes of vocabulary and reviews.
        data_dir: the folder of prepared reviews.
        interrupt: a signal ends the preparing.

    Raises:
        Stopped: a signal came.
    """
    from experiments.imdb.commands.show.terminal import progress_bar
    from experiments.imdb.reviews.dataset import load
    from recurrent.training import Stopped

    with progress_bar(out, "preparing the reviews") as report:

        def heed(what: str, done: int, total: int) -> None:
            if interrupt:
                raise Stopped
            report(what, done, total)

        sizes = recipe.vocabulary_size, recipe.sequence_length
        share, pairs, stream = recipe.validation_share, recipe.num_pairs, recipe.stream
        return load(recipe.source, data_dir, *sizes, heed, share, pairs, stream)
