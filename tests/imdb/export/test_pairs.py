"""The rows of word pairs in Keras and ONNX are the model's, for ids and tables of any size."""

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.imdb.export.keras_pairs import pair_rows
from experiments.imdb.export.onnx_graph import Graph
from experiments.imdb.export.onnx_parts import pair_rows as onnx_rows
from experiments.imdb.pairs import frequent_pairs
from experiments.imdb.training.words import read_words

TOKENS = np.random.default_rng(0).integers(0, [[12], [10_000], [200_000], [(1 << 31) - 1]], (4, 500)).astype(np.int32)
TOKENS[:, :7] *= np.arange(7) > 3
SIZES = (0, 1, 2, 3, 511, 1000)


def pairs_of(size):
    pairs = frequent_pairs([row[row > 0] for row in TOKENS], size)
    assert len(pairs) == size
    return pairs


@pytest.mark.parametrize("size", SIZES)
def test_keras(size, relaxed):
    keras = pytest.importorskip("keras")
    pairs = pairs_of(size)
    with relaxed():
        tokens = keras.Input((None,), dtype="int32")
        rows, weights = pair_rows(keras, tokens, pairs)
        model = keras.Model(tokens, rows)
        for layer, arrays in weights.items():
            layer.set_weights(arrays)
        found = np.asarray(model(TOKENS))
    as_int32 = np.array(pairs.hashes, np.uint32).astype(np.int32)
    row_of = np.concatenate([[0], 1 + np.argsort(as_int32)])
    np.testing.assert_array_equal(row_of[found], read_words(jnp.asarray(TOKENS), pairs).pairs)


@pytest.mark.parametrize("size", SIZES)
def test_onnx(size):
    onnxruntime = pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper

    graph, pairs = Graph(), pairs_of(size)
    graph.output("rows", onnx_rows(graph, "tokens", pairs))
    values = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "time"]) for name in ("tokens", "rows")]
    session = onnxruntime.InferenceSession(graph.model("pairs", values[:1], values[1:]).SerializeToString())
    (rows,) = session.run(None, {"tokens": TOKENS.astype(np.int64)})
    np.testing.assert_array_equal(rows, read_words(jnp.asarray(TOKENS), pairs).pairs)
    assert rows.any() == (size > 0)
