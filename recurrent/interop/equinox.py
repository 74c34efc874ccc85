"""Equinox' `LSTMCell` and `GRUCell`: modules.

Kernels are transposed, and a GRU's blocks are in the order r, z, n. Its bias is b0 + b1 for the gates and b0 for the
candidate, whose recurrent bias stands apart.
"""

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from recurrent.cells import gru, lstm
from recurrent.extras import needs
from recurrent.interop.arrays import count_blocks, fit
from recurrent.interop.cells import OURS, RESET_BEFORE, name_of, refuse_sum
from recurrent.interop.gates import add, join, namespace, reorder, split, zeros_like
from recurrent.interop.stacks import stack, unstack
from recurrent.network import Directions, Network

__all__ = ["network_from", "network_to", "params_from", "params_to"]

GATES = {"lstm": lstm.GATES, "gru": ("reset", "update", "candidate")}
_REFUSED = {"gru_reset_before": RESET_BEFORE, "simple_rnn": "there is no simple cell, only an LSTMCell and a GRUCell"}
_NUM_GATES = {"lstm": 4, "gru": 3}


def params_from(cell: Any, *, is_moments: bool = False) -> Any:
    """Returns the params of a cell.

    Args:
        cell: an `LSTMCell` or a `GRUCell`.
        is_moments: the cell holds moments of RMSprop or Adam, as Optax' states do. Those of a GRU do not convert.

    Raises:
        ValueError: the module is of another kind, an array is misshaped or not finite, or moments do not convert.

    >>> import jax
    >>> import equinox as eqx
    >>> from recurrent import interop
    >>> cell = eqx.nn.LSTMCell(3, 4, key=jax.random.key(0))
    >>> interop.equinox.params_from(cell).input_kernel.shape
    (3, 16)
    """
    name, arrays = _checked(cell)
    zero = zeros_like(arrays["weight_hh"][:, 0])
    kernels = [reorder(arrays[field], GATES[name], OURS[name].GATES, axis=0) for field in ("weight_ih", "weight_hh")]
    bias = reorder(arrays.get("bias", zero), GATES[name], OURS[name].GATES)
    if name == "gru":
        refuse_sum("Equinox", name, is_moments)
        of_state = split(zero, gru.GATES)
        of_state |= {"candidate": arrays.get("bias_n", of_state["candidate"])}
        bias = namespace(bias).stack([bias, join(of_state, gru.GATES)])
    return OURS[name].Params(kernels[0].T, kernels[1].T, bias)


def network_from(layers: Iterable[Any], **options: Any) -> tuple[Network, tuple[Directions, ...]]:
    """Returns the network that layers make, and its params.

    Args:
        layers: one entry per layer: a cell, or (forward, backward).
        options: `is_moments`, as in `params_from`.

    Raises:
        ValueError: as `params_from`, or the layers do not fit each other.

    >>> import jax
    >>> import equinox as eqx
    >>> from recurrent import interop
    >>> cells = [eqx.nn.GRUCell(size, 4, key=jax.random.key(0)) for size in (3, 4)]
    >>> interop.equinox.network_from(cells)[0].hidden_sizes
    (4, 4)
    """
    return stack(layers, lambda cell: params_from(cell, **options))


def params_to(params: Any, *, is_moments: bool = False) -> Any:
    """Returns a cell.

    Raises:
        ValueError: Equinox has no counterpart of the cell, an array is not finite, or moments do not convert.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> params = recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> interop.equinox.params_to(params).bias_n.shape
    (4,)
    """
    with needs(__name__, "peers", {"equinox": "Equinox"}):
        import equinox
    name = name_of("Equinox", params, _REFUSED)
    ours, theirs = OURS[name].GATES, GATES[name]
    kernels = {"weight_ih": params.input_kernel.T, "weight_hh": params.recurrent_kernel.T}
    arrays = {field: reorder(kernel, ours, theirs, axis=0) for field, kernel in kernels.items()}
    if name == "lstm":
        arrays["bias"] = params.bias
    else:
        refuse_sum("Equinox", name, is_moments)
        of_state = split(params.bias[1], ours)
        arrays["bias_n"] = of_state["candidate"]
        of_state |= {"candidate": zeros_like(of_state["candidate"])}
        arrays["bias"] = reorder(add(params.bias[0], join(of_state, ours)), ours, theirs)
    kind = {"lstm": equinox.nn.LSTMCell, "gru": equinox.nn.GRUCell}[name]
    sizes = params.input_kernel.shape[0], params.recurrent_kernel.shape[0]
    cell = equinox.filter_eval_shape(kind, *sizes, key=jax.random.key(0))
    return equinox.tree_at(lambda cell: [getattr(cell, field) for field in arrays], cell, list(arrays.values()))


def network_to(network: Network, params: tuple[Directions, ...], **options: Any) -> tuple[Directions, ...]:
    """Returns one `Directions` of cells per layer.

    Raises:
        ValueError: as `params_to`, or the params belong to another network.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> network = recurrent.Network((recurrent.lstm,), (4,))
    >>> params = recurrent.network.init(jax.random.key(0), network, input_size=3)
    >>> type(interop.equinox.network_to(network, params)[0].forward).__name__
    'LSTMCell'
    """
    return unstack(network, params, lambda own: params_to(own, **options))


def _checked(cell: Any) -> tuple[str, dict[str, Any]]:
    """Returns our cell's name, and the arrays of theirs."""
    with needs(__name__, "peers", {"equinox": "Equinox"}):
        import equinox
    name = {equinox.nn.LSTMCell: "lstm", equinox.nn.GRUCell: "gru"}.get(type(cell))
    if name is None:
        raise ValueError(f"A {type(cell).__name__} is not an LSTMCell or GRUCell of Equinox.")
    fields = ("weight_ih", "weight_hh", "bias", *(["bias_n"] if name == "gru" else []))
    arrays = {field: getattr(cell, field) for field in fields if getattr(cell, field) is not None}
    hidden_size, num_gates = count_blocks("weight_hh", arrays.get("weight_hh", np.zeros(0)), axis=0)
    if num_gates != _NUM_GATES[name]:
        raise ValueError(
            f"weight_hh has {num_gates} blocks of {hidden_size} units, and a {name} has {_NUM_GATES[name]}."
        )
    rows, input_size = num_gates * hidden_size, np.shape(arrays.get("weight_ih", np.zeros(0)))[1:]
    shapes = {"weight_ih": (rows, *input_size), "weight_hh": (rows, hidden_size)}
    biases = {"bias": (rows,), "bias_n": (hidden_size,)} if len(arrays) > 2 else {}
    return name, fit("The cell", arrays, shapes | {field: biases[field] for field in fields if field in biases})
