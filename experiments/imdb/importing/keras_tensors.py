"""The arrays of a Keras model, by the names that this project's model gives them."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from experiments.imdb.importing.keras_graph import Layer
from experiments.imdb.importing.keras_model import KerasModel, Recurrent
from experiments.imdb.importing.keras_options import flag, size
from experiments.imdb.importing.tensors import head_tensors, recurrent_tensors
from recurrent import interop
from recurrent.network import Directions

__all__ = ["keras_tensors", "names_of"]

_GATES = {"simple_rnn": 1, "lstm": 4, "gru": 3, "gru_reset_before": 3}
Shapes = dict[str, tuple[int, ...]]


def names_of(model: KerasModel) -> dict[str, list[str]]:
    """Returns the names of the arrays of each layer that has some, in Keras' order."""
    return {layer.name: [*shapes] for layer, shapes in _expected(model)}


def keras_tensors(model: KerasModel, arrays: Mapping[str, Sequence[np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns the tensors by the names of `tensors.fit`.

    Args:
        model: the model.
        arrays: of each layer, in Keras' order.

    Raises:
        ValueError: an array is missing, superfluous, misshaped, of another dtype or not finite; names its layer.
    """
    dtype = "float64" if model.dtype == "float64" else "float32"
    checked = {layer.name: _fit(layer, shapes, dtype, arrays.get(layer.name, ())) for layer, shapes in _expected(model)}
    layers = tuple(_directions(each, checked[each.layer.name]) for each in model.recurrent)
    head = checked[model.head.name]
    bias = head.get("bias", np.zeros(size(model.head, "units"), head["kernel"].dtype))
    return {
        "embedding.embedding": checked[model.embedding.name]["embeddings"],
        **recurrent_tensors(layers),
        **head_tensors(head["kernel"], bias),
    }


def _expected(model: KerasModel) -> Iterator[tuple[Layer, Shapes]]:
    """Yields the layers that have arrays, with the shapes of these."""
    features = size(model.embedding, "output_dim")
    yield model.embedding, {"embeddings": (size(model.embedding, "input_dim"), features)}
    for each in model.recurrent:
        ways = ("forward ", "backward ") if each.is_bidirectional else ("",)
        shapes = _of_cell(each, features)
        yield each.layer, {f"{way}{name}": shape for way in ways for name, shape in shapes.items()}
        features = each.units * len(ways)
    units = size(model.head, "units")
    has_bias = flag(model.head, "use_bias", True)
    yield model.head, {"kernel": (features, units), **({"bias": (units,)} if has_bias else {})}


def _of_cell(recurrent: Recurrent, features: int) -> Shapes:
    units, columns = recurrent.units, _GATES[recurrent.cell] * recurrent.units
    bias = (2, columns) if recurrent.cell == "gru" else (columns,)
    shapes: Shapes = {"kernel": (features, columns), "recurrent_kernel": (units, columns), "bias": bias}
    return shapes if recurrent.has_bias else {name: shape for name, shape in shapes.items() if name != "bias"}


def _fit(layer: Layer, shapes: Shapes, dtype: str, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    if len(arrays) != len(shapes):
        verb = "lacks" if len(arrays) < len(shapes) else "has superfluous"
        raise ValueError(
            f"{layer} {verb} arrays: it must have {', '.join(shapes)}, and the file has {len(arrays)} of it. "
            "Save the whole model again with Keras."
        )
    named = dict(zip(shapes, arrays, strict=True))
    for name, array in named.items():
        if array.shape != shapes[name]:
            raise ValueError(
                f"{layer}: {name} has shape {array.shape}, and the model's description says {shapes[name]}."
            )
        if array.dtype != dtype:
            raise ValueError(f"{layer}: {name} is {array.dtype}, and by the layer's options {dtype}.")
        if not np.isfinite(array).all():
            raise ValueError(f"{layer}: {name} has values that are not finite. Import a checkpoint from before that.")
    return named


def _directions(recurrent: Recurrent, arrays: Mapping[str, np.ndarray]) -> Directions:
    ways = ("forward ", "backward ") if recurrent.is_bidirectional else ("",)
    return Directions(*(_cell_params(recurrent, arrays, way) for way in ways))


def _cell_params(recurrent: Recurrent, arrays: Mapping[str, np.ndarray], way: str) -> object:
    shape = _of_cell(recurrent._replace(has_bias=True), 1)["bias"]
    kernels = [arrays[f"{way}{name}"] for name in ("kernel", "recurrent_kernel")]
    return interop.keras.params_from([*kernels, arrays.get(f"{way}bias", np.zeros(shape, kernels[0].dtype))])
