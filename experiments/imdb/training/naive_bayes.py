"""Initial embeddings that know how often a word stands in each class: naive Bayes' log-count ratios.

    r = log( (p / |p|) / (q / |q|) ),   p = 1 + reviews of the class with the word,   q = 1 + others with the word

The ratio of each word, and of each pair, is added to its embedding in one random direction for each class; for two
classes, the second alone. A linear model has these as weights in Wang & Manning (2012), a neural one as initial
embeddings in Li et al. (2016), Weighted Neural Bag-of-n-grams Model.
"""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int, Shaped

from experiments.imdb.pairs import Pairs
from experiments.imdb.reviews.examples import Examples
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.words import read_words
from experiments.imdb.vocabulary import ID_OFFSET, Vocabulary

__all__ = ["log_count_ratios", "with_ratios"]

_CHUNK = 1024  # reviews whose pairs are looked up at a time


def with_ratios(params: Any, recipe: Recipe, examples: Examples, vocabulary: Vocabulary) -> Any:
    """Returns params whose embeddings hold the log-count ratios of the training reviews, times `recipe.naive_bayes`."""
    tables = {"embedding": (examples.tokens, ID_OFFSET + 1)}
    if recipe.bigrams:
        tables["pairs"] = _pair_rows(examples.tokens, vocabulary.pairs), 1
    draw = np.random.default_rng(recipe.seed)
    num_directions = 1 if recipe.num_classes == 2 else recipe.num_classes
    directions = draw.normal(size=(num_directions, recipe.embedding_size))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    changed = dict(params)
    for name, (rows, first) in tables.items():
        table = params[name]["embedding"]
        ratios = log_count_ratios(rows, examples.labels, len(table), first, recipe.num_classes)
        added = recipe.naive_bayes * ratios[:, -num_directions:] @ directions
        changed[name] = {**params[name], "embedding": table + added.astype(table.dtype)}
    return changed


def _pair_rows(tokens: Int[np.ndarray, "reviews time"], pairs: Pairs) -> Int[np.ndarray, "reviews time"]:
    read = jax.jit(lambda part: read_words(part.astype(np.int32), pairs).pairs)
    found = [np.asarray(read(tokens[start : start + _CHUNK])) for start in range(0, len(tokens), _CHUNK)]
    return np.concatenate(found)


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
    ordered = np.sort(rows, axis=1).astype(np.int64)
    is_new = np.diff(ordered, axis=1, prepend=-1) != 0
    of_review = np.broadcast_to(np.asarray(labels).astype(np.int64)[:, None], rows.shape)
    cell = ordered[is_new] * num_classes + of_review[is_new]
    counts = np.bincount(cell, minlength=num_rows * num_classes).reshape(num_rows, num_classes).astype(np.float64)
    counts[:first] = 0
    total = counts.sum(axis=1, keepdims=True)
    own, others = 1 + counts, 1 + total - counts
    ratios = np.log(own / own.sum(axis=0)) - np.log(others / others.sum(axis=0))
    return np.where(total > 0, ratios, 0.0)
