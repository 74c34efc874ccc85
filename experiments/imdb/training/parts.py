"""The model as pure functions of its params, for inspection: what explains an answer, and what measures gradients."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from experiments.imdb.pairs import Pairs
from experiments.imdb.training.model import describe_network, make_model
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.words import Words
from recurrent.cells.protocol import Cell

__all__ = ["Parts", "Whole", "take_apart", "take_inputs_apart"]


class Whole(NamedTuple):
    """A model of any recipe, cut at the embeddings of the words."""

    embed: Callable[[Any, Any], Any]  # (params, tokens [*rows, time]) -> embeddings [*rows, time, embedding]
    logits: Callable[[Any, Any, Any], Any]  # (params, embeddings [rows, time, embedding], is_word) -> logits


class Parts(NamedTuple):
    """A model that answers from one state, cut into its cell and what surrounds it."""

    cell: Cell
    cell_params: Callable[[Any], Any]  # (params) -> those of the cell, in the dtype of matmuls
    embed: Callable[[Any, Any], Any]  # (params, tokens [*steps]) -> inputs [*steps, embedding]
    head: Callable[[Any, Any], Any]  # (params, hidden [*batch, hidden]) -> logits [*batch]


def take_inputs_apart(recipe: Recipe, pairs: Pairs | None = None) -> Whole:
    """Returns the parts of the function that `make_forward` returns."""
    description = _description(recipe, pairs)

    def logits(params: Any, x: Float[Array, "rows time embedding"], is_word: Bool[Array, "rows time"]) -> Any:
        model = nnx.merge(description, params)
        return model.from_inputs(model.as_inputs(x), is_word)

    def embed(params: Any, tokens: Int[Array, "*rows time"]) -> Any:
        model = nnx.merge(description, params)
        return model.embed(model.read(tokens.astype(jnp.int32)))

    return Whole(embed, logits)


def take_apart(recipe: Recipe) -> Parts:
    """Returns the parts of a model that answers from one state.

    Raises:
        ValueError: the recipe has several layers or directions, or pools.
    """
    if not recipe.reads_forward:
        raise ValueError("Only a recipe of one layer and direction, with pooling last, answers from one state.")
    description = _description(recipe)

    def head(params: Any, hidden: Float[Array, "*batch hidden"]) -> Any:
        logits = nnx.merge(description, params).head(hidden)
        return logits[..., 0] if recipe.num_classes == 2 else logits

    def embed(params: Any, tokens: Int[Array, "*steps"]) -> Any:
        model = nnx.merge(description, params)
        return model.as_inputs(model.embed(Words(tokens.astype(jnp.int32))))

    return Parts(
        cell=describe_network(recipe).cells[0],
        cell_params=lambda params: nnx.merge(description, params).network_params()[0].forward,
        embed=embed,
        head=head,
    )


def _description(recipe: Recipe, pairs: Pairs | None = None) -> Any:
    return nnx.graphdef(nnx.eval_shape(lambda: make_model(recipe, pairs=pairs)))
