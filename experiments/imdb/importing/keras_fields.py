"""The recipe of a Keras model."""

from collections.abc import Sequence
from typing import Any

from experiments.imdb.importing.keras_graph import Layer
from experiments.imdb.importing.keras_model import KerasModel
from experiments.imdb.importing.keras_options import flag, rate, size

__all__ = ["keras_fields"]


def keras_fields(model: KerasModel, ignores_training: bool = False) -> dict[str, Any]:
    """Returns the fields of a recipe that the model decides.

    Args:
        model: the model.
        ignores_training: leaves out what acts in training alone and has no field.

    Raises:
        ValueError: the model has something that acts in training alone and has no field.
    """
    noise, faults = _noise(model)
    if (faults := model.of_training + faults) and not ignores_training:
        raise ValueError(
            f"{faults[0]}: this acts in training alone, and no field of a recipe does the same. "
            "--ignore-training-options imports the model without it; its answers are the same."
        )
    cells = tuple(each.cell for each in model.recurrent)
    sizes = tuple(each.units for each in model.recurrent)
    return {
        "cell": cells[0],
        "layers": len(cells),
        "layer_cells": cells if len(set(cells)) > 1 else (),
        "hidden_size": sizes[0],
        "layer_sizes": sizes if len(set(sizes)) > 1 else (),
        "bidirectional": model.recurrent[0].is_bidirectional,
        "vocabulary_size": size(model.embedding, "input_dim"),
        "embedding_size": size(model.embedding, "output_dim"),
        "padding": "masked" if flag(model.embedding, "mask_zero") else "keras",
        "pooling": "mean" if model.is_pooled else "last",
        "dtype": model.dtype,
        **noise,
    }


def _noise(model: KerasModel) -> tuple[dict[str, float], list[str]]:
    """Returns the rates of a recipe, and what has none."""
    first, *others = model.recurrent
    of_inputs = [(each, rate(each, "rate")) for each in model.at_embedding if each.kind == "SpatialDropout1D"]
    if not first.is_bidirectional:  # or each direction draws its own
        of_inputs.append((first.layer, first.dropout_rate))
    apart = [*others, *([first] if first.is_bidirectional else [])]
    faults = [f"{each.layer} has dropout={each.dropout_rate}" for each in apart if each.dropout_rate]
    *inner, last = [*model.between, []] if not model.is_pooled else model.between
    faults += [f"{each} stands before the mean" for each in last]
    rates = {each.recurrent_dropout_rate for each in model.recurrent}
    if len(rates) > 1:
        faults.append(f"{first.layer} has another recurrent_dropout than the others")
    fields = {
        "embedding_dropout_rate": _only([pair for pair in of_inputs if pair[1]], faults),
        "input_dropout_rate": _only(_plain(model.at_embedding, faults), faults),
        "layer_dropout_rate": _same(inner, faults),
        "recurrent_dropout_rate": rates.pop() if len(rates) == 1 else 0.0,
        "head_dropout_rate": _only(_plain(model.at_head, faults, True), faults),
    }
    return {name: value for name, value in fields.items() if value}, faults


def _plain(layers: Sequence[Layer], faults: list[str], is_head: bool = False) -> list[tuple[Layer, float]]:
    """Returns the Dropout layers that draw each element anew, with their rates."""
    odd = [each for each in layers if each.config.get("noise_shape") is not None]
    odd += [each for each in layers if is_head and each.kind != "Dropout"]
    faults += [f"{each} drops whole features" for each in odd]
    pairs = [(each, rate(each, "rate")) for each in layers if each.kind == "Dropout" and each not in odd]
    return [pair for pair in pairs if pair[1]]


def _only(layers: Sequence[tuple[Layer, float]], faults: list[str]) -> float:
    """Returns the rate of the only layer; 0 if there is none."""
    faults += [f"{layer} drops the same features once more" for layer, _ in layers[1:]]
    return layers[0][1] if layers else 0.0


def _same(between: Sequence[Sequence[Layer]], faults: list[str]) -> float:
    """Returns the rate of the Dropout between all recurrent layers."""
    faults += [f"{each} drops whole features" for some in between for each in some if each.kind != "Dropout"]
    rates = [_only(_plain(some, faults), faults) for some in between]
    if len(set(rates)) > 1:
        faults.append("The Dropout between recurrent layers differs from layer to layer")
        return 0.0
    return rates[0] if rates else 0.0
