"""An ONNX model of a run.

It takes `tokens`, `[batch, time]` in int64, both free, and returns `logits` and `probabilities`: `[batch]` of the
second of two classes, or `[batch, classes]`. Which words are padding follows from the ids.

ONNX' recurrent nodes skip padding behind a sequence, not before it. Where the recipe skips padding, each text is
rotated, so that its words come first.
"""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.imdb.export.layers import check_expressible, layers_of
from experiments.imdb.export.onnx_graph import Graph
from experiments.imdb.export.onnx_parts import Steps, attend, pair_rows, pool, read_steps, recurrent
from experiments.imdb.runs.open import Run
from recurrent.extras import needs

__all__ = ["MODEL", "build", "check", "write"]

MODEL = "model.onnx"


def check(run: Run) -> None:
    """Raises ValueError if ONNX has no exact counterpart of the run's model."""
    is_wide = run.recipe.dtype == "float64"
    check_expressible(
        run.recipe, "ONNX", {"dtype": "ONNX Runtime has no recurrent nodes in float64"} if is_wide else {}
    )


def write(run: Run, folder: Path) -> None:
    """Writes the model into a folder."""
    (folder / MODEL).write_bytes(build(run).SerializeToString())


def build(run: Run) -> Any:
    """Returns the model, checked by ONNX' checker.

    Raises:
        ValueError: ONNX has no exact counterpart.
    """
    check(run)
    with needs("The format onnx", "export", {"onnx": "onnx"}):
        from onnx import TensorProto, helper
    recipe, graph = run.recipe, Graph()
    steps = read_steps(graph, recipe.padding == "masked")
    x = embedded = _embed(graph, run, steps)
    for number, layer in enumerate(layers_of(run)):
        outputs = recurrent(graph, layer, f"recurrent_{number}", x, steps)
        x = graph("Add", x, outputs) if layer.has_shortcut else outputs
    if recipe.pools_inputs:
        x = graph("Concat", x, embedded, axis=2)
    features = _features(graph, run, x, steps)
    head = {name: graph.constant(array, f"head.{name}") for name, array in run.params["head"].items()}
    logits = graph("Add", graph("MatMul", features, head["kernel"]), head["bias"])
    if recipe.num_classes == 2:
        graph.output("logits", graph("Squeeze", logits, graph.constant([1])))
        graph.output("probabilities", graph("Sigmoid", "logits"))
    else:
        graph.output("logits", logits)
        graph.output("probabilities", graph("Softmax", "logits", axis=1))
    element = helper.np_dtype_to_tensor_dtype(np.dtype(recipe.dtype))
    shape: list[Any] = ["batch"] if recipe.num_classes == 2 else ["batch", recipe.num_classes]
    return graph.model(
        "classifier",
        inputs=[helper.make_tensor_value_info("tokens", TensorProto.INT64, ["batch", "time"])],
        outputs=[helper.make_tensor_value_info(name, element, shape) for name in ("logits", "probabilities")],
    )


def _embed(graph: Graph, run: Run, steps: Steps) -> str:
    """Adds the embeddings, `[time, batch, embedding]`."""
    table = graph.constant(run.params["embedding"]["embedding"], "embedding.embedding")
    x = graph("Gather", table, steps.tokens)
    if run.recipe.bigrams:
        pairs = np.array(run.params["pairs"]["embedding"])
        pairs[0] = 0  # the row of no pair, which no pair has
        table, kernel = graph.constant(pairs, "pairs.embedding"), None
        if run.recipe.pair_size:
            kernel = graph.constant(run.params["pair_kernel"]["kernel"], "pair_kernel.kernel")
        for rows in pair_rows(graph, steps.tokens, run.vocabulary.pairs, run.recipe.trigrams > 0):
            of_pairs = graph("Gather", table, rows)
            x = graph("Add", x, of_pairs if kernel is None else graph("MatMul", of_pairs, kernel))
    return graph("Transpose", x, perm=[1, 0, 2])


def _features(graph: Graph, run: Run, x: str, steps: Steps) -> str:
    """Adds what the head reads, `[batch, features]`; zeros for a text of padding alone."""
    pooling = run.recipe.pooling
    if pooling == "last" and not steps.lengths:
        return x
    if pooling == "attention":
        attention = run.params["attention"]
        kernel, bias = (graph.constant(attention[name], f"attention.{name}") for name in ("kernel", "bias"))
        return attend(graph, x, steps, kernel, bias, run.recipe.dtype)
    if pooling != "last":
        return pool(graph, pooling, x, steps, run.recipe.dtype)
    return graph("Where", steps.has_words, x, graph.constant(np.zeros((), run.recipe.dtype)))
