"""A run that was never trained but has an opinion: weights large enough to matter, and a few words."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import recurrent
from experiments.imdb.reviews.source import IMDB_CLASSES
from experiments.imdb.runs.open import Run
from experiments.imdb.training.model import init_params, make_forward, make_model
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.vocabulary import Vocabulary
from tests import reference

WORDS = ("the", "film", "was", "good", "bad", "great", "awful", "it", "rare", "rarer")


def make_small_run(
    cell: str = "lstm",
    padding: str = "keras",
    sequence_length: int = 12,
    seed: int = 0,
    classes: tuple[str, ...] = IMDB_CLASSES,
    **fields: Any,
) -> Run:
    """Ids 4 to 11 are known; the last two words are beyond the vocabulary's size."""
    recipe = Recipe(
        cell=cell,
        padding=padding,
        vocabulary_size=12,
        sequence_length=sequence_length,
        embedding_size=reference.INPUT,
        hidden_size=reference.HIDDEN,
        seed=seed,
        num_classes=len(classes),
        **fields,
    )
    numbers = np.random.default_rng(seed)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(0.7 * numbers.normal(size=leaf.shape), leaf.dtype), init_params(recipe)
    )
    return Run(
        recipe=recipe,
        params=params,
        model=make_model(recipe, params),
        forward=make_forward(recipe),
        vocabulary=Vocabulary(WORDS, recipe.vocabulary_size),
        records=[],
        timings=[],
        manifest={},
        step=0,
        classes=classes,
    )


def loop_logits(run: Run, ids: list[int], num_padding: int = 0) -> list[Any]:
    """The logit after each id, or that of each class if there are more than two, in NumPy float64 loops."""
    cell = reference.CELLS[run.recipe.cell]
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), run.params)
    cell_params = recurrent.CELLS[run.recipe.cell].Params(**params["recurrent"])
    table = params["embedding"]["embedding"]
    state = tuple(np.zeros(run.recipe.hidden_size) for _ in range(cell.num_states))
    if run.recipe.padding == "masked":
        num_padding = 0
    logits = []
    for number in [0] * num_padding + list(ids):
        state = cell.step(cell_params, state, table[number])
        of_classes = state[0] @ params["head"]["kernel"] + params["head"]["bias"]
        logits.append(of_classes if run.recipe.num_classes > 2 else float(of_classes[0]))
    return logits[num_padding:]
