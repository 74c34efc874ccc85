"""Recurrent nodes of an ONNX model, read without what no cell here computes. Nothing outside of a file is opened."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recurrent.extras import needs
from recurrent.interop.arrays import DTYPES

__all__ = ["Node", "read_chain", "read_node"]

_ACTIVATIONS = {"RNN": ("tanh",), "GRU": ("sigmoid", "tanh"), "LSTM": ("sigmoid", "tanh", "tanh")}
_CELLS = {"RNN": "simple_rnn", "LSTM": "lstm"}
_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
_PASSED = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Dropout")
"""Operations between a layer's outputs and the next layer that leave each value as it is."""


class Node(NamedTuple):
    """A recurrent node."""

    name: str
    cell: str
    direction: str
    hidden_size: int | None
    arrays: dict[str, np.ndarray]


def read_node(model: Any, name: str | None) -> Node:
    """Returns a recurrent node by its name, or the only one.

    Raises:
        ValueError: there is none or several, or it computes what no cell here does.
    """
    graph = _graph(model)
    found = [node for node in _recurrent(graph) if name in (None, node.name)]
    if len(found) != 1:
        names = ", ".join(repr(node.name) for node in _recurrent(graph))
        what = f"{len(found)} recurrent nodes" if name is None else f"{len(found)} recurrent nodes called {name!r}"
        raise ValueError(f"The model has {what}; node= must be one of {names or 'none'}.")
    return _read(found[0], _constants(graph))


def read_chain(model: Any) -> list[Node]:
    """Returns a model's recurrent nodes, each of which reads the outputs of the one before it.

    Raises:
        ValueError: there are none, they make no chain, or one computes what no cell here does.
    """
    graph = _graph(model)
    constants, nodes = _constants(graph), list(_recurrent(graph))
    if not nodes:
        raise ValueError("The model has no node RNN, LSTM or GRU.")
    makers = {output: node for node in graph.node for output in node.output if output}
    for before, after in pairwise(nodes):
        if _source(after.input[0], makers, len(graph.node)) != before.output[0]:
            raise ValueError(f"The node {after.name!r} does not read the outputs of {before.name!r}.")
    return [_read(node, constants) for node in nodes]


def _graph(model: Any) -> Any:
    with needs("recurrent.interop.onnx", "interop", {"onnx": "onnx"}):
        import onnx
        from google.protobuf.message import DecodeError
    if isinstance(model, str | Path):
        path, model = Path(model), onnx.ModelProto()
        try:
            model.ParseFromString(path.read_bytes())
        except DecodeError as error:
            raise ValueError(f"{path} is not an intact ONNX file: {error}.") from error
    if not isinstance(model, onnx.ModelProto):
        raise ValueError(f"model must be an onnx.ModelProto or a path, not a {type(model).__name__}.")
    return model.graph


def _recurrent(graph: Any) -> Iterator[Any]:
    return (node for node in graph.node if node.op_type in _ACTIVATIONS and node.domain in ("", "ai.onnx"))


def _constants(graph: Any) -> dict[str, Any]:
    """Returns tensors that the model holds, by name."""
    values = {
        node.output[0]: attribute.t
        for node in graph.node
        if node.op_type == "Constant" and node.output
        for attribute in node.attribute
        if attribute.name == "value"
    }
    return values | {tensor.name: tensor for tensor in graph.initializer}


def _source(name: str, makers: dict[str, Any], limit: int) -> str:
    """Returns the value from which another is only reshaped; `limit` ends the search in a graph with a cycle."""
    for _ in range(limit):
        node = makers.get(name)
        if node is None or node.op_type not in _PASSED or not node.input:
            break
        name = node.input[0]
    return name


def _read(node: Any, constants: dict[str, Any]) -> Node:
    import onnx

    kind, given = node.op_type, {}
    for attribute in node.attribute:
        given[attribute.name] = onnx.helper.get_attribute_value(attribute)
    direction = _text(given.get("direction", "forward"))
    if direction not in ("forward", "reverse", "bidirectional"):
        raise ValueError(f"The node {node.name!r} has the unknown direction {direction!r}.")
    _check_activations(node, given, 2 if direction == "bidirectional" else 1)
    if given.get("clip") or given.get("input_forget"):
        raise ValueError(f"The node {node.name!r} has clip or input_forget, which no cell here has.")
    inputs = dict(zip(_INPUTS, node.input, strict=False))
    lost = [field for field in "WR" if not inputs.get(field)]
    if lost:
        raise ValueError(f"The node {node.name!r} lacks {' and '.join(lost)}.")
    arrays = {field: _array(inputs[field], constants) for field in "WRBP" if inputs.get(field)}
    if np.any(arrays.pop("P", np.zeros(0)) != 0):
        raise ValueError(f"The node {node.name!r} has peepholes, and lstm has none.")
    size = given.get("hidden_size")
    before = "gru" if given.get("linear_before_reset") else "gru_reset_before"
    return Node(node.name, _CELLS.get(kind, before), direction, size, arrays)


def _check_activations(node: Any, given: dict[str, Any], directions: int) -> None:
    expected = _ACTIVATIONS[node.op_type] * directions
    names = tuple(_text(each).lower() for each in given.get("activations", expected))
    if names != expected:
        raise ValueError(
            f"The node {node.name!r} has the activations {', '.join(names)}, and the cell has {', '.join(expected)}."
        )


def _array(name: str, constants: dict[str, Any]) -> np.ndarray:
    import onnx

    tensor = constants.get(name)
    if tensor is None:
        raise ValueError(f"{name!r} is computed by the model and not held by it, so that it has no fixed value.")
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise ValueError(
            f"{name!r} lies outside of the file, where nothing is read: load the model with onnx.load, and pass it."
        )
    kinds = {getattr(onnx.TensorProto, kind) for kind in ("BFLOAT16", "FLOAT16", "FLOAT", "DOUBLE")}
    if tensor.data_type not in kinds:
        raise ValueError(f"{name!r} has data type {tensor.data_type}, but must be one of {', '.join(DTYPES)}.")
    try:
        return onnx.numpy_helper.to_array(tensor)
    except (TypeError, OverflowError, ValueError) as error:
        raise ValueError(f"{name!r} is not an intact tensor: {error}.") from error


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
