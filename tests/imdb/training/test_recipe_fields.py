"""Recipes of all kinds against loops in NumPy, and what is refused before anything compiles."""

import dataclasses
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from experiments.imdb.pairs import known_pairs
from experiments.imdb.training.model import init_params, make_forward
from experiments.imdb.training.noise import Noise
from experiments.imdb.training.objective import make_objective
from experiments.imdb.training.optimizer import make_average, make_optimizer
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.vocabulary import UNKNOWN_ID
from recurrent.training import Batch
from tests import reference

SMALL = Recipe(vocabulary_size=20, embedding_size=3, hidden_size=4, sequence_length=7, padding="masked", segment_size=3)
TOKENS = np.array(
    [[0, 0, 1, 5, 9, 2, 4], [1, 7, 7, 3, 0, 5, 6], [0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 8]], np.int32
)

LABELS = np.array([1, 0, 1, 0], np.float32)


def drawn(recipe, seed=0):
    """Returns params that are large enough to matter."""
    numbers = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: jnp.asarray(0.5 * numbers.normal(size=leaf.shape), leaf.dtype), init_params(recipe)
    )


def directions(params, recipe):
    """Returns the params of each layer's directions, as NamedTuples of float64."""
    if recipe.layers == 1 and not recipe.bidirectional:
        layers = {"0": {"forward": params["recurrent"]}}
    else:
        layers = params["recurrent"]["layers"]
    wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), layers)
    ordered = [wide[name] for name in sorted(wide, key=int)]
    return [
        {way: recurrent.CELLS[name].Params(**own[way]) for way in ("forward", "backward") if way in own}
        for name, own in zip(recipe.cells, ordered, strict=True)
    ]


def pairs_of(recipe):
    """The pairs of the vocabulary: some of those in TOKENS."""
    return known_pairs(lambda: [row[row != 0] for row in TOKENS], recipe.num_pairs) if recipe.bigrams else None


def mixed(one, other):
    """The hash of two numbers, in Python's integers."""
    both = int(one) * 0x9E3779B1 % 2**32 ^ int(other) * 0x85EBCA6B % 2**32
    both = (both ^ both >> 15) * 0x2C1B3C6D % 2**32
    return both ^ both >> 13


def pair_row(words, pairs):
    """The row of a pair or triple; 0 for an unknown one."""
    hashed = reduce(mixed, words)
    return pairs.hashes.index(hashed) + 1 if all(words) and hashed in pairs.hashes else 0


def loop_logits(recipe, params, tokens, moved=0.0):
    """The logits of one review, in float64 loops; with masked padding its words alone are read.

    `moved` is added to the embeddings.
    """
    start = int(np.argmax(tokens != 0)) if np.any(tokens) else len(tokens)
    is_word = np.arange(len(tokens)) >= start
    steps = np.flatnonzero(is_word) if recipe.padding == "masked" else np.arange(len(tokens))
    x = np.asarray(params["embedding"]["embedding"], np.float64)[tokens[steps]]
    if recipe.bigrams:
        pairs = pairs_of(recipe)
        table = np.asarray(params["pairs"]["embedding"], np.float64)
        if recipe.pair_size:
            table = table @ np.asarray(params["pair_kernel"]["kernel"], np.float64)
        for size in (2, 3) if recipe.trigrams else (2,):
            padded = [0] * (size - 1) + tokens.tolist()
            rows = [pair_row(padded[at : at + size], pairs) for at in range(len(tokens))]
            x = x + np.array([table[row] if row else np.zeros(table.shape[1]) for row in rows])[steps]
    x = x + np.broadcast_to(moved, (len(tokens), x.shape[1]))[steps]
    embedded, finals = x, []
    for layer, (name, own) in enumerate(zip(recipe.cells, directions(params, recipe), strict=True)):
        cell, outputs, finals = reference.CELLS[name], [], []
        for way, of_way in own.items():
            state = tuple(np.zeros(recipe.sizes[layer]) for _ in range(cell.num_states))
            found = {}
            for t in range(len(steps))[:: -1 if way == "backward" else 1]:
                state = cell.step(of_way, state, x[t])
                found[t] = state[0]
            finals.append(state[0])
            outputs.append(np.array([found[t] for t in range(len(steps))]).reshape(len(steps), recipe.sizes[layer]))
        output = np.concatenate(outputs, axis=1)
        x = output + x if recipe.residual and output.shape == x.shape else output
    features = np.concatenate(finals)
    if recipe.pools_inputs:
        x = np.concatenate([x, embedded], axis=1)
    words = x[is_word[steps]]
    if recipe.pooling == "attention":
        scores = words @ np.asarray(params["attention"]["kernel"])[:, 0] + np.asarray(params["attention"]["bias"])
        weights = np.exp(scores - scores.max()) if len(words) else scores
        features = (weights / weights.sum()) @ words if len(words) else np.zeros(x.shape[1])
    elif recipe.pooling != "last":
        mean, most = (words.mean(0), words.max(0)) if len(words) else (np.zeros(x.shape[1]),) * 2
        features = {"mean": mean, "max": most, "mean_max": np.concatenate([mean, most])}[recipe.pooling]
    logits = features @ np.asarray(params["head"]["kernel"], np.float64) + np.asarray(params["head"]["bias"])
    return logits[0] if recipe.num_classes == 2 else logits


