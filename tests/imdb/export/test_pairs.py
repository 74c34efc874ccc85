"""The rows of word pairs in Keras and ONNX are the model's, for ids and tables of any size."""

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.imdb.export.keras_pairs import pair_rows
from experiments.imdb.export.onnx_graph import Graph
from experiments.imdb.export.onnx_parts import pair_rows as onnx_rows
from experiments.imdb.pairs import Pairs, frequent_pairs
from experiments.imdb.training.words import read_words

TOKENS = np.random.default_rng(0).integers(0, [[12], [10_000], [200_000], [(1 << 31) - 1]], (4, 500)).astype(np.int32)
TOKENS[:, :7] *= np.arange(7) > 3
SIZES = (0, 1, 2, 3, 511, 1000)


def pairs_of(size):
    reviews = [row[row > 0] for row in TOKENS]
    triples = frequent_pairs(reviews[:3], size // 2, num_words=3)  # of ids below 2**21
    pairs = Pairs(tuple(sorted({*frequent_pairs(reviews, (size + 1) // 2).hashes, *triples.hashes})))
    assert len(pairs) == size
    return pairs


@pytest.mark.parametrize("size", SIZES)
def test_keras(size, relaxed):
    keras = pytest.importorskip("keras")
    pairs = pairs_of(size)
    with relaxed():
        tokens = keras.Input((None,), dtype="int32")
        rows, weights = pair_rows(keras, tokens, pairs, has_triples=True)
        model = keras.Model(tokens, keras.ops.stack(rows, axis=-1))
        for layer, arrays in weights.items():
            layer.set_weights(arrays)
        found = np.asarray(model(TOKENS))
    as_int32 = np.array(pairs.hashes, np.uint32).astype(np.int32)
    row_of = np.concatenate([[0], 1 + np.argsort(as_int32)])
    np.testing.assert_array_equal(row_of[found], read_words(jnp.asarray(TOKENS), pairs, has_triples=True).pairs)


@pytest.mark.parametrize("size", SIZES)
def test_onnx(size):
    onnxruntime = pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper

    graph, pairs = Graph(), pairs_of(size)
    names = ("pairs", "triples")
    for name, each in zip(names, onnx_rows(graph, "tokens", pairs, has_triples=True), strict=True):
        graph.output(name, each)
    values = [helper.make_tensor_value_info(each, TensorProto.INT64, ["batch", "time"]) for each in ("tokens", *names)]
    session = onnxruntime.InferenceSession(graph.model("rows", values[:1], values[1:]).SerializeToString())
    rows = np.stack(session.run(None, {"tokens": TOKENS.astype(np.int64)}), axis=-1)
    np.testing.assert_array_equal(rows, read_words(jnp.asarray(TOKENS), pairs, has_triples=True).pairs)
    assert rows.any(axis=(0, 1)).tolist() == [size > 0, size > 3]
