"""Collects the nodes of an ONNX graph: a call adds a node and returns the name of its output."""

from typing import Any

import numpy as np

__all__ = ["Graph"]

_OPSET, _IR_VERSION = 18, 8


class Graph:
    """Nodes and constants."""

    def __init__(self) -> None:
        """Starts with none."""
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, name: str = "") -> str:
        """Adds an array; integers without a dtype are int64."""
        from onnx import numpy_helper

        name = name or f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def __call__(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node of one output."""
        return self.node(kind, inputs, 1, **attributes)[0]

    def node(self, kind: str, inputs: tuple[str, ...], num_outputs: int, **attributes: Any) -> list[str]:
        """Adds a node, and returns the names of its outputs."""
        from onnx import helper

        outputs = [f"{kind.lower()}_{len(self.nodes)}_{number}" for number in range(num_outputs)]
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs

    def output(self, name: str, value: str) -> None:
        """Gives a value the name of an output of the graph."""
        from onnx import helper

        self.nodes.append(helper.make_node("Identity", [value], [name]))

    def model(self, name: str, inputs: list[Any], outputs: list[Any]) -> Any:
        """Returns the model, after ONNX' checks."""
        import onnx
        from onnx import helper

        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.constants)
        opsets = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="recurrent")
        onnx.checker.check_model(model, full_check=True)
        return model
