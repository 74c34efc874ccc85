"""A network over a batch of sequences: `run`, layer upon layer."""

from collections.abc import Callable, Iterable
from typing import Any, Unpack

import jax
from jaxtyping import Array, Bool, DTypeLike, Float, Int, PyTree

from recurrent.batch import run, run_final
from recurrent.call.arguments import as_array, as_arrays
from recurrent.call.call import Prefix
from recurrent.call.options import NetworkOptions, refuse_unknown
from recurrent.network.description import Directions, Network, check_network_params
from recurrent.network.residual import add_shortcut, has_shortcut
from recurrent.network.stack import check_depth, pick, run_layers
from recurrent.regularize import dropout
from recurrent.shapes import RandomKey

__all__ = ["run_network", "run_network_final"]

SHARED = ("is_token", "is_start", "segment_size", "truncate_every", "dtype", "backend")
"""What all layers and directions are given alike."""


def run_network(
    network: Network,
    params: tuple[Directions, ...],
    inputs: PyTree[Float[Array, "*batch time _"]],
    *,
    is_token: Bool[Array, "*batch time"] | None = None,
    is_start: Bool[Array, "*batch time"] | None = None,
    initial: tuple[Directions, ...] | None = None,
    reset_to: tuple[Directions, ...] | None = None,
    reset_index: Int[Array, "*batch time"] | None = None,
    recurrent_mask: tuple[Directions, ...] | None = None,
    prefix: Prefix | None = None,
    key: RandomKey | None = None,
    numbers: Int[Array, "*batch"] | None = None,
    segment_size: int | None = None,
    truncate_every: int | None = None,
    make_inputs: Callable[[Any], Any] | None = None,
    dtype: DTypeLike | None = None,
    backend: str = "auto",
) -> tuple[Float[Array, "*batch time output"], tuple[Directions, ...]]:
    """Runs a network over a batch of sequences; returns the last layer's outputs and the final states of all layers.

    What is not said here is as in `recurrent.run`, for every layer and direction. Steps without a token repeat the last
    output, the shortcut's part of it too.

    Args:
        initial: states like those that come back; zero by default. A None in the place of a state is zero too.
        reset_to: tables of states, for each layer and direction as in `initial`; all are looked up by `reset_index`.
        recurrent_mask: a mask for each layer and direction, [*batch, time or 1, hidden]; None in the place of one masks
            nothing there.
        prefix: steps at the front of the first layer's inputs that are alike in all sequences, as if they were written
            there. What the other layers see of them is what the first one puts out.
        key: draws the noise of dropout; without one there is none.
        numbers: the examples' numbers in the data set. Noise is a function of key, number, layer, step and unit, so
            that an example has the same one wherever it stands in whichever batch; by default rows are counted.
        truncate_every: of the steps of each pass, so that backwards it is counted from the end.
        make_inputs: makes the first layer's inputs. A residual network whose first layer has a shortcut makes them
            whole, whatever the segments.
        dtype: of all layers' outputs; the inputs' by default.

    Raises:
        ValueError: a shape or dtype does not fit, or params or states are those of another network.

    >>> import jax, jax.numpy as jnp, recurrent
    >>> from recurrent.network import Network, init, run_network
    >>> network = Network((recurrent.gru, recurrent.lstm), (4, 5), is_bidirectional=True)
    >>> params = init(jax.random.key(0), network, input_size=3)
    >>> outputs, final = run_network(network, params, jnp.ones((2, 7, 3)))
    >>> outputs.shape, final[0].forward.hidden.shape, final[1].backward.memory.shape
    ((2, 7, 10), (2, 4), (2, 5))
    """
    options = NetworkOptions(
        is_token=is_token,
        is_start=is_start,
        initial=initial,
        reset_to=reset_to,
        reset_index=reset_index,
        recurrent_mask=recurrent_mask,
        prefix=prefix,
        key=key,
        numbers=numbers,
        segment_size=segment_size,
        truncate_every=truncate_every,
        make_inputs=make_inputs,
        dtype=dtype,
        backend=backend,
    )
    return _run(network, params, inputs, True, options)


def run_network_final(
    network: Network,
    params: tuple[Directions, ...],
    inputs: PyTree[Float[Array, "*batch time _"]],
    **options: Unpack[NetworkOptions],
) -> tuple[Directions, ...]:
    """Runs a network and returns the final states of all layers alone: the last layer's outputs are not computed.

    The options are those of `run_network`. In a network of one layer a `prefix` is computed once for all sequences, as
    in `run_final`.

    Raises:
        ValueError: a shape or dtype does not fit, or params or states are those of another network.

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
    """Runs a network; where outputs are not kept, None stands in their place."""
    check_network_params(network, params)
    inputs, options = as_arrays("inputs", inputs), _as_arrays(options)
    key, numbers = options.get("key"), options.get("numbers")
    of_layers = {name: options.get(name) for name in ("initial", "reset_to", "recurrent_mask")}
    check_depth(network, of_layers)
    shared = {name: options[name] for name in SHARED if name in options}
    of_first: dict[str, Any] = {name: options.get(name) for name in ("prefix", "make_inputs")}
    if (options.get("reset_to") is None) != (options.get("reset_index") is None):
        raise ValueError("reset_to and reset_index go together, and with is_start, which says where they apply.")

    def run_one_way(layer: int, reverse: bool, of_direction: Any, inputs: Any) -> tuple[Any, Any]:
        own = pick(of_layers, layer, reverse)
        if "reset_to" in own:
            own["reset_index"] = options.get("reset_index")
        arguments: dict[str, Any] = {"reverse": reverse, **shared, **own, **(of_first if layer == 0 else {})}
        if keeps_outputs or layer < len(network.cells) - 1:
            return run(network.cells[layer], of_direction, inputs, **arguments)
        return None, run_final(network.cells[layer], of_direction, inputs, **arguments)

    def drop(layer: int, inputs: Array) -> Array:
        if key is None or network.dropout_rate == 0:
            return inputs
        return dropout(jax.random.fold_in(key, layer), network.dropout_rate, inputs, numbers)

    def shorten(layer: int, inputs: Any, halves: tuple[Array, ...]) -> Iterable[Array]:
        of_layer = of_first if layer == 0 else {}
        input_size = _size(inputs, of_layer.get("make_inputs"))
        if not has_shortcut(network.is_residual, layer, input_size, sum(half.shape[-1] for half in halves)):
            return halves
        return add_shortcut(inputs, halves, options.get("is_token"), options.get("is_start"), **of_layer)

    return run_layers(params, inputs, run_one_way, drop, shorten)


def _as_arrays(options: NetworkOptions) -> NetworkOptions:
    """Makes arrays of the options that are read here and not by `run` alone."""
    made: Any = {name: as_array(name, options.get(name)) for name in ("is_token", "is_start", "numbers")}
    prefix = options.get("prefix")
    if prefix is not None:
        made["prefix"] = Prefix(as_arrays("prefix.input", prefix.input), as_arrays("prefix.length", prefix.length))
    return {**options, **made}


def _size(inputs: Any, make_inputs: Callable[[Any], Any] | None) -> int | None:
    """Returns the size of what the first layer is given at a step, or None where that is not one array."""
    made = jax.tree.leaves(inputs if make_inputs is None else jax.eval_shape(make_inputs, inputs))
    return made[0].shape[-1] if len(made) == 1 else None
