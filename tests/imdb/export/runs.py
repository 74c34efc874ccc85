"""Runs that were never trained, of any recipe, and what their exports answer by the code of their model cards."""

import contextlib
import io
import os
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments.imdb.export.config import describe
from experiments.imdb.export.write import write_files
from experiments.imdb.pairs import Pairs, known_pairs
from experiments.imdb.runs.open import Run
from experiments.imdb.training.model import init_params, make_forward, make_model
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.vocabulary import Vocabulary
from tests.imdb.small_run import WORDS

TEXTS = (
    "the film was good",
    "bad",
    "",
    "It\u2019s GREAT;it\u00a0was\u2014awful! rare rarer unheard <br />the film the film the film",
    "nothing of it is known",
)
"""With words in and beyond the vocabulary's size, dropped words, typographic characters, none, and too many words."""


def make_run(classes=("negative", "positive"), seed=0, **fields) -> Run:
    """Ids 4 to 11 are known; the last two words are beyond the vocabulary's size."""
    small = {"vocabulary_size": 12, "sequence_length": 9, "embedding_size": 6, "hidden_size": 3}
    recipe = Recipe(**{**small, **fields}, num_classes=len(classes))
    numbers = np.random.default_rng(seed)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(0.7 * numbers.normal(size=leaf.shape), leaf.dtype), init_params(recipe)
    )
    vocabulary = Vocabulary(WORDS, recipe.vocabulary_size, pairs_of(recipe, numbers))
    model, forward = make_model(recipe, params, vocabulary.pairs), make_forward(recipe, vocabulary.pairs)
    return Run(recipe, params, model, forward, vocabulary, [], [], {}, 0, classes)


def pairs_of(recipe, numbers) -> Pairs:
    """About half of all pairs of ids, as many as there are rows for."""
    reviews = [numbers.integers(1, recipe.vocabulary_size, 40) for _ in range(3)]
    return known_pairs(lambda: reviews, recipe.num_pairs)


def write(run: Run, file_format: str, folder: Path) -> None:
    """Writes an export's files into a folder."""
    write_files(run, describe(run, "small", "best"), file_format, folder)


def code_of(folder: Path) -> str:
    """Returns the code of a model card, all blocks together."""
    card = (folder / "README.md").read_text(encoding="utf-8")
    return "\n".join(re.findall(r"```python\n(.*?)```", card, flags=re.S))


def load(folder: Path) -> dict:
    """Runs the code of a model card in its folder; returns the names that it defines."""
    names: dict = {"__name__": "card"}
    before = Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code_of(folder), names)
    finally:
        os.chdir(before)
        jax.config.update("jax_enable_x64", False)  # the code of a card in float64 sets it for its process
    return names
