"""Flax NNX' `SimpleCell`, `LSTMCell`, `OptimizedLSTMCell` and `GRUCell`: modules, and their states.

A GRU's blocks are in the order r, z, n. It has one bias and none on the candidate's recurrent kernel (Flax issue 5594):
it can be written only where that bias of ours is zero.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from recurrent.cells import gru
from recurrent.extras import needs
from recurrent.interop import linen
from recurrent.interop.arrays import count_blocks, fit, is_traced
from recurrent.interop.cells import OURS, RESET_BEFORE, name_of, refuse_sum
from recurrent.interop.flax_cells import NNX_GATES, nnx_bias, nnx_params
from recurrent.interop.gates import add, reorder, split
from recurrent.interop.stacks import stack, unstack
from recurrent.network import Directions, Network

__all__ = ["network_from", "network_to", "params_from", "params_to"]

_REFUSED = {"gru_reset_before": RESET_BEFORE}
_SEPARATE = {f"{side}{letter}": f"{side}{letter.rstrip('_')}" for side in "ih" for letter in ("i", "f", "g", "o")}
_SEPARATE["if_"] = _SEPARATE.pop("if")


def params_from(cell: Any, *, is_moments: bool = False) -> Any:
    """Returns the params of a cell.

    Args:
        cell: a cell, an `nnx.RNN` of one, or the state of its params as an `nnx.State` or a dict. A state does not name
            the activations, which must be Flax' defaults.
        is_moments: `cell` is a state that holds moments of RMSprop or Adam. Those of a GRU do not convert.

    Raises:
        ValueError: the cell is of another kind or has other activations, an array is missing, superfluous, misshaped
            or not finite, or moments do not convert.

    >>> import numpy as np
    >>> from recurrent import interop
    >>> state = {"dense_i": {"kernel": np.ones((3, 16))}, "dense_h": {"kernel": np.ones((4, 16)), "bias": np.ones(16)}}
    >>> type(interop.nnx.params_from(state))
    <class 'recurrent.cells.lstm.Params'>
    """
    tree = _tree(cell)
    if {*tree} == {*_SEPARATE}:
        return linen.params_from({_SEPARATE[part]: own for part, own in tree.items()}, is_moments=is_moments)
    name, arrays = _checked(tree)
    if name == "gru":
        refuse_sum("Flax NNX", name, is_moments)
    return nnx_params(name, arrays)


def network_from(layers: Iterable[Any], **options: Any) -> tuple[Network, tuple[Directions, ...]]:
    """Returns the network that layers make, and its params.

    Args:
        layers: one entry per layer: what `params_from` takes, (forward, backward), or an `nnx.Bidirectional` that
            concatenates.
        options: `is_moments`, as in `params_from`.

    Raises:
        ValueError: as `params_from`, or the layers do not fit each other.

    >>> import numpy as np
    >>> from recurrent import interop
    >>> state = {"dense_i": {"kernel": np.ones((3, 16))}, "dense_h": {"kernel": np.ones((4, 16)), "bias": np.ones(16)}}
    >>> interop.nnx.network_from([(state, state)])[0].is_bidirectional
    True
    """
    entries = layers if isinstance(layers, list | tuple) else [layers]
    return stack(map(_directions, entries), lambda cell: params_from(cell, **options))


def params_to(params: Any, *, is_moments: bool = False) -> dict[str, dict[str, Any]]:
    """Returns the state of a `SimpleCell`, an `OptimizedLSTMCell` or a `GRUCell`, for `nnx.update`.

    Raises:
        ValueError: Flax has no counterpart of the cell or of its biases, an array is not finite, or moments do not
            convert.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> params = recurrent.lstm.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> interop.nnx.params_to(params)["dense_h"]["bias"].shape
    (16,)
    """
    name = name_of("Flax NNX", params, _REFUSED)
    bias = params.bias
    if name == "gru":
        refuse_sum("Flax NNX", name, is_moments)
        _check_recurrent_bias(bias[1])
        bias = add(bias[0], bias[1])
    arrays = {"dense_i/kernel": params.input_kernel, "dense_h/kernel": params.recurrent_kernel, nnx_bias(name): bias}
    tree: dict[str, dict[str, Any]] = {"dense_i": {}, "dense_h": {}}
    for path, array in arrays.items():
        part, field = path.split("/")
        tree[part][field] = reorder(array, OURS[name].GATES, NNX_GATES[name])
    return tree


def network_to(network: Network, params: tuple[Directions, ...], **options: Any) -> tuple[Directions, ...]:
    """Returns one `Directions` of cells' states per layer.

    Raises:
        ValueError: as `params_to`, or the params belong to another network.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> network = recurrent.Network((recurrent.simple_rnn,), (4,))
    >>> params = recurrent.network.init(jax.random.key(0), network, input_size=3)
    >>> sorted(interop.nnx.network_to(network, params)[0].forward)
    ['dense_h', 'dense_i']
    """
    return unstack(network, params, lambda own: params_to(own, **options))


def _check_recurrent_bias(bias: Any) -> None:
    """Raises ValueError unless the candidate's recurrent bias is zero."""
    candidate = split(bias, gru.GATES)["candidate"]
    if is_traced(candidate) or np.any(np.asarray(candidate) != 0):
        raise ValueError(
            "Flax NNX' GRUCell has no bias on the candidate's recurrent kernel (Flax issue 5594), and that of these "
            "params must be zero; it is not, or is unknown under a transformation. Flax Linen's GRUCell has one."
        )


