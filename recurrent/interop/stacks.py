"""Networks of libraries that have cells and no stacks: one entry per layer, each a cell's weights or a pair of them."""

from collections.abc import Callable, Iterable
from typing import Any

from recurrent.interop.cells import cell_of
from recurrent.network import Directions, Network
from recurrent.network.params import check_network_params, each

__all__ = ["only_cell", "stack", "unstack"]

Layers = tuple[Directions, ...]


def stack(layers: Iterable[Any], params_from: Callable[[Any], Any], **options: Any) -> tuple[Network, Layers]:
    """Returns the network that layers make, and its params.

    Args:
        layers: a cell's weights for each layer, or (forward, backward) for each layer.
        params_from: converts a cell's weights.
        options: further arguments of `Network`.

    Raises:
        ValueError: the layers differ in their number of directions, or in sizes that must be equal.
    """
    if not isinstance(layers, Iterable):
        raise ValueError(f"layers must be a sequence with one entry per layer, not a {type(layers).__name__}.")
    pairs = [tuple(entry) if isinstance(entry, tuple) else (entry,) for entry in layers]
    given = [tuple(each_way for each_way in pair if each_way is not None) for pair in pairs]
    counts = {len(pair) for pair in given}
    if counts not in ({1}, {2}):
        raise ValueError(
            f"The layers have {', '.join(str(len(pair)) for pair in given) or 'no'} directions; all must have one, "
            "or all must have two."
        )
    params = tuple(Directions(*map(params_from, pair)) for pair in given)
    return _describe(params, **options), params


def unstack(network: Network, params: Layers, params_to: Callable[[Any], Any]) -> Layers:
    """Returns one `Directions` of a library's weights per layer."""
    check_network_params(network, params)
    return tuple(Directions(*(params_to(of_direction) for _, of_direction in each(own))) for own in params)


def only_cell(network: Network, params: Layers) -> Any:
    """Returns the params of a network's only cell.

    Raises:
        ValueError: it has several layers or two directions.
    """
    if len(params) > 1 or network.is_bidirectional:
        directions = "both directions" if network.is_bidirectional else "one direction"
        raise ValueError(f"This is a network of {len(params)} layers in {directions}, not one cell: use network_from.")
    return params[0].forward


def _describe(params: Layers, **options: Any) -> Network:
    """Returns the network that has these params."""
    cells, hidden_sizes, input_size = [], [], None
    for layer, own in enumerate(params):
        found = {(cell_of(each_way), *_sizes(each_way)) for _, each_way in each(own)}
        if len(found) > 1:
            raise ValueError(f"The directions of layer {layer} differ in their cell or their sizes.")
        ((cell, own_input_size, hidden_size),) = found
        if input_size not in (None, own_input_size):
            raise ValueError(
                f"Layer {layer} has {own_input_size} inputs, but the layer before it {input_size} outputs."
            )
        input_size = hidden_size * len(list(each(own)))
        cells.append(cell)
        hidden_sizes.append(hidden_size)
    return Network(tuple(cells), tuple(hidden_sizes), params[0].backward is not None, **options)


def _sizes(params: Any) -> tuple[int, int]:
    """Returns the input size and the hidden size."""
    return params.input_kernel.shape[0], params.recurrent_kernel.shape[0]