KINDS = {
    "bidirectional": {"bidirectional": True},
    "stacked": {"layers": 2, "layer_cells": ("gru", "lstm"), "layer_sizes": (4, 5)},
    "padding is input": {"bidirectional": True, "padding": "keras", "pooling": "mean"},
    "mean": {"pooling": "mean", "cell": "gru"},
    "max": {"pooling": "max", "cell": "simple_rnn"},
    "both": {"pooling": "mean_max", "bidirectional": True, "layers": 2, "residual": True, "cell": "gru"},
    "attention": {"pooling": "attention", "bidirectional": True},
    "classes": {"num_classes": 3},
    "bigrams": {"bigrams": 7, "bidirectional": True, "pooling": "max"},
    "bigrams, padding is input": {"bigrams": 11, "padding": "keras"},
    "pairs by a kernel": {"bigrams": 7, "trigrams": 4, "pair_size": 2, "padding": "keras"},
    "trigrams": {"bigrams": 7, "trigrams": 4, "pooling": "mean", "cell": "gru"},
    "inputs are pooled": {
        "pools_inputs": True,
        "pooling": "mean_max",
        "bidirectional": True,
        "bigrams": 7,
        "trigrams": 4,
    },
    "inputs are pooled, padding is input": {"pools_inputs": True, "pooling": "attention", "padding": "keras"},
}


@pytest.mark.parametrize("fields", KINDS.values(), ids=KINDS.keys())
def test_logits_are_those_of_loops(fields):
    recipe = dataclasses.replace(SMALL, **fields)
    params = drawn(recipe)
    found = make_forward(recipe, pairs_of(recipe))(params, jnp.asarray(TOKENS))
    expected = np.array([loop_logits(recipe, params, tokens) for tokens in TOKENS])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


NOISY = {
    "word_dropout_rate": 0.5,
    "embedding_dropout_rate": 0.5,
    "input_dropout_rate": 0.5,
    "recurrent_dropout_rate": 0.5,
    "weight_dropout_rate": 0.5,
    "head_dropout_rate": 0.5,
    "zoneout_rate": 0.5,
    "layer_dropout_rate": 0.5,
}


@pytest.mark.parametrize("name", NOISY)
def test_noise_is_a_function_of_the_examples_number_and_absent_without_a_key(name):
    recipe = dataclasses.replace(SMALL, **{name: NOISY[name]}, layers=2 if name == "layer_dropout_rate" else 1)
    params, forward = drawn(recipe), jax.jit(make_forward(recipe))
    noise = Noise(jax.random.key(3), jnp.array([4, 1, 8, 2]), LABELS)
    noisy = np.asarray(forward(params, TOKENS, noise))
    order = np.array([2, 0, 3, 1])
    again = forward(params, TOKENS[order], noise._replace(numbers=noise.numbers[order]))
    np.testing.assert_allclose(again, noisy[order], rtol=1e-5, atol=1e-6)
    quiet = np.asarray(forward(params, TOKENS))
    assert not np.allclose(noisy[:2], quiet[:2], rtol=1e-3)
    if name != "zoneout_rate":
        plain = make_forward(dataclasses.replace(recipe, **{name: 0.0}))
        np.testing.assert_array_equal(quiet, jax.jit(plain)(params, TOKENS))


def test_dropped_words_are_read_as_the_unknown_word():
    recipe = dataclasses.replace(SMALL, word_dropout_rate=0.999999)
    params, forward = drawn(recipe), make_forward(recipe)
    noisy = forward(params, TOKENS, Noise(jax.random.key(0), jnp.arange(4), LABELS))
    is_word = np.cumsum(TOKENS != 0, axis=1) > 0
    np.testing.assert_allclose(noisy, forward(params, np.where(is_word, UNKNOWN_ID, TOKENS)), rtol=1e-6)


