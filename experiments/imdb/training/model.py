"""The benchmark's model: `Embedding(10000, 32) -> cell(32) -> Dense(1)`, with Keras' initializers, on Flax NNX."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

import recurrent
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.vocabulary import PADDING_ID
from recurrent.backends import choose, why_not_built
from recurrent.call.call import make_call
from recurrent.cells.precision import carry_dtype, cast
from recurrent.cells.protocol import Cell
from recurrent.layers.nnx import Recurrent
from recurrent.shapes import RandomKey
from recurrent.training.streams import draw_weights

__all__ = [
    "Backend",
    "Classifier",
    "Parts",
    "choose_backend",
    "former_path",
    "init_params",
    "make_forward",
    "make_model",
    "take_apart",
]


class Classifier(nnx.Module):
    """Returns one logit for a review, from the cell's state after its last word.

    Padding is in front. "keras": padding is input, as in the published run, and computed once per batch. "masked":
    padding is skipped.
    """

    def __init__(self, recipe: Recipe, rngs: nnx.Rngs) -> None:
        """Initializes the weights."""
        dtype = jnp.dtype(recipe.dtype)
        param_dtype = carry_dtype(dtype)
        self.embedding = nnx.Embed(
            recipe.vocabulary_size,
            recipe.embedding_size,
            embedding_init=_uniform,
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )
        self.recurrent = Recurrent(
            recurrent.CELLS[recipe.cell],
            recipe.embedding_size,
            recipe.hidden_size,
            segment_size=recipe.segment_size,
            backend=recipe.backend,
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )
        self.padding = recipe.padding
        glorot_uniform = nnx.initializers.glorot_uniform()
        self.head = nnx.Linear(recipe.hidden_size, 1, kernel_init=glorot_uniform, param_dtype=param_dtype, rngs=rngs)

    def __call__(self, tokens: Int[Array, "batch time"]) -> Float[Array, "batch"]:
        """Returns the logit of "positive" for each review."""
        final = self.recurrent.final(tokens, **self.options(tokens))
        return self.head(final.hidden)[:, 0]

    def options(self, tokens: Int[Array, "batch time"]) -> dict[str, Any]:
        """Returns the options of the recurrent layer's call."""
        num_padding = jnp.sum(jnp.cumsum(tokens != PADDING_ID, axis=1) == 0, axis=1)
        if self.padding == "keras":
            prefix = recurrent.Prefix(jnp.asarray(PADDING_ID, tokens.dtype), num_padding)
            return {"prefix": prefix, "make_inputs": self.embedding}
        is_token = jax.lax.broadcasted_iota(num_padding.dtype, tokens.shape, 1) >= num_padding[:, None]
        return {"is_token": is_token, "make_inputs": self.embedding}


def make_model(recipe: Recipe, params: Any = None) -> Classifier:
    """Returns the model with the given params, or with the recipe's initial ones."""
    model = draw_weights(recipe.seed, lambda key: Classifier(recipe, nnx.Rngs(params=key)))
    if params is not None:
        nnx.update(model, params)
    return model


def init_params(recipe: Recipe) -> Any:
    """Returns the initial weights, as nested dicts of arrays."""
    return nnx.to_pure_dict(nnx.state(make_model(recipe), nnx.Param))


def former_path(path: str) -> str:
    """Returns the path that a leaf of the training state had while the cell's params were one param of the model."""
    return path.replace("/recurrent/", "/recurrent/params/")


def make_forward(recipe: Recipe) -> Any:
    """Returns the model as a pure function: (params, tokens [batch, time]) -> logits [batch]."""
    description = nnx.graphdef(nnx.eval_shape(lambda: make_model(recipe)))

    def forward(params: Any, tokens: Int[Array, "batch time"]) -> Float[Array, "batch"]:
        return nnx.merge(description, params)(tokens.astype(jnp.int32))

    return forward


class Backend(NamedTuple):
    """The backend that computes the recurrence in training."""

    name: str
    native: str | None  # why it isn't the native one, if that one is only not built


def choose_backend(recipe: Recipe) -> Backend:
    """Returns the backend that computes the recurrence of a recipe; nothing is compiled.

    Raises:
        ValueError: the recipe names a backend that cannot run it.
    """
    found = []

    def trace(tokens: Int[Array, "batch time"]) -> None:
        model, dtype = make_model(recipe), jnp.dtype(recipe.dtype)
        call = make_call(
            recurrent.CELLS[recipe.cell],
            cast(model.recurrent.cell_params(), dtype),
            tokens,
            keeps_outputs=False,
            segment_size=recipe.segment_size,
            dtype=dtype,
            **model.options(tokens),
        )
        found.append(Backend(choose(call, recipe.backend), why_not_built(call) if recipe.backend == "auto" else None))

    jax.eval_shape(trace, jax.ShapeDtypeStruct((recipe.batch_size, recipe.sequence_length), jnp.int32))
    return found[0]


class Parts(NamedTuple):
    """The model as pure functions of its params, for inspection."""

    cell: Cell
    cell_params: Callable[[Any], Any]  # (params) -> those of the cell, in the dtype of matmuls
    embed: Callable[[Any, Any], Any]  # (params, tokens [*steps]) -> inputs [*steps, embedding]
    head: Callable[[Any, Any], Any]  # (params, hidden [*batch, hidden]) -> logits [*batch]


def take_apart(recipe: Recipe) -> Parts:
    """Returns the parts of the function that `make_forward` returns."""
    description = nnx.graphdef(nnx.eval_shape(lambda: make_model(recipe)))

    def cell_params(params: Any) -> Any:
        of_cell = nnx.merge(description, params).recurrent.cell_params()
        return jax.tree.map(lambda leaf: leaf.astype(recipe.dtype), of_cell)

    return Parts(
        cell=recurrent.CELLS[recipe.cell],
        cell_params=cell_params,
        embed=lambda params, tokens: nnx.merge(description, params).embedding(tokens.astype(jnp.int32)),
        head=lambda params, hidden: nnx.merge(description, params).head(hidden)[..., 0],
    )


def _uniform(key: RandomKey, shape: tuple[int, ...], dtype: Any) -> Array:
    """Draws from U(-0.05, 0.05), as Keras' Embedding does."""
    return jax.random.uniform(key, shape, dtype, minval=-0.05, maxval=0.05)
