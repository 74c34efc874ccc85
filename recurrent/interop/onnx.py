"""ONNX' nodes `RNN`, `LSTM` and `GRU`, read from a model and written as one.

Kernels are transposed and biases are two. The blocks of an LSTM are in the order i, o, f, g. A GRU with
``linear_before_reset=1`` is `gru`, and one with 0 is `gru_reset_before`.
"""

from typing import Any

import numpy as np

from recurrent.cells import gru, simple_rnn
from recurrent.interop.arrays import count_blocks, fit
from recurrent.interop.cells import OURS, name_of
from recurrent.interop.gates import add, reorder, zeros_like
from recurrent.interop.onnx_graph import Node, read_chain, read_node
from recurrent.interop.onnx_model import Layer, make_model
from recurrent.interop.stacks import only_cell, stack, unstack
from recurrent.network import Directions, Network
from recurrent.network.params import each

__all__ = ["network_from", "network_to", "params_from", "params_to"]

GATES = {
    "simple_rnn": simple_rnn.GATES,
    "lstm": ("input", "output", "forget", "candidate"),
    "gru": gru.GATES,
    "gru_reset_before": gru.GATES,
}
_NUM_GATES = {"simple_rnn": 1, "lstm": 4, "gru": 3, "gru_reset_before": 3}


def params_from(model: Any, *, node: str | None = None) -> Any:
    """Returns the params of a node of one direction, as NumPy arrays.

    Args:
        model: an `onnx.ModelProto`, or the path of a file. Arrays that lie outside of the file are not read.
        node: the node's name; by default the model's only recurrent node. With ``direction="reverse"`` it computes what
            `run` does with ``reverse=True``.

    Raises:
        ValueError: there is no such node; it has other activations, a clip, peepholes or a coupled input gate; an array
            is missing, misshaped or not finite; or the file is damaged.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> interop.onnx.params_from(interop.onnx.params_to(params)).input_kernel.shape
    (3, 16)
    """
    return only_cell(*stack([_cells_from(read_node(model, node))], lambda params: params))


def network_from(model: Any) -> tuple[Network, tuple[Directions, ...]]:
    """Returns the network that a model's recurrent nodes make, and its params as NumPy arrays.

    Raises:
        ValueError: as `params_from`; a node does not read the outputs of the one before it; or one goes backwards
            alone.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> network = recurrent.Network((recurrent.gru,), (4,), is_bidirectional=True)
    >>> params = recurrent.network.init(jax.random.key(0), network, input_size=3)
    >>> interop.onnx.network_from(interop.onnx.network_to(network, params))[0].is_bidirectional
    True
    """
    nodes = read_chain(model)
    if any(node.direction == "reverse" for node in nodes):
        raise ValueError("A node has direction='reverse', and a Network's layers of one direction go forwards.")
    return stack([_cells_from(node) for node in nodes], lambda params: params)


def params_to(params: Any, *, takes_states: bool = False) -> Any:
    """Returns a model of one node; it computes what `recurrent.run` does.

    Its input is ``inputs``, ``[batch, time, input]``. Its outputs are ``outputs``, and the final state as ``hidden_0``
    (and ``memory_0``), ``[directions, batch, hidden]``. Batch and time are free.

    Args:
        params: of a cell. A bias of ours that is one is written as (b, 0).
        takes_states: the model has inputs ``initial_hidden_0`` (and ``initial_memory_0``).

    Raises:
        ValueError: ONNX has no counterpart of the cell, or an array is not finite.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> params = recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> [output.name for output in interop.onnx.params_to(params).graph.output]
    ['outputs', 'hidden_0']
    """
    return make_model([_layer(Directions(params))], takes_states)


def network_to(network: Network, params: tuple[Directions, ...], *, takes_states: bool = False) -> Any:
    """Returns a model of one node per layer, as `params_to` does; it has no dropout.

    Raises:
        ValueError: as `params_to`, or the network is residual.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> network = recurrent.Network((recurrent.gru, recurrent.lstm), (4, 5))
    >>> params = recurrent.network.init(jax.random.key(0), network, input_size=3)
    >>> [output.name for output in interop.onnx.network_to(network, params).graph.output]
    ['outputs', 'hidden_0', 'hidden_1', 'memory_1']
    """
    if network.is_residual:
        raise ValueError("A residual network has no counterpart in a chain of recurrent nodes.")
    return make_model([_layer(own) for own in unstack(network, params, lambda own: own)], takes_states)


def _cells_from(node: Node) -> tuple[Any, ...]:
    """Returns the params of each direction of a node."""
    name, arrays, directions = node.cell, node.arrays, 2 if node.direction == "bidirectional" else 1
    kernel = np.asarray(arrays["R"])
    hidden_size, num_gates = count_blocks("R", kernel[0] if kernel.ndim == 3 and len(kernel) else kernel, axis=0)
    if num_gates != _NUM_GATES[name] or node.hidden_size not in (None, hidden_size):
        raise ValueError(f"R has shape {kernel.shape}, which is not that of {name} with {node.hidden_size} units.")
    rows = num_gates * hidden_size
    shapes = {"W": (directions, rows, *np.shape(arrays["W"])[2:3]), "R": (directions, rows, hidden_size)}
    shapes |= {"B": (directions, 2 * rows)} if "B" in arrays else {}
    arrays = fit(f"The node {node.name}", arrays, shapes)
    return tuple(_cell_from(name, {field: array[way] for field, array in arrays.items()}) for way in range(directions))


def _cell_from(name: str, arrays: dict[str, Any]) -> Any:
    ours, theirs = OURS[name].GATES, GATES[name]
    kernels = [reorder(arrays[field], theirs, ours, axis=0).T for field in "WR"]
    both = arrays.get("B", zeros_like(np.repeat(arrays["R"][:, 0], 2)))
    biases = [reorder(half, theirs, ours) for half in np.split(both, 2)]
    return OURS[name].Params(*kernels, np.stack(biases) if name == "gru" else add(*biases))


def _layer(own: Directions) -> Layer:
    """Returns the arrays of a node."""
    names, pieces = [], []
    for _, params in each(own):
        name = name_of("ONNX", params, {})
        names.append(name)
        W, U, b = (np.asarray(reorder(array, OURS[name].GATES, GATES[name])) for array in params)
        biases = b if name == "gru" else (b, zeros_like(b))
        pieces.append((W.T, U.T, np.concatenate([*biases])))
    return Layer(names[0], *(np.stack(arrays) for arrays in zip(*pieces, strict=True)))