def batch_of(labels):
    from experiments.imdb.reviews.examples import Examples

    examples = Examples(jnp.asarray(TOKENS), jnp.asarray(labels))
    return Batch(examples, jnp.arange(4), jnp.array([1.0, 1.0, 1.0, 0.0]))


def test_the_loss_of_several_classes_is_that_of_a_loop():
    recipe = dataclasses.replace(SMALL, num_classes=3, label_smoothing=0.1)
    params, labels, factors = drawn(recipe), np.array([2, 0, 1, 1]), np.array([1.0, 2.0, 0.5])
    sums = make_objective(make_forward(recipe), recipe, factors)(params, batch_of(labels), jax.random.key(0))
    expected, correct = 0.0, 0
    for tokens, label in zip(TOKENS[:3], labels[:3], strict=True):
        logits = loop_logits(recipe, params, tokens)
        log_probability = logits - np.log(np.sum(np.exp(logits)))
        wanted = 0.9 * np.eye(3)[label] + 0.1 / 3
        expected -= factors[label] * (wanted @ log_probability)
        correct += int(np.argmax(logits) == label)
    np.testing.assert_allclose(sums.loss, expected, rtol=1e-5)
    assert (float(sums.correct), float(sums.weight)) == (correct, 3)


def loop_loss(recipe, params, tokens, label, moved):
    logit = loop_logits(recipe, params, tokens, moved)
    return np.logaddexp(0, logit) - label * logit


def loop_direction(recipe, params, tokens, label):
    """The direction of the loss's gradient with respect to the embeddings of words, by central differences."""
    slope = np.zeros((len(tokens), recipe.embedding_size))
    for place in np.ndindex(*slope.shape):
        change = np.zeros_like(slope)
        change[place] = 1e-5
        slope[place] = loop_loss(recipe, params, tokens, label, change)
        slope[place] -= loop_loss(recipe, params, tokens, label, -change)
    slope *= (np.cumsum(tokens != 0) > 0)[:, None]
    return slope / max(np.linalg.norm(slope), 1e-30)


@pytest.mark.parametrize("padding", ["masked", "keras"])
def test_an_adversary_moves_each_review_along_its_gradient(padding):
    recipe = dataclasses.replace(SMALL, cell="gru", adversarial=0.3, padding=padding, pooling="mean")
    params, labels = drawn(recipe), np.array([1.0, 0.0, 1.0, 1.0], np.float32)
    sums = make_objective(make_forward(recipe), recipe)(params, batch_of(labels), jax.random.key(0))
    table, losses = np.asarray(params["embedding"]["embedding"], np.float64), []
    for tokens, label in zip(TOKENS[:3], labels[:3], strict=True):
        words = table[tokens] * (np.cumsum(tokens != 0) > 0)[:, None]
        moved = 0.3 * np.linalg.norm(words) * loop_direction(recipe, params, tokens, label)
        losses.append([loop_loss(recipe, params, tokens, label, each) for each in (0.0, moved)])
    np.testing.assert_allclose(sums.loss, np.sum(losses), rtol=1e-5)
    assert (float(sums.weight), np.all(np.diff(losses[:2]) > 0.01), losses[2]) == (6, True, [losses[2][0]] * 2)


def test_the_gradient_against_an_adversary_takes_its_direction_as_given():
    recipe = dataclasses.replace(SMALL, adversarial=0.3, bidirectional=True, pooling="mean_max", head_dropout_rate=0.5)
    params, forward = drawn(recipe), make_forward(recipe)
    labels, key = np.array([1.0, 0.0, 1.0, 1.0], np.float32), jax.random.key(0)
    batch = batch_of(labels)
    found = jax.grad(lambda params: make_objective(forward, recipe)(params, batch, key).loss)(params)

    def loss(params, direction):
        logits = forward(params, batch.examples.tokens, Noise(key, batch.number, batch.examples.labels), direction)
        return jnp.sum(batch.weight * (jnp.logaddexp(logits, jnp.zeros(())) - logits * labels))

    zero = jnp.zeros((4, 7, 3))
    slope = np.asarray(jax.grad(loss, argnums=1)(params, zero), np.float64)
    norm = np.sqrt((slope**2).sum((1, 2), keepdims=True))
    direction = jnp.asarray(slope / np.where(norm > 0, norm, 1), jnp.float32)
    expected = jax.grad(lambda params: loss(params, zero) + loss(params, direction))(params)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-6), found, expected)


