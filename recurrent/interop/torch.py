"""PyTorch's `nn.RNN`, `nn.LSTM` and `nn.GRU`: modules, state dicts and safetensors files.

Kernels are transposed and biases are two. Those of an RNN and an LSTM are added, and our one is written as (b, 0); a
GRU has two here too, and its blocks are in the order r, z, n.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recurrent.cells import lstm, simple_rnn
from recurrent.extras import needs
from recurrent.interop.arrays import check_names, count_blocks, fit
from recurrent.interop.cells import OURS, RESET_BEFORE, name_of, refuse_sum
from recurrent.interop.files import read_safetensors
from recurrent.interop.gates import add, reorder, zeros_like
from recurrent.interop.stacks import only_cell, stack, unstack
from recurrent.network import Directions, Network
from recurrent.network.params import each

__all__ = ["network_from", "network_to", "params_from", "params_to"]

GATES = {"simple_rnn": simple_rnn.GATES, "lstm": lstm.GATES, "gru": ("reset", "update", "candidate")}
_REFUSED = {"gru_reset_before": RESET_BEFORE}
_NAME = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)(?:_l(\d{1,6})(_reverse)?)?")


def params_from(source: Any, *, prefix: str = "", is_moments: bool = False) -> Any:
    """Returns the params of a module of one layer and one direction; the arguments are those of `network_from`.

    >>> import numpy as np
    >>> from recurrent import interop
    >>> shapes = {"weight_ih_l0": (12, 3), "weight_hh_l0": (12, 4), "bias_ih_l0": (12,), "bias_hh_l0": (12,)}
    >>> state_dict = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    >>> type(interop.torch.params_from(state_dict))
    <class 'recurrent.cells.gru.Params'>
    """
    return only_cell(*network_from(source, prefix=prefix, is_moments=is_moments))


def network_from(source: Any, *, prefix: str = "", is_moments: bool = False) -> tuple[Network, tuple[Directions, ...]]:
    """Returns the network that a module is, and its params as NumPy arrays.

    Args:
        source: a module (`nn.LSTMCell` and the like too), its state dict, or the path of a safetensors file. State
            dicts and files do not name an RNN's nonlinearity, which must be tanh.
        prefix: the module's place in a larger model, such as ``"encoder.lstm."``; other entries are ignored.
        is_moments: the source holds moments of RMSprop or Adam in place of weights.

    Raises:
        ValueError: an array is missing, superfluous, misshaped or not finite; the module has a projection or ReLU; the
            path is that of a pickle; or moments do not convert.

    >>> import numpy as np
    >>> from recurrent import interop
    >>> state_dict = {"weight_ih_l0": np.ones((8, 3)), "weight_hh_l0": np.ones((8, 2))}  # bias=False
    >>> interop.torch.network_from(state_dict)[0].hidden_sizes
    (2,)
    """
    if hasattr(source, "get_submodule"):
        source, prefix = source.get_submodule(prefix.rstrip(".")), ""
        _check_module(source)
    arrays = _by_place(_tensors(source, prefix))
    layers = 1 + max((layer for layer, _ in arrays), default=-1)
    directions = 1 + any(is_backward for _, is_backward in arrays)
    expected = {(layer, bool(way)) for layer in range(min(layers, len(arrays))) for way in range(directions)}
    if not arrays or arrays.keys() != expected:
        raise ValueError(
            f"{len(arrays)} layers and directions were found, the last of them in layer {layers - 1}; they must be "
            "numbered from 0, each with weight_ih and weight_hh, and all with _reverse or none."
        )
    pairs = [tuple(arrays[place] for place in sorted(expected) if place[0] == layer) for layer in range(layers)]
    dropout_rate = float(getattr(source, "dropout", 0.0))
    return stack(pairs, lambda own: _cell_from(own, is_moments), dropout_rate=dropout_rate)


def params_to(params: Any, *, is_moments: bool = False) -> dict[str, Any]:
    """Returns the state dict of a module of one layer, for `module.load_state_dict`.

    Raises:
        ValueError: PyTorch has no counterpart of the cell, or an array is not finite.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> list(interop.torch.params_to(params))
    ['weight_ih_l0', 'weight_hh_l0', 'bias_ih_l0', 'bias_hh_l0']
    """
    return {f"{name}_l0": _as_tensor(array) for name, array in _cell_to(params, is_moments).items()}


def network_to(network: Network, params: tuple[Directions, ...], *, is_moments: bool = False) -> dict[str, Any]:
    """Returns the state dict of a module of several layers or of both directions.

    Raises:
        ValueError: the network's layers differ in cell or size, or it is residual; or as `params_to`.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> network = recurrent.Network((recurrent.gru,), (4,), is_bidirectional=True)
    >>> params = recurrent.network.init(jax.random.key(0), network, input_size=3)
    >>> list(interop.torch.network_to(network, params))[4]
    'weight_ih_l0_reverse'
    """
    if network.is_residual or len({*network.cells}) > 1 or len({*network.hidden_sizes}) > 1:
        raise ValueError("A module of PyTorch has one cell and one size in all of its layers, and no residual.")
    layers = unstack(network, params, lambda own: _cell_to(own, is_moments))
    return {
        f"{name}_l{layer}{'_reverse' * is_backward}": _as_tensor(array)
        for layer, own in enumerate(layers)
        for is_backward, arrays in each(own)
        for name, array in arrays.items()
    }


def _cell_from(arrays: Mapping[str, Any], is_moments: bool) -> Any:
    if "weight_hr" in arrays:
        raise ValueError("The module has a projection (proj_size), which no cell here has.")
    check_names("The module", {*arrays} | {"bias_ih", "bias_hh"}, ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    hidden_size, num_gates = count_blocks("weight_hh", arrays["weight_hh"], axis=0)
    rows = num_gates * hidden_size
    shapes = {"weight_ih": (rows, *np.shape(arrays["weight_ih"])[1:2]), "weight_hh": (rows, hidden_size)}
    has_bias = len(arrays) > 2
    arrays = fit("The module", arrays, {**shapes, **({"bias_ih": (rows,), "bias_hh": (rows,)} if has_bias else {})})
    name = {1: "simple_rnn", 3: "gru", 4: "lstm"}[num_gates]
    arrays = {field: reorder(array, GATES[name], OURS[name].GATES, axis=0) for field, array in arrays.items()}
    zero = zeros_like(arrays["weight_hh"][:, 0])
    biases = arrays.get("bias_ih", zero), arrays.get("bias_hh", zero)
    if name != "gru":
        refuse_sum("PyTorch", name, is_moments)
    bias = np.stack(biases) if name == "gru" else add(*biases)
    return OURS[name].Params(arrays["weight_ih"].T, arrays["weight_hh"].T, bias)


def _cell_to(params: Any, is_moments: bool) -> dict[str, np.ndarray]:
    name = name_of("PyTorch", params, _REFUSED)
    if name != "gru":
        refuse_sum("PyTorch", name, is_moments)
    input_kernel, recurrent_kernel, bias = (np.asarray(array) for array in params)
    bias_ih, bias_hh = bias if name == "gru" else (bias, zeros_like(bias))
    arrays = {"weight_ih": input_kernel.T, "weight_hh": recurrent_kernel.T, "bias_ih": bias_ih, "bias_hh": bias_hh}
    return {field: reorder(array, OURS[name].GATES, GATES[name], axis=0) for field, array in arrays.items()}


def _tensors(source: Any, prefix: str) -> dict[str, np.ndarray]:
    """Returns a source's arrays by their names behind the prefix."""
    if isinstance(source, str | Path):
        source = read_safetensors(Path(source))
    elif hasattr(source, "state_dict"):
        source = source.state_dict()
    if not isinstance(source, Mapping):
        raise ValueError(f"source must be a module, a state dict or a path, not a {type(source).__name__}.")
    own = {str(name).removeprefix(prefix): each for name, each in source.items() if str(name).startswith(prefix)}
    if not own:
        raise ValueError(f"No name starts with the prefix {prefix!r}; the names are {', '.join(map(str, source))}.")
    return {name: _as_numpy(tensor) for name, tensor in own.items()}


