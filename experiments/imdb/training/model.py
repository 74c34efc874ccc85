"""The benchmark's model: `Embedding(10000, 32) -> cell(32) -> Dense(1)`, with Keras' initializers, on Flax NNX.

`like` names another library, whose initializers are taken instead.
A recipe may stack layers, read in both directions, pool the outputs over the words and draw noise in training.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Shaped

import recurrent
from experiments.imdb.pairs import Pairs
from experiments.imdb.training.adversarial import Embeddings, move
from experiments.imdb.training.noise import Noise, drop_inputs, drop_weights, drop_words, recurrent_masks
from experiments.imdb.training.own_counts import OwnCounts
from experiments.imdb.training.pooling import num_features, pool
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.words import Words, count_padding, read_words
from recurrent.cells.precision import carry_dtype, cast
from recurrent.cells.profiles import PROFILES, Profile
from recurrent.layers.nnx import Network as NetworkLayer
from recurrent.layers.nnx import Recurrent
from recurrent.network import Directions, Network, run_network, run_network_final
from recurrent.regularize import Zoneout, ZoneoutInputs, dropout, zoneout_inputs
from recurrent.training.streams import draw_weights

__all__ = [
    "Classifier",
    "describe_network",
    "former_path",
    "init_params",
    "make_forward",
    "make_model",
]

Logits = Float[Array, "batch"] | Float[Array, "batch classes"]
"""One logit of "positive" for a review with two classes, otherwise one for each class."""


class Classifier(nnx.Module):
    """Returns the logits of a review, from the state after its last word or from the outputs at all words.

    Padding is in front. "keras": padding is input, as in the published run, and computed once per batch. "masked":
    padding is skipped.
    """

    def __init__(
        self, recipe: Recipe, rngs: nnx.Rngs, pairs: Pairs | None = None, own_counts: OwnCounts | None = None
    ) -> None:
        """Initializes the weights.

        Args:
            recipe: the recipe.
            rngs: what the weights are drawn from.
            pairs: those of the vocabulary, for a recipe with bigrams; without them the model can't be called.
            own_counts: what training reviews' own counts add, for a recipe with `leave_one_out` that trains.
        """
        self.recipe, self.own_counts = recipe, _Constant(own_counts)
        self.known_pairs = pairs if recipe.bigrams else None
        dtype = jnp.dtype(recipe.dtype)
        param_dtype, profile = carry_dtype(dtype), PROFILES[recipe.like]
        self.embedding = nnx.Embed(
            recipe.vocabulary_size,
            recipe.embedding_size,
            embedding_init=profile.embedding,
            dtype=dtype,
            param_dtype=param_dtype,
            rngs=rngs,
        )
        self.pairs: Any = nnx.data(None)
        self.pair_kernel: Any = nnx.data(None)
        if recipe.bigrams:
            of_table: dict[str, Any] = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
            size, init = recipe.pair_size or recipe.embedding_size, profile.embedding
            if recipe.pair_size:
                init = nnx.initializers.zeros
                self.pair_kernel = nnx.Linear(
                    size, recipe.embedding_size, use_bias=False, kernel_init=profile.dense_kernel, **of_table
                )
            self.pairs = nnx.Embed(recipe.pair_rows, size, embedding_init=init, **of_table)
        self.network = describe_network(recipe)
        of_layer: dict[str, Any] = {"param_dtype": param_dtype, "rngs": rngs, "profile": profile}
        # One layer keeps the names that its params had before there were several.
        self.recurrent = (
            Recurrent(self.network.cells[0], recipe.embedding_size, self.network.hidden_sizes[0], **of_layer)
            if _is_single(recipe)
            else NetworkLayer(self.network, recipe.embedding_size, **of_layer)
        )
        size = self.network.hidden_sizes[-1] * (2 if recipe.bidirectional else 1)
        num_logits = 1 if recipe.num_classes == 2 else recipe.num_classes
        num_pooled = size + (recipe.embedding_size if recipe.pools_inputs else 0)
        self.head = _dense(profile, num_features(recipe.pooling, num_pooled), num_logits, param_dtype, rngs)
        has_attention = recipe.pooling == "attention"
        self.attention: Any = _dense(profile, num_pooled, 1, param_dtype, rngs) if has_attention else nnx.data(None)

    def __call__(
        self, tokens: Int[Array, "batch time"], noise: Noise | None = None, direction: Embeddings | None = None
    ) -> Logits:
        """Returns the logits of each review.

        Args:
            tokens: the ids of the reviews.
            noise: in training, what the recipe's noise is drawn from.
            direction: in adversarial training, of the perturbation.
        """
        num_padding = count_padding(tokens)
        is_word = jax.lax.broadcasted_iota(num_padding.dtype, tokens.shape, 1) >= num_padding[:, None]
        words = self.read(tokens)
        if noise is not None:
            words = drop_words(noise, self.recipe.word_dropout_rate, words, is_word)
            return self.from_inputs(self._noisy_inputs(noise, words, is_word, direction), is_word, noise)
        return self._answer(words, is_word, self.reading(words, num_padding), None)

    def read(self, tokens: Int[Array, "*batch time"]) -> Words:
        """Returns the words of reviews, with their pairs where the recipe has bigrams."""
        if self.recipe.bigrams and self.known_pairs is None:
            raise ValueError("A model with bigrams needs the pairs of its vocabulary: make_forward(recipe, pairs).")
        return read_words(tokens, self.known_pairs, self.recipe.trigrams > 0)

    def reading(self, words: Words, num_padding: Int[Array, "batch"]) -> dict[str, Any]:
        """Returns the options by which the first layer reads words, without noise."""
        options: dict[str, Any] = {"make_inputs": lambda words: self.as_inputs(self.embed(words))}
        if self.recipe.padding == "keras":
            options["prefix"] = recurrent.Prefix(_padding(words), num_padding)
        return options

    def embed(self, words: Words, labels: Shaped[Array, "batch"] | None = None) -> Float[Array, "*steps embedding"]:
        """Returns the embedding of each step; in training with `leave_one_out`, with the reviews' labels."""
        x, own = self.embedding(words.tokens), self.own_counts.value
        if own is not None and labels is not None:
            x = x - own.of_words(words.tokens, labels).astype(x.dtype)
        if words.pairs is None:
            return x
        of_pairs = jnp.where((words.pairs > 0)[..., None], self.pairs(words.pairs), jnp.zeros((), x.dtype))
        if own is not None and labels is not None:
            of_pairs = of_pairs - own.of_pairs(words.pairs, labels).astype(x.dtype)
        if self.recipe.trigrams:
            of_pairs = jnp.sum(of_pairs, axis=-2)
        return x + (self.pair_kernel(of_pairs) if self.recipe.pair_size else of_pairs)

    def as_inputs(self, x: Float[Array, "*steps embedding"]) -> Any:
        """Returns the inputs of the first layer from embeddings."""
        return ZoneoutInputs(x) if self.recipe.zoneout_rate else x

    def from_inputs(self, inputs: Any, is_word: Bool[Array, "batch time"], noise: Noise | None = None) -> Logits:
        """Returns the logits from the inputs of the first layer, as `as_inputs` makes them."""
        return self._answer(inputs, is_word, {}, noise)

    def network_params(self) -> tuple[Directions, ...]:
        """Returns the params of all layers, in the dtype of matmuls."""
        params = self.recurrent.cell_params()
        return cast((Directions(params),) if _is_single(self.recipe) else params, jnp.dtype(self.recipe.dtype))

    def _noisy_inputs(
        self, noise: Noise, words: Words, is_word: Bool[Array, "batch time"], direction: Embeddings | None
    ) -> Any:
        recipe = self.recipe
        x = self.embed(words, noise.labels)
        x = drop_inputs(noise, recipe.embedding_dropout_rate, recipe.input_dropout_rate, x)
        if direction is not None:
            x = move(x, is_word, direction, recipe.adversarial)
        if not recipe.zoneout_rate:
            return x
        cell: Any = self.network.cells[0]
        return zoneout_inputs(noise.key_of("zoneout"), cell, x, noise.numbers, self.network.hidden_sizes[0])

    def _answer(
        self, inputs: Any, is_word: Bool[Array, "batch time"], options: dict[str, Any], noise: Noise | None
    ) -> Logits:
        recipe, params = self.recipe, self.network_params()
        options |= {"segment_size": recipe.segment_size, "backend": recipe.backend, "dtype": jnp.dtype(recipe.dtype)}
        if recipe.padding == "masked":
            options["is_token"] = is_word
        if noise is not None:
            params = drop_weights(noise, recipe.weight_dropout_rate, params)
            masks = recurrent_masks(noise, recipe.recurrent_dropout_rate, self.network)
            options |= {"recurrent_mask": masks, "key": noise.key_of("layers"), "numbers": noise.numbers}
        if recipe.pooling == "last":
            last = run_network_final(self.network, params, inputs, **options)[-1]
            features = jnp.concatenate([state.hidden for state in last if state is not None], axis=-1)
        else:
            outputs, _ = run_network(self.network, params, inputs, **options)
            if recipe.pools_inputs:
                x = self.embed(inputs) if isinstance(inputs, Words) else inputs
                outputs = jnp.concatenate([outputs, x.astype(outputs.dtype)], axis=-1)
            features = pool(recipe.pooling, outputs, is_word, self._score)
        if noise is not None:
            head = dropout(noise.key_of("head"), recipe.head_dropout_rate, features[:, None, :], noise.numbers)
            features = head[:, 0, :]
        logits = self.head(features)
        return logits[:, 0] if recipe.num_classes == 2 else logits

    def _score(self, outputs: Float[Array, "batch time output"]) -> Float[Array, "batch time"]:
        return self.attention(outputs)[..., 0]


