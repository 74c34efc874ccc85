"""A run's recurrent layers one by one, for formats that have a layer or a node for each."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from experiments.imdb.runs.open import Run
from experiments.imdb.training.recipes import Recipe
from recurrent.network import Directions, Network

__all__ = ["Layer", "check_expressible", "layers_of"]

_LAYER_NORM = ("layer_norm_lstm", "layer_norm_gru")


class Layer(NamedTuple):
    """A recurrent layer as a network of its own."""

    cell: str
    network: Network
    params: Directions
    keeps_outputs: bool  # whether its outputs are used, or its final state alone
    has_shortcut: bool  # whether its input is added to its outputs


def layers_of(run: Run) -> Iterator[Layer]:
    """Yields the recurrent layers of a run, the first one first."""
    recipe, network = run.recipe, run.model.network
    directions = 2 if recipe.bidirectional else 1
    input_size, last = recipe.embedding_size, recipe.layers - 1
    for number, params in enumerate(run.model.network_params()):
        size = network.hidden_sizes[number]
        keeps_outputs = number < last or recipe.pooling != "last"
        yield Layer(
            recipe.cells[number],
            Network((network.cells[number],), (size,), recipe.bidirectional),
            params,
            keeps_outputs,
            recipe.residual and keeps_outputs and input_size == directions * size,
        )
        input_size = directions * size


def check_expressible(recipe: Recipe, library: str, further: Mapping[str, str]) -> None:
    """Checks that a library computes what the recipe does.

    Args:
        recipe: of the run.
        library: its name in an error.
        further: a field that is set, and why the library can't express it.

    Raises:
        ValueError: it can't; names the field and the reason.
    """
    for field, reason in {**_reasons(recipe, library), **further}.items():
        value: Any = getattr(recipe, field)
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else value
        raise ValueError(
            f"A run with {field} {shown} can't be exported to {library}: {reason}. "
            "The formats safetensors and jax take every run."
        )


def _reasons(recipe: Recipe, library: str) -> dict[str, str]:
    reasons = {}
    if any(cell in _LAYER_NORM for cell in recipe.cells):
        field = "layer_cells" if recipe.layer_cells else "cell"
        reasons[field] = f"{library} has no recurrent layer with layer normalisation"
    if recipe.zoneout_rate:
        reasons["zoneout_rate"] = f"no layer of {library} mixes a new state with the old one"
    if recipe.dtype == "bfloat16":
        reasons["dtype"] = f"{library} rounds to bfloat16 in other places, so its answers would differ"
    return reasons
