"""Keras' `SimpleRNN`, `LSTM` and `GRU`, alone, in a stack or in `Bidirectional`: their arrays are ours as they stand.

`GRU(reset_after=True)`, Keras' default, is `gru`, and `GRU(reset_after=False)` is `gru_reset_before`. Moments of an
optimizer convert by the same calls, as lists of arrays.
"""

from typing import Any

import numpy as np

from recurrent.extras import needs
from recurrent.interop.arrays import count_blocks, fit
from recurrent.interop.cells import OURS, name_of
from recurrent.interop.gates import zeros_like
from recurrent.interop.stacks import only_cell, stack, unstack
from recurrent.network import Directions, Network
from recurrent.network.params import each

__all__ = ["network_from", "network_to", "params_from", "params_to"]

_ARRAYS = ("kernel", "recurrent_kernel", "bias")


def params_from(layer: Any) -> Any:
    """Returns the params of a layer, as NumPy arrays.

    Args:
        layer: a `SimpleRNN`, `LSTM` or `GRU` that has weights, or its list of weights. A list of two arrays, of a layer
            without biases, must not be a GRU's, which does not say where its reset gate acts.

    Raises:
        ValueError: the layer is of another kind, has other activations than Keras' defaults or no weights yet, or an
            array is missing, superfluous, misshaped or not finite.

    >>> import numpy as np
    >>> from recurrent import interop
    >>> weights = [np.ones((3, 16)), np.ones((4, 16)), np.ones(16)]
    >>> type(interop.keras.params_from(weights))
    <class 'recurrent.cells.lstm.Params'>
    """
    return only_cell(*network_from([layer]))


def network_from(layers: Any) -> tuple[Network, tuple[Directions, ...]]:
    """Returns the network that layers make in their order, and its params as NumPy arrays.

    Args:
        layers: a `Bidirectional`, a recurrent layer, or a list of them; in place of each, its list of weights. All but
            the last must return sequences.

    Raises:
        ValueError: as `params_from`; a `Bidirectional` merges otherwise than by concatenation; a layer goes backwards;
            or the layers' sizes do not fit.

    >>> import numpy as np
    >>> from recurrent import interop
    >>> first, second = ([np.ones((size, 4)), np.ones((4, 4)), np.ones(4)] for size in (3, 4))
    >>> len(interop.keras.network_from([first, second])[0].cells)
    2
    """
    entries = list(layers) if isinstance(layers, list | tuple) else [layers]
    for entry in entries[:-1]:
        if not getattr(entry, "return_sequences", True):
            raise ValueError(f"{entry.name} has return_sequences=False, but a layer follows it.")
    return stack([_directions(entry, is_alone=len(entries) == 1) for entry in entries], _cell_from)


def params_to(params: Any) -> list[np.ndarray]:
    """Returns the list of weights of a layer, for `layer.set_weights`.

    Raises:
        ValueError: Keras has no counterpart of the cell, or an array is not finite.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> params = recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> [weight.shape for weight in interop.keras.params_to(params)]
    [(3, 12), (4, 12), (2, 12)]
    """
    name_of("Keras", params, {})
    return [np.asarray(array) for array in params]


def network_to(network: Network, params: tuple[Directions, ...]) -> list[list[np.ndarray]]:
    """Returns one list of weights per layer; that of a `Bidirectional` has the forward direction's first.

    Raises:
        ValueError: as `params_to`, or the params belong to another network.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> network = recurrent.Network((recurrent.lstm,), (4,), is_bidirectional=True)
    >>> params = recurrent.network.init(jax.random.key(0), network, input_size=3)
    >>> [len(weights) for weights in interop.keras.network_to(network, params)]
    [6]
    """
    layers = unstack(network, params, params_to)
    return [[weight for _, weights in each(own) for weight in weights] for own in layers]


