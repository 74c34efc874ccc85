"""The backend that computes a recipe."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

import recurrent.native
from experiments.imdb.pairs import Pairs
from experiments.imdb.training.model import make_model
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.words import read_words
from experiments.imdb.vocabulary import PADDING_ID
from recurrent.backends import choose, why_not_built
from recurrent.call.call import make_call

__all__ = ["Backend", "choose_backend", "is_native_at_hand"]


class Backend(NamedTuple):
    """The backend that computes the recurrence in training."""

    name: str
    native: str | None  # why it isn't the native one, if that one is only not built


def is_native_at_hand(recipe: Recipe) -> bool:
    """Returns whether the native backend computes a recipe if JAX computes on a CPU; JAX need not have started."""
    has_cells = set(recipe.cells) <= {"simple_rnn", "lstm", "gru"}
    return recipe.backend in ("auto", "native") and has_cells and recurrent.native.why_not() is None


def choose_backend(recipe: Recipe) -> Backend:
    """Returns the backend that computes the first layer's recurrence in evaluation; nothing is compiled.

    Raises:
        ValueError: the recipe names a backend that cannot run it.
    """
    found = []

    def trace(tokens: Int[Array, "batch time"]) -> None:
        model, dtype = make_model(recipe), jnp.dtype(recipe.dtype)
        words = read_words(tokens, Pairs() if recipe.bigrams else None, recipe.trigrams > 0)
        options = model.reading(words, jnp.zeros(len(tokens), jnp.int32))
        if recipe.padding == "masked":
            options["is_token"] = tokens != PADDING_ID
        call = make_call(
            model.network.cells[0],
            model.network_params()[0].forward,
            words,
            keeps_outputs=not recipe.reads_forward,
            segment_size=recipe.segment_size,
            dtype=dtype,
            **options,
        )
        found.append(Backend(choose(call, recipe.backend), why_not_built(call) if recipe.backend == "auto" else None))

    jax.eval_shape(trace, jax.ShapeDtypeStruct((recipe.batch_size, recipe.sequence_length), jnp.int32))
    return found[0]
