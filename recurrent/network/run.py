"""A network over a batch of sequences: `run`, layer upon layer."""

from collections.abc import Callable
from typing import Any, Unpack

import jax
from jaxtyping import Array, Float, PyTree

from recurrent.batch import run, run_final
from recurrent.call.arguments import as_array, as_arrays
from recurrent.call.checks import check_reset_pair
from recurrent.call.options import NetworkOptions, refuse_unknown
from recurrent.call.prefix import as_prefix
from recurrent.network.description import Directions, Network
from recurrent.network.params import check_network_params
from recurrent.network.residual import add_shortcut, has_shortcut
from recurrent.network.stack import check_depth, noise_key, pick, run_layers
from recurrent.regularize import dropout

__all__ = ["run_network", "run_network_final"]

SHARED = ("is_token", "is_start", "segment_size", "truncate_every", "dtype", "backend")
"""The options that all layers and directions share."""


def run_network(
    network: Network,
    params: tuple[Directions, ...],
    inputs: PyTree[Float[Array, "*batch time _"]],
    **options: Unpack[NetworkOptions],
) -> tuple[Float[Array, "*batch time output"], tuple[Directions, ...]]:
    """Runs a network over a batch of sequences; returns the last layer's outputs and the final states of all layers.

    The options `is_token`, `is_start`, `reset_index`, `segment_size` and `backend` mean the same as in `recurrent.run`,
    for every layer and direction. A masked step repeats the last output, including the shortcut's part.

    Args:
        network: the description.
        params: from `network.init`: one `Directions` per layer.
        inputs: ``[*batch, time, input]``, or a tree of arrays if the first cell takes one.
        initial: one `Directions` of states per layer, like the final states; zero by default. None stands for zero, in
            place of a state or of a whole layer.
        reset_to: one `Directions` of tables of states per layer; `reset_index` is the row in each of them.
        recurrent_mask: one `Directions` of masks ``[*batch, time or 1, hidden]`` per layer. None in place of a mask
            means no mask.
        prefix: steps with equal input at the front of all sequences, in the inputs of the first layer.
        key: draws the noise of dropout; without a key there is none.
        numbers: ``[*batch]``, the examples' numbers in the data set. Noise is a function of key, number, layer, step
            and unit, so an example has the same noise at any place in any batch. By default rows are numbered.
        truncate_every: in each direction, counted from the beginning of its pass.
        make_inputs: computes the first layer's inputs. If the first layer has a shortcut, they are also computed for
            all steps at once, whatever the segment size.
        dtype: the dtype of all layers' outputs; the inputs' by default.

    Raises:
        ValueError: a shape or dtype does not fit, or params or states belong to another network.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.network import Network, init, run_network
    >>> network = Network((recurrent.gru, recurrent.lstm), (4, 5), is_bidirectional=True)
    >>> params = init(jax.random.key(0), network, input_size=3)
    >>> outputs, final = run_network(network, params, jnp.ones((2, 7, 3)))
    >>> outputs.shape, final[0].forward.hidden.shape, final[1].backward.memory.shape
    ((2, 7, 10), (2, 4), (2, 5))
    """
    refuse_unknown("run_network", options, NetworkOptions)
    return _run(network, params, inputs, True, options)


def run_network_final(
    network: Network,
    params: tuple[Directions, ...],
    inputs: PyTree[Float[Array, "*batch time _"]],
    **options: Unpack[NetworkOptions],
) -> tuple[Directions, ...]:
    """Runs a network over a batch of sequences; returns the final states of all layers, and computes no last outputs.

    The options are those of `run_network`. In a network of one layer a `prefix` is computed once for all sequences, as
    in `run_final`.

    Raises:
        ValueError: a shape or dtype does not fit, or params or states belong to another network.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.network import Network, init, run_network_final
    >>> network = Network((recurrent.gru, recurrent.lstm), (4, 5))
    >>> params = init(jax.random.key(0), network, input_size=3)
    >>> run_network_final(network, params, jnp.ones((2, 7, 3)))[1].forward.hidden.shape
    (2, 5)
    """
    refuse_unknown("run_network_final", options, NetworkOptions)
    return _run(network, params, inputs, False, options)[1]


def _run(
    network: Network, params: tuple[Directions, ...], inputs: Any, keeps_outputs: bool, options: NetworkOptions
) -> tuple[Any, tuple[Directions, ...]]:
    """Runs a network; without `keeps_outputs` it returns None for the outputs."""
    check_network_params(network, params)
    inputs, given = as_arrays("inputs", inputs), _as_arrays(options)
    of_layers = {name: given.get(name) for name in ("initial", "reset_to", "recurrent_mask")}
    check_depth(network, of_layers)
    check_reset_pair(given.get("reset_to"), given.get("reset_index"))
    shared = {name: given[name] for name in SHARED if name in given}
    of_first = {name: given.get(name) for name in ("prefix", "make_inputs")}

    def run_one_way(layer: int, reverse: bool, of_direction: Any, inputs: Any) -> tuple[Any, Any]:
        own = pick(of_layers, layer, reverse)
        if "reset_to" in own:
            own["reset_index"] = given.get("reset_index")
        arguments: dict[str, Any] = {"reverse": reverse, **shared, **own, **(of_first if layer == 0 else {})}
        if keeps_outputs or layer < len(network.cells) - 1:
            return run(network.cells[layer], of_direction, inputs, **arguments)
        return None, run_final(network.cells[layer], of_direction, inputs, **arguments)

    def drop(layer: int, inputs: Array) -> Array:
        key = noise_key(network, given.get("key"), layer)
        return dropout(key, network.dropout_rate, inputs, given.get("numbers"))

    def shorten(layer: int, inputs: Any, halves: tuple[Array, ...]) -> Any:
        of_layer = of_first if layer == 0 else {}
        input_size = _size(inputs, of_layer.get("make_inputs"))
        if not has_shortcut(network.is_residual, layer, input_size, sum(half.shape[-1] for half in halves)):
            return halves
        return add_shortcut(inputs, halves, given.get("is_token"), given.get("is_start"), **of_layer)

    return run_layers(params, inputs, run_one_way, drop, shorten)


def _as_arrays(options: NetworkOptions) -> dict[str, Any]:
    """Converts the options that are used here and not by `run` alone."""
    converted = {name: as_array(name, options.get(name)) for name in ("is_token", "is_start", "numbers")}
    return {**options, **converted, "prefix": as_prefix(options.get("prefix"))}


def _size(inputs: Any, make_inputs: Callable[[Any], Any] | None) -> int | None:
    """Returns the size of the first layer's input at a step, or None unless it is a single array."""
    made = jax.tree.leaves(inputs if make_inputs is None else jax.eval_shape(make_inputs, inputs))
    return made[0].shape[-1] if len(made) == 1 else None
