"""Haiku's `LSTM` and `GRU`: dicts of params.

An LSTM has one kernel over the input and the state, with the blocks in the order i, g, f, o, and adds 1 to the forget
gate at run time. A GRU resets before the matmul, so that it is `gru_reset_before`, and mixes as (1 - z) h + z n: the
blocks of its update gate change sign.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from recurrent.cells import gru_reset_before, lstm
from recurrent.interop.arrays import check_names, fit
from recurrent.interop.cells import RESET_AFTER, name_of
from recurrent.interop.gates import join, namespace, reorder, split
from recurrent.interop.stacks import stack, unstack
from recurrent.network import Directions, Network

__all__ = ["network_from", "network_to", "params_from", "params_to"]

GATES = ("input", "candidate", "forget", "output")
_RELU = "VanillaRNN uses ReLU in place of tanh"
_REFUSED = {"gru": RESET_AFTER, "simple_rnn": _RELU}
_UPDATE, _FORGET = "update", "forget"


def params_from(tree: Mapping[str, Any], *, name: str = "", is_moments: bool = False) -> Any:
    """Returns the params of a module.

    Args:
        tree: the params that `init` returned, of this module or of a larger model.
        name: the module's name in the tree, such as ``"model/lstm"``; needed if the tree has other modules.
        is_moments: the tree holds moments of RMSprop or Adam in place of params. Those of a GRU do not convert.

    Raises:
        ValueError: an array is missing, superfluous, misshaped or not finite, the module is a VanillaRNN, or moments
            do not convert.

    >>> import numpy as np
    >>> from recurrent import interop
    >>> tree = {"lstm/linear": {"w": np.ones((7, 16)), "b": np.zeros(16)}}
    >>> float(interop.haiku.params_from(tree).bias[4])  # of the forget gate
    1.0
    """
    arrays = _arrays(tree, name)
    if {*arrays} <= {"w_i", "w_h", "b"}:
        return _gru_from(arrays, is_moments)
    return _lstm_from(arrays, is_moments)


def network_from(layers: Iterable[Any], **options: Any) -> tuple[Network, tuple[Directions, ...]]:
    """Returns the network that layers make, and its params.

    Args:
        layers: one entry per layer: a module's params, or (forward, backward).
        options: `is_moments`, as in `params_from`.

    Raises:
        ValueError: as `params_from`, or the layers do not fit each other.

    >>> import numpy as np
    >>> from recurrent import interop
    >>> first, second = ({"lstm/linear": {"w": np.ones((size + 4, 16)), "b": np.zeros(16)}} for size in (3, 4))
    >>> interop.haiku.network_from([first, second])[0].hidden_sizes
    (4, 4)
    """
    return stack(layers, lambda tree: params_from(tree, **options))


def params_to(params: Any, *, name: str = "", is_moments: bool = False) -> dict[str, dict[str, Any]]:
    """Returns the params of a module, for `apply`.

    Args:
        params: of `lstm` or `gru_reset_before`. 1 is subtracted from the biases of an LSTM's forget gate, which is
            exact from 0.5 to 2 and rounded once elsewhere.
        name: the module's name in the model; Haiku's default by default.
        is_moments: params are moments of RMSprop or Adam.

    Raises:
        ValueError: Haiku has no counterpart of the cell, an array is not finite, or moments do not convert.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> interop.haiku.params_to(params)["lstm/linear"]["w"].shape
    (7, 16)
    """
    kind = name_of("Haiku", params, _REFUSED)
    if kind == "lstm":
        arrays = [reorder(array, lstm.GATES, GATES) for array in params]
        bias = arrays[2] if is_moments else _shifted(arrays[2], -1)
        return {f"{name or kind}/linear": {"w": namespace(*arrays).concatenate(arrays[:2]), "b": bias}}
    _refuse_signs(is_moments)
    w_i, w_h, b = (_negated(array) for array in params)
    return {name or "gru": {"w_i": w_i, "w_h": w_h, "b": b}}


def network_to(network: Network, params: tuple[Directions, ...], **options: Any) -> tuple[Directions, ...]:
    """Returns one `Directions` of modules' params per layer, all under the default name.

    Raises:
        ValueError: as `params_to`, or the params belong to another network.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> network = recurrent.Network((recurrent.lstm,), (4,))
    >>> params = recurrent.network.init(jax.random.key(0), network, input_size=3)
    >>> list(interop.haiku.network_to(network, params)[0].forward)
    ['lstm/linear']
    """
    return unstack(network, params, lambda own: params_to(own, **options))


def _lstm_from(arrays: Mapping[str, Any], is_moments: bool) -> lstm.Params:
    check_names("The LSTM", arrays, ("linear/w", "linear/b"))
    shape = np.shape(arrays["linear/w"])
    if len(shape) != 2 or 0 in shape or shape[1] % 4 or shape[0] <= shape[1] // 4:
        raise ValueError(f"linear/w has shape {shape}, but must be [input + hidden, 4*hidden].")
    arrays = fit("The LSTM", arrays, {"linear/w": shape, "linear/b": shape[1:]})
    joint, bias = (reorder(arrays[field], GATES, lstm.GATES) for field in ("linear/w", "linear/b"))
    input_size = shape[0] - shape[1] // 4
    return lstm.Params(joint[:input_size], joint[input_size:], bias if is_moments else _shifted(bias, 1, lstm.GATES))


def _gru_from(arrays: Mapping[str, Any], is_moments: bool) -> gru_reset_before.Params:
    check_names("The GRU", arrays, ("w_i", "w_h", "b"))
    hidden_size, input_size = np.shape(arrays["w_h"])[:1], np.shape(arrays["w_i"])[:1]
    if not hidden_size or not hidden_size[0]:
        raise ValueError(f"w_h has shape {np.shape(arrays['w_h'])}, but must be [hidden, 3*hidden].")
    columns = 3 * hidden_size[0]
    shapes = {"w_i": (*input_size, columns), "w_h": (*hidden_size, columns), "b": (columns,)}
    arrays = fit("The GRU", arrays, shapes)
    _refuse_signs(is_moments)
    return gru_reset_before.Params(*(_negated(arrays[field]) for field in ("w_i", "w_h", "b")))


def _arrays(tree: Any, name: str) -> dict[str, Any]:
    """Returns a module's arrays by their paths within it, such as linear/w."""
    if not isinstance(tree, Mapping) or not all(isinstance(own, Mapping) for own in tree.values()):
        raise ValueError("Haiku's params must be a dict of dicts, such as {'lstm/linear': {'w': ..., 'b': ...}}.")
    own = {place: arrays for place, arrays in tree.items() if not name or f"{place}/".startswith(f"{name}/")}
    parts = {place: _module_and_part(place) for place in own}
    modules = {module for module, _ in parts.values()}
    if len(modules) != 1:
        found = f"no module called {name!r}" if name else f"{len(modules)} modules"
        raise ValueError(f"The tree has {found}; name= must be one of {', '.join(map(str, tree)) or 'none'}.")
    if "linear_1" in {part for _, part in parts.values()}:
        raise ValueError(f"{modules.pop() or 'The module'} has no counterpart here: {_RELU}.")
    return {
        f"{parts[place][1]}/{field}".lstrip("/"): array
        for place, arrays in own.items()
        for field, array in arrays.items()
    }


def _module_and_part(place: str) -> tuple[str, str]:
    """Returns the module that a place in the tree belongs to, and the name of the linear layer within it, if any."""
    module, _, last = str(place).rpartition("/")
    return (module, last) if last in ("linear", "linear_1") else (str(place), "")


def _shifted(bias: Any, by: int, gates: tuple[str, ...] = GATES) -> Any:
    """Adds to the biases of the forget gate."""
    blocks = split(bias, gates)
    return join(blocks | {_FORGET: blocks[_FORGET] + np.asarray(by, bias.dtype)}, gates)


def _negated(array: Any) -> Any:
    """Changes the sign of the update gate's block."""
    blocks = split(array, gru_reset_before.GATES)
    return join(blocks | {_UPDATE: -blocks[_UPDATE]}, gru_reset_before.GATES)


def _refuse_signs(is_moments: bool) -> None:
    if is_moments:
        raise ValueError(
            "The moments of Haiku's gru do not convert: the update gate's blocks change sign, and with them the first "
            "moments and not the second."
        )
