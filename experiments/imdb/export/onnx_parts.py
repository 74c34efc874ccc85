"""Parts of the model as ONNX nodes: the steps of a text, word pairs, recurrent layers, pooling.

Within, time is the first axis of all floating-point arrays.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from experiments.imdb.export.layers import Layer
from experiments.imdb.export.onnx_graph import Graph
from experiments.imdb.pairs import FACTORS, SHIFTS, Pairs
from experiments.imdb.vocabulary import PADDING_ID
from recurrent import interop

__all__ = ["Steps", "attend", "pair_rows", "pool", "read_steps", "recurrent"]


class Steps(NamedTuple):
    """Names of values that follow from the ids."""

    tokens: str  # [batch, time], words first where padding is skipped
    is_word: str  # [time, batch, 1]
    has_words: str  # [batch, 1]
    lengths: str  # [batch] in int32 where padding is skipped, else empty


def read_steps(graph: Graph, is_masked: bool) -> Steps:
    """Adds what follows from the ids; padding is what stands in front of the first other id."""
    zero, one = graph.constant(np.int64(0)), graph.constant(np.int64(1))
    is_padding = graph("Equal", "tokens", graph.constant(np.int64(PADDING_ID)))
    so_far = graph("CumSum", _as_int64(graph, graph("Not", is_padding)), one)
    is_word = graph("Greater", so_far, zero)
    length = graph("ReduceSum", _as_int64(graph, is_word), graph.constant([1]), keepdims=1)
    tokens, lengths = "tokens", ""
    if is_masked:
        time = graph("Squeeze", graph("Shape", "tokens", start=1, end=2))
        place = graph("Range", zero, time, one)
        moved = graph("Mod", graph("Add", place, graph("Sub", time, length)), time)
        tokens = graph("GatherElements", "tokens", moved, axis=1)
        is_word = graph("Less", place, length)
        # At least one step, since runtimes refuse none; `has_words` makes up for it.
        at_least_one = graph("Squeeze", graph("Max", length, one), graph.constant([1]))
        lengths = graph("Cast", at_least_one, to=_element(np.int32))
    is_word = graph("Unsqueeze", graph("Transpose", is_word, perm=[1, 0]), graph.constant([2]))
    return Steps(tokens, is_word, graph("Greater", length, zero), lengths)


def pair_rows(graph: Graph, tokens: str, pairs: Pairs, has_triples: bool = False) -> list[str]:
    """Adds the rows of `experiments.imdb.training.words.read_words`, of pairs and of triples.

    Their 32 bits are computed here in int64.
    """
    padding = graph.constant(np.int64(PADDING_ID))

    def shifted(x: str) -> str:
        padded = graph("Pad", x, graph.constant([0, 1, 0, 0]), padding)
        return graph("Slice", padded, graph.constant([0]), graph.constant([-1]), graph.constant([1]))

    def row_of(hashed: str, least: str) -> str:
        place, is_known = _find(graph, hashed, np.array(pairs.hashes or (1 << 32,), np.int64))
        is_row = graph("And", graph("Greater", least, padding), is_known)
        return graph("Where", is_row, graph("Add", place, graph.constant(np.int64(1))), graph.constant(np.int64(0)))

    before = shifted(tokens)
    least = graph("Min", before, tokens)
    rows = [row_of(_mix(graph, before, tokens), least)]
    if has_triples:
        first = shifted(before)
        rows.append(row_of(_mix(graph, _mix(graph, first, before), tokens), graph("Min", first, least)))
    return rows


def _mix(graph: Graph, one: str, other: str) -> str:
    """Adds the hash of `experiments.imdb.pairs`."""
    low_bits = graph.constant(np.int64((1 << 32) - 1))

    def times(x: str, factor: int) -> str:
        return graph("BitwiseAnd", graph("Mul", x, graph.constant(np.int64(factor))), low_bits)

    def fold(x: str, bits: int) -> str:
        return graph("BitwiseXor", x, graph("Div", x, graph.constant(np.int64(1 << bits))))

    mixed = graph("BitwiseXor", times(one, FACTORS[0]), times(other, FACTORS[1]))
    return fold(times(fold(mixed, SHIFTS[0]), FACTORS[2]), SHIFTS[1])


def _find(graph: Graph, values: str, ascending: Int[np.ndarray, "known"]) -> tuple[str, str]:
    """Adds a binary search, since ONNX has none: the place of each value, and whether it is there."""
    length = 1 << (len(ascending) - 1).bit_length()
    padded = graph.constant(np.pad(ascending, (0, length - len(ascending)), constant_values=np.iinfo(np.int64).max))
    place = graph("Mul", values, graph.constant(np.int64(0)))
    while length := length // 2:
        middle = graph("Gather", padded, graph("Add", place, graph.constant(np.int64(length - 1))))
        further = graph("Add", place, graph.constant(np.int64(length)))
        place = graph("Where", graph("Less", middle, values), further, place)
    return place, graph("Equal", graph("Gather", padded, place), values)


def recurrent(graph: Graph, layer: Layer, name: str, x: str, steps: Steps) -> str:
    """Adds a recurrent layer; returns its outputs [time, batch, output], or its final hidden state [batch, output]."""
    from onnx import helper, numpy_helper

    piece = interop.onnx.network_to(layer.network, (layer.params,)).graph
    arrays = {tensor.name.partition("_")[0]: numpy_helper.to_array(tensor) for tensor in piece.initializer}
    (own,) = (node for node in piece.node if node.op_type in ("RNN", "LSTM", "GRU"))
    attributes = {each.name: helper.get_attribute_value(each) for each in own.attribute}
    kernels = [graph.constant(arrays[letter], f"{name}.{letter}") for letter in "WRB"]
    given = (x, *kernels, steps.lengths) if steps.lengths else (x, *kernels)
    outputs, final = graph.node(own.op_type, given, 2, name=name, **attributes)
    if not layer.keeps_outputs:
        final = graph("Transpose", final, perm=[1, 0, 2])
        return graph("Reshape", final, graph.constant([0, -1]))
    return graph("Reshape", graph("Transpose", outputs, perm=[0, 2, 1, 3]), graph.constant([0, 0, -1]))


def pool(graph: Graph, pooling: str, outputs: str, steps: Steps, dtype: str) -> str:
    """Adds the pooled outputs, as `experiments.imdb.training.pooling.pool`."""
    zero, first, parts = graph.constant(np.zeros((), dtype)), graph.constant([0]), []
    if pooling in ("mean", "mean_max"):
        words = graph("Cast", steps.is_word, to=_element(dtype))
        count = graph("Max", graph("ReduceSum", words, first, keepdims=0), graph.constant(np.ones((), dtype)))
        total = graph("ReduceSum", graph("Where", steps.is_word, outputs, zero), first, keepdims=0)
        parts.append(graph("Div", total, count))
    if pooling in ("max", "mean_max"):
        kept = graph("Where", steps.is_word, outputs, _lowest(graph, dtype))
        parts.append(graph("Where", steps.has_words, graph("ReduceMax", kept, first, keepdims=0), zero))
    return parts[0] if len(parts) == 1 else graph("Concat", *parts, axis=1)


def attend(graph: Graph, outputs: str, steps: Steps, kernel: str, bias: str, dtype: str) -> str:
    """Adds the mean of the outputs, weighted by attention."""
    scores = graph("Add", graph("MatMul", outputs, kernel), bias)
    kept = graph("Where", steps.is_word, scores, _lowest(graph, dtype))
    weighted = graph("Mul", graph("Softmax", kept, axis=0), outputs)
    words_only = graph("Where", steps.is_word, weighted, graph.constant(np.zeros((), dtype)))
    return graph("ReduceSum", words_only, graph.constant([0]), keepdims=0)


def _lowest(graph: Graph, dtype: str) -> str:
    return graph.constant(np.asarray(np.finfo(dtype).min, dtype))


def _as_int64(graph: Graph, x: str) -> str:
    return graph("Cast", x, to=_element(np.int64))


def _element(dtype: Any) -> int:
    from onnx import helper

    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