def _by_place(arrays: Mapping[str, Any]) -> dict[tuple[int, bool], dict[str, Any]]:
    """Groups arrays by (layer, is backward)."""
    places: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, array in arrays.items():
        found = _NAME.fullmatch(name)
        if found is None:
            raise ValueError(f"{name!r} is not an array of nn.RNN, nn.LSTM or nn.GRU; prefix= picks one module.")
        places.setdefault((int(found[2] or 0), found[3] is not None), {})[found[1]] = array
    return places


def _check_module(module: Any) -> None:
    nonlinearity = getattr(module, "nonlinearity", "tanh")
    if nonlinearity != "tanh":
        raise ValueError(f"The module's nonlinearity is {nonlinearity}, and that of simple_rnn is tanh.")


def _as_numpy(tensor: Any) -> Any:
    if not hasattr(tensor, "detach"):
        return tensor
    import torch

    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype is torch.bfloat16:  # NumPy has it from JAX
        return tensor.view(torch.int16).numpy().view("bfloat16")
    return tensor.numpy()


def _as_tensor(array: np.ndarray) -> Any:
    with needs(__name__, "peers", {"torch": "PyTorch"}):
        import torch
    array = np.array(array, order="C")  # a copy, which PyTorch may write to
    if array.dtype == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)
