"""A chain of recurrent nodes as an ONNX model with free batch and time."""

from typing import Any, NamedTuple

import numpy as np

from recurrent.extras import needs

__all__ = ["Layer", "make_model"]

_NODES = {"simple_rnn": "RNN", "lstm": "LSTM", "gru": "GRU", "gru_reset_before": "GRU"}
_OPSET, _IR_VERSION = 14, 8
_OPSET_BFLOAT16, _IR_VERSION_BFLOAT16 = 22, 10
"""The first versions whose recurrent nodes take bfloat16."""


class Layer(NamedTuple):
    """A node's cell and arrays, in ONNX' layout: ``[directions, gates*hidden, input]`` and so on."""

    cell: str
    W: np.ndarray
    R: np.ndarray
    B: np.ndarray


def make_model(layers: list[Layer], takes_states: bool) -> Any:
    """Returns a model of one recurrent node per layer.

    Raises:
        ValueError: the layers have several dtypes.
    """
    with needs("recurrent.interop.onnx", "interop", {"onnx": "onnx"}):
        import onnx
        from onnx import helper
    dtypes = {layer.W.dtype for layer in layers}
    if len(dtypes) > 1:
        raise ValueError(f"The layers have several dtypes, {', '.join(sorted(map(str, dtypes)))}; they must have one.")
    element = helper.np_dtype_to_tensor_dtype(layers[0].W.dtype)
    last = layers[-1]
    output_size = last.R.shape[0] * last.R.shape[2]
    inputs = [helper.make_tensor_value_info("inputs", element, ["batch", "time", layers[0].W.shape[2]])]
    outputs = [helper.make_tensor_value_info("outputs", element, ["batch", "time", output_size])]
    nodes = [helper.make_node("Transpose", ["inputs"], ["inputs_0"], perm=[1, 0, 2])]
    initializers = [onnx.numpy_helper.from_array(np.array([0, 0, -1], np.int64), "joined")]
    for index, layer in enumerate(layers):
        states = [f"{field}_{index}" for field in (("hidden", "memory") if layer.cell == "lstm" else ("hidden",))]
        shape = [layer.R.shape[0], "batch", layer.R.shape[2]]
        outputs += [helper.make_tensor_value_info(state, element, shape) for state in states]
        if takes_states:
            inputs += [helper.make_tensor_value_info(f"initial_{state}", element, shape) for state in states]
        initializers += [
            onnx.numpy_helper.from_array(array, f"{letter}_{index}")
            for letter, array in zip("WRB", layer[1:], strict=True)
        ]
        nodes += _nodes(helper, index, layer, states, takes_states)
    nodes.append(helper.make_node("Transpose", [f"inputs_{len(layers)}"], ["outputs"], perm=[1, 0, 2]))
    graph = helper.make_graph(nodes, "recurrent", inputs, outputs, initializers)
    is_bfloat16 = element == onnx.TensorProto.BFLOAT16
    opset, version = (_OPSET_BFLOAT16, _IR_VERSION_BFLOAT16) if is_bfloat16 else (_OPSET, _IR_VERSION)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=version, producer_name="recurrent"
    )
    onnx.checker.check_model(model)
    return model


def _nodes(helper: Any, index: int, layer: Layer, states: list[str], takes_states: bool) -> list[Any]:
    """Returns a recurrent node, and those that put its directions side by side; time is the first axis within."""
    given = ["", *(f"initial_{state}" for state in states)] if takes_states else []
    options = {"linear_before_reset": int(layer.cell == "gru")} if _NODES[layer.cell] == "GRU" else {}
    recurrent = helper.make_node(
        _NODES[layer.cell],
        [f"inputs_{index}", f"W_{index}", f"R_{index}", f"B_{index}", *given],
        [f"Y_{index}", *states],
        name=f"layer_{index}",
        hidden_size=layer.R.shape[2],
        direction="bidirectional" if layer.R.shape[0] == 2 else "forward",
        **options,
    )
    swapped = helper.make_node("Transpose", [f"Y_{index}"], [f"swapped_{index}"], perm=[0, 2, 1, 3])
    joined = helper.make_node("Reshape", [f"swapped_{index}", "joined"], [f"inputs_{index + 1}"])
    return [recurrent, swapped, joined]