@pytest.mark.parametrize("fields", [{}, {"adversarial": 0.3, "bigrams": 7}], ids=["plain", "adversary"])
def test_a_batch_of_similar_lengths_has_the_loss_of_its_whole_width(fields):
    wide = dataclasses.replace(SMALL, sequence_length=300, pooling="mean_max", bidirectional=True, **fields)
    params = drawn(wide)
    tokens = np.zeros((4, 300), np.int32)
    tokens[:, 293:] = TOKENS
    labels = jnp.array([1.0, 0.0, 1.0, 0.0])
    losses = []
    for batching in ("shuffled", "by_length"):
        recipe = dataclasses.replace(wide, batching=batching)
        objective = make_objective(make_forward(recipe, pairs_of(recipe)), recipe)
        batch = batch_of(labels)._replace(examples=batch_of(labels).examples._replace(tokens=jnp.asarray(tokens)))
        compiled = jax.jit(lambda params, batch, do=objective: do(params, batch, jax.random.key(0)).loss)
        losses.append(jax.value_and_grad(compiled)(params, batch))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6), *losses)


def test_averages_are_those_of_the_recipe():
    assert make_average(Recipe(), 10) is None
    assert float(make_average(Recipe(ema_decay=0.9), 10)(jnp.int32(50))) == pytest.approx(0.1)
    swa = make_average(Recipe(swa_epochs=2, epochs=5), 10)
    assert [float(swa(jnp.int32(step))) for step in (0, 29, 30, 31)] == [1.0, 1.0, 1.0, 0.5]


@pytest.mark.parametrize("name", ["rmsprop", "adam", "adamw", "sgd", "lion"])
def test_each_optimizer_takes_steps_downhill(name):
    fields = {"sgd": {"momentum": 0.9}, "adamw": {"weight_decay": 0.01}, "lion": {"weight_decay": 0.01}}.get(name, {})
    optimizer = make_optimizer(Recipe(optimizer=name, learning_rate=0.05, **fields), 10)
    with jax.numpy_dtype_promotion("standard"):
        params = jnp.array([1.0, -2.0])
        state = optimizer.init(params)
        for _ in range(20):
            updates, state = optimizer.update(2 * params, state, params)
            params = params + updates
    assert float(jnp.sum(params**2)) < 5.0


REFUSED = {
    "decay is of rmsprop alone": {"optimizer": "adam", "decay": 0.8},
    "epsilon is of rmsprop, adam and adamw alone": {"optimizer": "sgd", "epsilon": 1e-3},
    "momentum is of sgd alone": {"momentum": 0.9},
    "weight_decay is of adamw and lion alone": {"weight_decay": 0.1},
    "layer_dropout_rate acts between layers": {"layer_dropout_rate": 0.1},
    "zoneout_rate needs one layer": {"zoneout_rate": 0.1, "bidirectional": True},
    "ema_decay and swa_epochs exclude": {"ema_decay": 0.9, "swa_epochs": 1},
    "swa_epochs must not be above epochs": {"swa_epochs": 11},
    "batching by_length needs padding masked": {"batching": "by_length"},
    "layer_cells must have one entry a layer, 2 in all, not 1": {"layers": 2, "layer_cells": ("gru",)},
    "layer_cells can't hold 'gruu': choose from simple_rnn": {"layer_cells": ("gruu",)},
    "layer_sizes must be at least 1, not 0": {"layer_sizes": (0,)},
    "residual needs layers of one size": {"residual": True, "layers": 2, "layer_sizes": (3, 4)},
    "pooling can't be 'sum'": {"pooling": "sum"},
    r"word_dropout_rate must lie in \[0, 1\), not 1.0": {"word_dropout_rate": 1.0},
    "num_classes must be at least 2": {"num_classes": 1},
    "adversarial must be at least 0 and finite, not -0.1": {"adversarial": -0.1},
    "bigrams must be 0 or at least 2": {"bigrams": 1},
    "layers must be at least 1": {"layers": 0},
}


@pytest.mark.parametrize(("message", "fields"), REFUSED.items(), ids=REFUSED.keys())
def test_a_field_that_does_not_apply_is_refused_with_the_reason(message, fields):
    with pytest.raises(ValueError, match=message):
        Recipe(**fields)


def test_a_model_with_bigrams_asks_for_its_pairs():
    recipe = dataclasses.replace(SMALL, bigrams=7)
    with pytest.raises(ValueError, match=r"needs the pairs of its vocabulary: make_forward\(recipe, pairs\)"):
        make_forward(recipe)(init_params(recipe), jnp.asarray(TOKENS))
