"""Initial embeddings that know how often a word stands in each class: naive Bayes' log-count ratios.

    r = log( (p / |p|) / (q / |q|) ),   p = 1 + reviews of the class with the word,   q = 1 + others with the word

The ratio of each word, pair and triple is added to its embedding in one random direction for each class; for two
classes, the second alone. A linear model has these as weights in Wang & Manning (2012), a neural one as initial
embeddings in Li et al. (2016), Weighted Neural Bag-of-n-grams Model.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Shaped

from experiments.imdb.reviews.examples import Examples
from experiments.imdb.reviews.kept import kept
from experiments.imdb.reviews.stored import StoredTokens
from experiments.imdb.training.own_counts import OwnCounts, shares_of
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.words import read_words
from experiments.imdb.vocabulary import ID_OFFSET, Vocabulary

__all__ = ["Counts", "count_rows", "log_count_ratios", "own_counts", "with_ratios"]

_CHUNK = 1024  # reviews that are counted at a time


Counts = dict[str, Int[np.ndarray, "rows classes"]]
"""Table -> how many reviews of each class hold each of its rows."""


def with_ratios(params: Any, recipe: Recipe, counts: Counts) -> Any:
    """Returns params whose embeddings hold the log-count ratios of the training reviews, times `recipe.naive_bayes`."""
    directions, changed = _directions(recipe), dict(params)
    in_table = {"embedding": directions, "pairs": _pair_directions(recipe)}
    for name, of_rows in counts.items():
        table = params[name]["embedding"]
        added = recipe.naive_bayes * _ratios(of_rows)[:, -len(directions) :] @ in_table[name]
        changed[name] = {**params[name], "embedding": table + added.astype(table.dtype)}
    if recipe.pair_size:
        kernel = params["pair_kernel"]["kernel"]
        rows = jnp.asarray(directions, kernel.dtype)
        changed["pair_kernel"] = {"kernel": jnp.concatenate([rows, kernel[len(rows) :]])}
    return changed


def own_counts(recipe: Recipe, counts: Counts) -> OwnCounts:
    """Returns what a training review's own count adds to its initial embeddings."""
    directions = _directions(recipe)
    shares = {name: shares_of(each, len(directions)) for name, each in counts.items()}
    scaled = [(recipe.naive_bayes * each).astype(np.float32) for each in (directions, _pair_directions(recipe))]
    return OwnCounts(shares, *scaled)


def _directions(recipe: Recipe) -> Float[np.ndarray, "directions embedding"]:
    """Returns random directions of length 1. With `leave_one_out` all seeds have the same, so that their runs can share
    a program.
    """
    if recipe.leave_one_out:
        draw: Any = np.random.RandomState(0)  # a resume draws again, and NumPy never changes this stream
    else:
        draw = np.random.default_rng(recipe.seed)
    num_directions = 1 if recipe.num_classes == 2 else recipe.num_classes
    directions = draw.normal(size=(num_directions, recipe.embedding_size))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _pair_directions(recipe: Recipe) -> Float[np.ndarray, "directions features"]:
    """Returns the ratios' directions in the table of pairs: with `pair_size`, the first features."""
    directions = _directions(recipe)
    return np.eye(len(directions), recipe.pair_size) if recipe.pair_size else directions


def count_rows(recipe: Recipe, examples: Examples, vocabulary: Vocabulary) -> Counts:
    """Returns how many reviews of each class hold each row of each table.

    Of reviews on disk, the counts are kept there too.
    """
    tokens: Any = examples.tokens
    compute = partial(_count_all, recipe, examples, vocabulary)
    if not isinstance(tokens, StoredTokens):
        return compute()
    of_words = f"{recipe.vocabulary_size}-{recipe.validation_share!r}-{recipe.sequence_length}"
    return kept(tokens.folder / f"counts-{of_words}-{recipe.bigrams}-{recipe.trigrams}.npz", compute)


def _count_all(recipe: Recipe, examples: Examples, vocabulary: Vocabulary) -> Counts:
    """Counts some reviews at a time."""
    read = partial(read_words, pairs=vocabulary.pairs, has_triples=recipe.trigrams > 0)
    look_up = jax.jit(lambda tokens: read(tokens.astype(np.int32)).pairs)
    sizes = {"embedding": recipe.vocabulary_size} | ({"pairs": recipe.pair_rows} if recipe.bigrams else {})
    counts = {name: np.zeros((size, recipe.num_classes), np.int64) for name, size in sizes.items()}
    for start in range(0, len(examples.labels), _CHUNK):
        some = slice(start, min(start + _CHUNK, len(examples.labels)))
        tokens, labels = examples.tokens[some], examples.labels[some]
        held = {"embedding": tokens} | ({"pairs": np.asarray(look_up(tokens))} if recipe.bigrams else {})
        for name, rows in held.items():
            counts[name] += _count(rows.reshape(len(rows), -1), labels, *counts[name].shape)
    counts["embedding"][: ID_OFFSET + 1] = 0
    if recipe.bigrams:
        counts["pairs"][:1] = 0
    return counts


def log_count_ratios(
    rows: Int[np.ndarray, "reviews time"],
    labels: Shaped[np.ndarray, "reviews"],
    num_rows: int,
    first: int,
    num_classes: int,
) -> Float[np.ndarray, "{num_rows} {num_classes}"]:
    """Returns the ratio of each row of a table for each class; zero for rows that no review has.

    Args:
        rows: what the reviews hold; a review counts a row once.
        labels: from 0.
        num_rows: of the table.
        first: the first row that is a word or pair; those before have ratio 0.
        num_classes: of the labels.
    """
    counts = _count(rows, labels, num_rows, num_classes)
    counts[:first] = 0
    return _ratios(counts)


def _count(
    rows: Int[np.ndarray, "reviews time"], labels: Shaped[np.ndarray, "reviews"], num_rows: int, num_classes: int
) -> Int[np.ndarray, "{num_rows} {num_classes}"]:
    """Returns how many reviews of each class hold each row of a table."""
    ordered = np.sort(rows, axis=1).astype(np.int64)
    is_new = np.diff(ordered, axis=1, prepend=-1) != 0
    of_review = np.broadcast_to(np.asarray(labels).astype(np.int64)[:, None], rows.shape)
    cell = ordered[is_new] * num_classes + of_review[is_new]
    return np.bincount(cell, minlength=num_rows * num_classes).reshape(num_rows, num_classes)


def _ratios(counts: Int[np.ndarray, "rows classes"]) -> Float[np.ndarray, "rows classes"]:
    counts = counts.astype(np.float64)
    total = counts.sum(axis=1, keepdims=True)
    own, others = 1 + counts, 1 + total - counts
    ratios = np.log(own / own.sum(axis=0)) - np.log(others / others.sum(axis=0))
    return np.where(total > 0, ratios, 0.0)