def _directions(entry: Any, is_alone: bool) -> tuple[Any, ...]:
    """Returns the sources of a layer's directions: lists of weights, or layers."""
    if isinstance(entry, list | tuple):
        half = len(entry) // 2
        return (entry[:half], entry[half:]) if len(entry) in (4, 6) else (entry,)
    with needs(__name__, "peers", {"keras": "Keras"}):
        import keras
    if isinstance(entry, keras.layers.Bidirectional):
        if entry.merge_mode != "concat":
            raise ValueError(f"{entry.name} has merge_mode={entry.merge_mode!r}, and a Network concatenates.")
        pair = entry.forward_layer, entry.backward_layer
        if pair[0].go_backwards:
            raise ValueError(f"{entry.name} has a forward layer with go_backwards=True.")
        return pair
    if getattr(entry, "go_backwards", False) and not is_alone:
        raise ValueError(f"{entry.name} has go_backwards=True, and a Network's layers of one direction go forwards.")
    return (entry,)


def _cell_from(source: Any) -> Any:
    """Returns the params of one direction, from a layer or a list of weights."""
    name, arrays = None, source
    if not isinstance(source, list | tuple):
        name, arrays = _check_layer(source), _weights(source)
    if len(arrays) not in (2, 3):
        raise ValueError(f"A layer has 2 or 3 weights, the kernels and the biases, not {len(arrays)}.")
    named: dict[str, Any] = dict(zip(_ARRAYS, arrays, strict=False))
    hidden_size, num_gates = count_blocks("recurrent_kernel", named["recurrent_kernel"])
    name = name or _name_of_shapes(num_gates, named.get("bias"))
    columns = num_gates * hidden_size
    bias_shape = (2, columns) if name == "gru" else (columns,)
    shapes = {"kernel": (*np.shape(named["kernel"])[:1], columns), "recurrent_kernel": (hidden_size, columns)}
    named = fit("The layer", named, {**shapes, **({"bias": bias_shape} if "bias" in named else {})})
    if "bias" not in named:
        zero = zeros_like(named["recurrent_kernel"][0])
        named["bias"] = np.stack([zero, zero]) if name == "gru" else zero
    return OURS[name].Params(*(named[field] for field in _ARRAYS))


def _name_of_shapes(num_gates: int, bias: Any) -> str:
    if num_gates != 3:
        return {1: "simple_rnn", 4: "lstm"}[num_gates]
    if bias is None:
        raise ValueError("A GRU's weights without biases do not say where its reset gate acts: pass the layer itself.")
    return "gru" if np.ndim(bias) == 2 else "gru_reset_before"


def _check_layer(layer: Any) -> str:
    """Returns the name of our cell for a layer.

    Raises:
        ValueError: there is none.
    """
    with needs(__name__, "peers", {"keras": "Keras"}):
        import keras
    cell = getattr(layer, "cell", layer)
    kinds = {
        keras.layers.SimpleRNNCell: "simple_rnn",
        keras.layers.LSTMCell: "lstm",
        keras.layers.GRUCell: "gru" if getattr(cell, "reset_after", True) else "gru_reset_before",
    }
    name = kinds.get(type(cell))
    if name is None:
        raise ValueError(
            f"{layer!r} is not a SimpleRNN, LSTM or GRU of Keras, nor a list of its weights. Of a model, pass the "
            "recurrent layers alone; a file must be loaded first."
        )
    for field, expected in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
        given = getattr(cell, field, None)
        if given not in (None, keras.activations.get(expected)):
            raise ValueError(f"{cell.name} has {field}={getattr(given, '__name__', given)}, and {name} has {expected}.")
    return name


def _weights(layer: Any) -> list[np.ndarray]:
    import keras

    cell = getattr(layer, "cell", layer)
    if not cell.built:
        raise ValueError(f"{layer.name} has no weights yet: call it once, or build it.")
    variables = (cell.kernel, cell.recurrent_kernel, cell.bias)
    return [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in variables if variable is not None]
