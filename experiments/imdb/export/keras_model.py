"""A Keras model of a run, of Keras' own layers and operations: it loads where Keras alone is installed.

It takes token ids, `[batch, time]` in int32, and returns probabilities: `[batch, 1]` of the second of two classes, or
`[batch, classes]`. Where padding is skipped, that is id 0, wherever it stands.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from experiments.imdb.export.keras_pairs import in_signed_order, pair_rows
from experiments.imdb.export.layers import Layer, check_expressible, layers_of
from experiments.imdb.runs.open import Run
from experiments.imdb.vocabulary import PADDING_ID
from recurrent import interop
from recurrent.extras import needs

__all__ = ["MODEL", "build", "check", "write"]

MODEL = "model.keras"


def check(run: Run) -> None:
    """Raises ValueError if Keras has no exact counterpart of the run's model."""
    check_expressible(run.recipe, "Keras", {})


def write(run: Run, folder: Path) -> None:
    """Writes the model into a folder."""
    build(run).save(folder / MODEL)


def build(run: Run) -> Any:
    """Returns the model.

    Raises:
        ValueError: Keras has no exact counterpart.
    """
    check(run)
    keras, recipe, params = _keras(), run.recipe, run.params
    ops, dtype = keras.ops, recipe.dtype
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    is_word = ops.cumsum(ops.cast(ops.not_equal(tokens, PADDING_ID), "int32"), axis=1) > 0
    is_masked = recipe.padding == "masked"
    embedding = keras.layers.Embedding(
        recipe.vocabulary_size,
        recipe.embedding_size,
        mask_zero=is_masked and not recipe.bigrams,
        dtype=dtype,
        name="embedding",
    )
    x, mask, weights = embedding(tokens), {}, {embedding: [params["embedding"]["embedding"]]}
    if recipe.bigrams:
        rows, hashes = pair_rows(keras, tokens, run.vocabulary.pairs, recipe.trigrams > 0)
        size = recipe.pair_size or recipe.embedding_size
        pairs = keras.layers.Embedding(recipe.pair_rows, size, dtype=dtype, name="pairs")
        of_pairs = list(map(pairs, rows))
        if recipe.pair_size:
            kernel = keras.layers.Dense(recipe.embedding_size, use_bias=False, dtype=dtype, name="pair_kernel")
            of_pairs = list(map(kernel, of_pairs))
            weights[kernel] = [params["pair_kernel"]["kernel"]]
        x = keras.layers.Add(name="words_and_pairs")([x, *of_pairs])
        weights |= {**hashes, pairs: [in_signed_order(params["pairs"]["embedding"], run.vocabulary.pairs)]}
        mask = {"mask": is_word} if is_masked else {}
    embedded = x
    for number, layer in enumerate(layers_of(run)):
        recurrent = _recurrent(keras, layer, f"recurrent_{number}", dtype)
        outputs = recurrent(x, **mask)
        (weights[recurrent],) = interop.keras.network_to(layer.network, (layer.params,))
        x = keras.layers.Add(name=f"shortcut_{number}")([x, outputs]) if layer.has_shortcut else outputs
    if recipe.pools_inputs:
        x = ops.concatenate([x, embedded], axis=-1)
    if recipe.pooling == "attention":
        attention = keras.layers.Dense(1, dtype=dtype, name="attention")
        x = _attend(ops, x, attention(x), is_word)
        weights[attention] = _dense(params["attention"])
    elif recipe.pooling != "last":
        x = _pool(ops, recipe.pooling, x, is_word)
    num_classes = recipe.num_classes
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    head = keras.layers.Dense(units, activation=activation, dtype=dtype, name="head")
    model = keras.Model(tokens, head(x), name="classifier")
    weights[head] = _dense(params["head"])
    for layer, arrays in weights.items():
        layer.set_weights([np.asarray(array) for array in arrays])
    return model


def _keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "jax")  # Keras' own default needs TensorFlow
    with needs("The format keras", "export", {"keras": "Keras"}):
        import keras
    return keras


def _recurrent(keras: Any, layer: Layer, name: str, dtype: str) -> Any:
    kinds = {
        "simple_rnn": keras.layers.SimpleRNN,
        "lstm": keras.layers.LSTM,
        "gru": keras.layers.GRU,
        "gru_reset_before": keras.layers.GRU,
    }
    options: dict[str, Any] = {"return_sequences": layer.keeps_outputs, "dtype": dtype}
    if layer.cell in ("gru", "gru_reset_before"):
        options["reset_after"] = layer.cell == "gru"
    if not layer.network.is_bidirectional:
        return kinds[layer.cell](layer.network.hidden_sizes[0], name=name, **options)
    one_way = kinds[layer.cell](layer.network.hidden_sizes[0], name="of_direction", **options)
    return keras.layers.Bidirectional(one_way, dtype=dtype, name=name)


def _pool(ops: Any, pooling: str, outputs: Any, is_word: Any) -> Any:
    is_word, parts = ops.expand_dims(is_word, -1), []
    if pooling in ("mean", "mean_max"):
        count = ops.maximum(ops.sum(ops.cast(is_word, outputs.dtype), axis=1), 1)
        parts.append(ops.sum(ops.where(is_word, outputs, 0), axis=1) / count)
    if pooling in ("max", "mean_max"):
        highest = ops.max(ops.where(is_word, outputs, _lowest(outputs)), axis=1)
        parts.append(ops.where(ops.any(is_word, axis=1), highest, 0))
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)


def _attend(ops: Any, outputs: Any, scores: Any, is_word: Any) -> Any:
    is_word = ops.expand_dims(is_word, -1)
    weights = ops.softmax(ops.where(is_word, scores, _lowest(scores)), axis=1)
    return ops.sum(ops.where(is_word, weights * outputs, 0), axis=1)


def _lowest(x: Any) -> float:
    return float(np.finfo(x.dtype).min)


def _dense(layer: Any) -> list[Any]:
    return [layer["kernel"], layer["bias"]]
