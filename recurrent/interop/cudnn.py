"""cuDNN's LSTM in `jax.experimental.rnn`: all weights in one flat array.

First stand the kernels of all layers and directions, transposed, then all biases, two for each, which are added. Of
cuDNN's cells JAX offers the LSTM alone.
"""

from typing import Any

from recurrent.cells import lstm
from recurrent.interop.arrays import fit
from recurrent.interop.cells import name_of
from recurrent.interop.gates import add, namespace, zeros_like
from recurrent.interop.stacks import only_cell, stack, unstack
from recurrent.network import Directions, Network
from recurrent.network.params import each

__all__ = ["network_from", "network_to", "params_from", "params_to"]

_ALONE = "of cuDNN's cells, jax.experimental.rnn has the LSTM alone"
_REFUSED = {"simple_rnn": _ALONE, "gru": _ALONE, "gru_reset_before": _ALONE}


def params_from(weights: Any, *, input_size: int, hidden_size: int) -> lstm.Params:
    """Returns the params of one layer and one direction.

    Raises:
        ValueError: the weights have another size, or are not finite.

    >>> import numpy as np
    >>> from recurrent import interop
    >>> interop.cudnn.params_from(np.ones(144), input_size=3, hidden_size=4).bias.shape
    (16,)
    """
    return only_cell(*network_from(weights, input_size=input_size, hidden_size=hidden_size))


def network_from(
    weights: Any, *, input_size: int, hidden_size: int, num_layers: int = 1, is_bidirectional: bool = False
) -> tuple[Network, tuple[Directions, ...]]:
    """Returns the network that flat weights belong to, and its params.

    Args:
        weights: ``[weights]``, as `jax.experimental.rnn.init_lstm_weight` makes them.
        input_size: features of a step.
        hidden_size: units of each layer and direction.
        num_layers: layers.
        is_bidirectional: both directions.

    Raises:
        ValueError: the weights have another size, or are not finite.

    >>> import numpy as np
    >>> from recurrent import interop
    >>> interop.cudnn.network_from(np.ones(288), input_size=3, hidden_size=4, is_bidirectional=True)[0].hidden_sizes
    (4,)
    """
    if min(input_size, hidden_size, num_layers) < 1:
        raise ValueError(f"Sizes must be at least 1, not {input_size}, {hidden_size} and {num_layers} layers.")
    directions, rows = 1 + is_bidirectional, 4 * hidden_size
    input_sizes = [input_size if layer == 0 else directions * hidden_size for layer in range(num_layers)]
    kernels = [(rows, size) for own in input_sizes for _ in range(directions) for size in (own, hidden_size)]
    shapes = kernels + [(rows,)] * len(kernels)
    sizes = [rows * (shape[1] if len(shape) > 1 else 1) for shape in shapes]
    flat = fit("The weights", {"weights": weights}, {"weights": (sum(sizes),)})["weights"]
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    pieces = [flat[end - size : end].reshape(shape) for end, size, shape in zip(ends, sizes, shapes, strict=True)]
    half = len(kernels)
    cells = [
        lstm.Params(pieces[at].T, pieces[at + 1].T, add(pieces[half + at], pieces[half + at + 1]))
        for at in range(0, half, 2)
    ]
    layers = [tuple(cells[at : at + directions]) for at in range(0, len(cells), directions)]
    return stack(layers, lambda params: params)


def params_to(params: Any) -> Any:
    """Returns the flat weights of one layer; our bias is the first of the two, and the second is zero.

    Raises:
        ValueError: the cell is not `lstm`, or an array is not finite.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> interop.cudnn.params_to(params).shape
    (144,)
    """
    return _flat([params])


def network_to(network: Network, params: tuple[Directions, ...]) -> Any:
    """Returns the flat weights of several layers or of both directions.

    Raises:
        ValueError: a cell is not `lstm`, the layers' sizes differ, or the network is residual.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> network = recurrent.Network((recurrent.lstm,), (4,), is_bidirectional=True)
    >>> params = recurrent.network.init(jax.random.key(0), network, input_size=3)
    >>> interop.cudnn.network_to(network, params).shape
    (288,)
    """
    if network.is_residual or len({*network.hidden_sizes}) > 1:
        raise ValueError("cuDNN's layers have one size, and no residual connection.")
    layers = unstack(network, params, lambda own: own)
    return _flat([own for directions in layers for _, own in each(directions)])


def _flat(cells: list[Any]) -> Any:
    for params in cells:
        name_of("cuDNN", params, _REFUSED)
    kernels = [kernel.T.ravel() for params in cells for kernel in (params.input_kernel, params.recurrent_kernel)]
    biases = [bias for params in cells for bias in (params.bias, zeros_like(params.bias))]
    return namespace(*kernels).concatenate(kernels + biases)