def describe_network(recipe: Recipe) -> Network:
    """Returns the description of the recurrent layers."""
    cells: Any = tuple(recurrent.CELLS[name] for name in recipe.cells)
    if recipe.zoneout_rate:
        cells = tuple(Zoneout(cell, recipe.zoneout_rate) for cell in cells)
    return Network(
        cells,
        recipe.sizes,
        is_bidirectional=recipe.bidirectional,
        is_residual=recipe.residual,
        dropout_rate=recipe.layer_dropout_rate,
    )


def make_model(
    recipe: Recipe, params: Any = None, pairs: Pairs | None = None, own_counts: OwnCounts | None = None
) -> Classifier:
    """Returns the model with the given params, or with the recipe's initial ones.

    Args:
        recipe: the recipe.
        params: nested dicts of arrays.
        pairs: those of the vocabulary.
        own_counts: for training with `leave_one_out`.
    """
    model = draw_weights(recipe.seed, lambda key: Classifier(recipe, nnx.Rngs(params=key), pairs, own_counts))
    if params is not None:
        nnx.update(model, params)
    return model


def init_params(recipe: Recipe) -> Any:
    """Returns the initial weights, as nested dicts of arrays."""
    return nnx.to_pure_dict(nnx.state(make_model(recipe), nnx.Param))