def _checked(tree: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns the cell's name, and its arrays by their paths."""
    if not all(isinstance(own, Mapping) for own in tree.values()):
        raise ValueError("The state of an NNX cell must be a dict of dicts, such as {'dense_i': {'kernel': ...}, ...}.")
    arrays = {f"{part}/{name}": array for part, own in tree.items() for name, array in own.items()}
    if "dense_h/kernel" not in arrays:
        raise ValueError(f"The state of the cell lacks 'dense_h/kernel'; it has {', '.join(arrays) or 'nothing'}.")
    hidden_size, num_gates = count_blocks("dense_h/kernel", arrays["dense_h/kernel"])
    name, columns = {1: "simple_rnn", 3: "gru", 4: "lstm"}[num_gates], num_gates * hidden_size
    input_size = np.shape(arrays.get("dense_i/kernel", ()))[:1]
    shapes = {"dense_i/kernel": (*input_size, columns), "dense_h/kernel": (hidden_size, columns)}
    return name, fit("The state of the cell", arrays, {**shapes, nnx_bias(name): (columns,)})


def _tree(cell: Any) -> dict[str, Any]:
    """Returns a cell's params as a dict of dicts."""
    if isinstance(cell, dict):
        return cell
    with needs(__name__, "flax", {"flax": "Flax"}):
        from flax import nnx
    if isinstance(cell, nnx.State):
        return nnx.to_pure_dict(cell)
    cell = cell.cell if isinstance(cell, nnx.RNN) else cell
    if type(cell) not in (nnx.SimpleCell, nnx.LSTMCell, nnx.OptimizedLSTMCell, nnx.GRUCell):
        raise ValueError(f"A {type(cell).__name__} is not a cell of Flax NNX that has a counterpart here.")
    if getattr(cell, "residual", False):
        raise ValueError("The SimpleCell has residual=True, and simple_rnn adds nothing to its state.")
    for field, expected in (("gate_fn", (jax.nn.sigmoid,)), ("activation_fn", (jnp.tanh, jax.nn.tanh))):
        if getattr(cell, field, expected[0]) not in (*expected, getattr(nnx, expected[0].__name__)):
            raise ValueError(f"The {type(cell).__name__} has another {field} than {expected[0].__name__}.")
    return nnx.to_pure_dict(nnx.state(cell, nnx.Param))


def _directions(entry: Any) -> Any:
    if isinstance(entry, dict | tuple):
        return entry
    with needs(__name__, "flax", {"flax": "Flax"}):
        from flax import nnx
    if not isinstance(entry, nnx.Bidirectional):
        return entry
    joined = entry.merge_fn(jnp.zeros((1, 2)), jnp.ones((1, 3)))
    if np.shape(joined) != (1, 5) or np.any(np.asarray(joined)[0, :2] != 0):
        raise ValueError("The nnx.Bidirectional has a merge_fn of its own, and a Network concatenates.")
    return entry.forward_rnn, entry.backward_rnn
