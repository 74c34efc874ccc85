"""Flax Linen's `SimpleCell`, `LSTMCell`, `OptimizedLSTMCell` and `GRUCell`: trees of params.

Each gate has kernels of its own, `ii` for the input and `hi` for the state. The biases of an LSTM stand beside the
state's kernels. Those of a GRU stand beside the input's, except that its candidate has two: here, b0 + b1 of the update
and the reset gate become one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from recurrent.interop.arrays import check_names, fit
from recurrent.interop.cells import OURS, RESET_BEFORE, name_of, refuse_sum
from recurrent.interop.flax_cells import LETTERS, linen_params
from recurrent.interop.gates import add, split
from recurrent.interop.stacks import stack, unstack
from recurrent.network import Directions, Network

__all__ = ["network_from", "network_to", "params_from", "params_to"]

_REFUSED = {"gru_reset_before": RESET_BEFORE}


def params_from(tree: Mapping[str, Any], *, is_moments: bool = False) -> Any:
    """Returns the params of a cell.

    Args:
        tree: of one cell, such as ``variables["params"]["cell"]`` of `nn.RNN`. It does not name the activations, which
            must be Flax' defaults.
        is_moments: the tree holds moments of RMSprop or Adam in place of params. Those of a GRU do not convert.

    Raises:
        ValueError: an array is missing, superfluous, misshaped or not finite, or moments do not convert.

    >>> import numpy as np
    >>> from recurrent import interop
    >>> tree = {"i": {"kernel": np.ones((3, 4)), "bias": np.ones(4)}, "h": {"kernel": np.ones((4, 4))}}
    >>> interop.linen.params_from(tree).input_kernel.shape
    (3, 4)
    """
    name, arrays = _checked(tree)
    if name == "gru":
        refuse_sum("Flax Linen", name, is_moments)
    return linen_params(name, arrays)


def network_from(layers: Iterable[Any], **options: Any) -> tuple[Network, tuple[Directions, ...]]:
    """Returns the network that layers make, and its params.

    Args:
        layers: one entry per layer: a cell's tree, or (forward, backward).
        options: `is_moments`, as in `params_from`.

    Raises:
        ValueError: as `params_from`, or the layers do not fit each other.

    >>> import numpy as np
    >>> from recurrent import interop
    >>> tree = {"i": {"kernel": np.ones((3, 4)), "bias": np.ones(4)}, "h": {"kernel": np.ones((4, 4))}}
    >>> interop.linen.network_from([(tree, tree)])[0].is_bidirectional
    True
    """
    return stack(layers, lambda tree: params_from(tree, **options))


def params_to(params: Any, *, is_moments: bool = False) -> dict[str, dict[str, Any]]:
    """Returns the tree of params of a cell.

    Raises:
        ValueError: Flax has no counterpart of the cell, an array is not finite, or moments do not convert.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> params = recurrent.gru.init(jax.random.key(0), input_size=3, hidden_size=4)
    >>> sorted(interop.linen.params_to(params))
    ['hn', 'hr', 'hz', 'in', 'ir', 'iz']
    """
    name = name_of("Flax Linen", params, _REFUSED)
    if name == "simple_rnn":
        return {"i": {"kernel": params.input_kernel, "bias": params.bias}, "h": {"kernel": params.recurrent_kernel}}
    letters, gates = LETTERS[name], OURS[name].GATES
    kernels = {"i": split(params.input_kernel, gates), "h": split(params.recurrent_kernel, gates)}
    tree = {side + letters[gate]: {"kernel": own[gate]} for side, own in kernels.items() for gate in gates}
    if name == "lstm":
        for gate, bias in split(params.bias, gates).items():
            tree[f"h{letters[gate]}"]["bias"] = bias
        return tree
    refuse_sum("Flax Linen", name, is_moments)
    of_input, of_state = (split(params.bias[row], gates) for row in (0, 1))
    for gate in gates:
        is_sum = gate != "candidate"
        tree[f"i{letters[gate]}"]["bias"] = add(of_input[gate], of_state[gate]) if is_sum else of_input[gate]
    tree["hn"]["bias"] = of_state["candidate"]
    return tree


def network_to(network: Network, params: tuple[Directions, ...], **options: Any) -> tuple[Directions, ...]:
    """Returns one `Directions` of cells' trees per layer.

    Raises:
        ValueError: as `params_to`, or the params belong to another network.

    >>> import jax, recurrent
    >>> from recurrent import interop
    >>> network = recurrent.Network((recurrent.simple_rnn,), (4,))
    >>> params = recurrent.network.init(jax.random.key(0), network, input_size=3)
    >>> sorted(interop.linen.network_to(network, params)[0].forward)
    ['h', 'i']
    """
    return unstack(network, params, lambda own: params_to(own, **options))


def _checked(tree: Any) -> tuple[str, dict[str, Any]]:
    """Returns the cell's name, and its arrays by their paths."""
    if not isinstance(tree, Mapping) or not all(isinstance(own, Mapping) for own in tree.values()):
        raise ValueError(f"The params of a Linen cell must be a dict of dicts, not {_describe(tree)}.")
    arrays = {f"{part}/{name}": _unboxed(array) for part, own in tree.items() for name, array in own.items()}
    name, state_kernel = _name_of_parts(tree), "h" if "h" in tree else "hi" if "hi" in tree else "hz"
    check_names("The params of the cell", arrays, _names(name))
    sizes = np.shape(arrays[f"i{state_kernel[1:]}/kernel"])[:1], np.shape(arrays[f"{state_kernel}/kernel"])[:1]
    shapes = {
        path: sizes[1] if path.endswith("bias") else (*sizes[path.startswith("h")], *sizes[1]) for path in _names(name)
    }
    return name, fit("The params of the cell", arrays, shapes)


def _name_of_parts(tree: Mapping[str, Any]) -> str:
    parts = {"simple_rnn": {"i", "h"}} | {
        name: {side + letter for side in "ih" for letter in letters.values()} for name, letters in LETTERS.items()
    }
    for name, expected in parts.items():
        if expected & {*tree} and not {*tree} - expected:
            return name
    raise ValueError(
        f"The parts {_describe(tree)} are not those of a SimpleCell (i, h), an LSTMCell (ii, if, ig, io, hi, ...) or a "
        "GRUCell (ir, iz, in, hr, ...)."
    )


def _names(name: str) -> list[str]:
    """Returns the paths of a cell's arrays."""
    if name == "simple_rnn":
        return ["i/kernel", "i/bias", "h/kernel"]
    letters = LETTERS[name].values()
    kernels = [f"{side}{letter}/kernel" for side in "ih" for letter in letters]
    biases = [f"h{letter}/bias" for letter in letters]
    return kernels + (biases if name == "lstm" else [f"i{letter}/bias" for letter in letters] + ["hn/bias"])


def _unboxed(leaf: Any) -> Any:
    """Returns the array within Flax' boxes, such as `nn.Partitioned`."""
    return leaf.unbox() if hasattr(leaf, "unbox") else leaf


def _describe(tree: Any) -> str:
    return f"{', '.join(map(str, tree))}" if isinstance(tree, Mapping) else f"a {type(tree).__name__}"