def former_path(path: str) -> str:
    """Returns the path that a leaf of the training state had while the cell's params were one param of the model."""
    return path.replace("/recurrent/", "/recurrent/params/")


def make_forward(recipe: Recipe, pairs: Pairs | None = None, own_counts: OwnCounts | None = None) -> Any:
    """Returns the model as a pure function: (params, tokens, noise=None, direction=None) -> logits of each review.

    Args:
        recipe: the recipe.
        pairs: those of the vocabulary, which a recipe with bigrams needs.
        own_counts: what training with `leave_one_out` needs.
    """
    description = nnx.graphdef(nnx.eval_shape(lambda: make_model(recipe, pairs=pairs, own_counts=own_counts)))

    def forward(
        params: Any,
        tokens: Int[Array, "batch time"],
        noise: Noise | None = None,
        direction: Embeddings | None = None,
    ) -> Logits:
        return nnx.merge(description, params)(tokens.astype(jnp.int32), noise, direction)

    return forward


@dataclass(frozen=True, eq=False)
class _Constant:
    """Holds arrays that are no part of the model's state; equal to itself alone, so that a program can be looked up."""

    value: OwnCounts | None


def _padding(words: Words) -> Words:
    """Returns what is read at a step of padding."""
    num_axes = words.tokens.ndim
    return jax.tree.map(lambda ids: jnp.zeros(ids.shape[num_axes:], ids.dtype), words)  # PADDING_ID, and no pair


def _is_single(recipe: Recipe) -> bool:
    return recipe.layers == 1 and not recipe.bidirectional


def _dense(profile: Profile, size: int, num_outputs: int, dtype: Any, rngs: nnx.Rngs) -> nnx.Linear:
    inits = {"kernel_init": profile.dense_kernel, "bias_init": profile.dense_bias(size)}
    return nnx.Linear(size, num_outputs, **inits, param_dtype=dtype, rngs=rngs)
