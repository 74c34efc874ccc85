"""A model of the benchmark's family among Keras' layers: Embedding, recurrent layers, a mean or none, Dense.

Dropout may stand between them. Anything else is refused with the layer's name.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from experiments.imdb.importing.keras_graph import Layer, as_layer
from experiments.imdb.importing.keras_options import check_options, flag, option_dtype, rate, size

__all__ = ["KerasModel", "Recurrent", "read_model"]

_CELLS = {"SimpleRNN": "simple_rnn", "LSTM": "lstm", "GRU": "gru"}
_DROPOUTS = ("Dropout", "SpatialDropout1D")
_OF_CELL = ("units", "use_bias", "dropout", "recurrent_dropout", "return_sequences", "go_backwards", "reset_after")
_MAX_POOLING = (
    "Keras takes the maximum over the padding too, and a recipe over the words alone. Use GlobalAveragePooling1D with "
    "mask_zero=True, or the last output."
)


class Recurrent(NamedTuple):
    """A recurrent layer."""

    layer: Layer
    cell: str
    units: int
    has_bias: bool
    is_bidirectional: bool
    returns_sequences: bool
    dropout_rate: float  # of the inputs, one mask for all steps
    recurrent_dropout_rate: float


class KerasModel(NamedTuple):
    """What the layers are, checked; `keras_fields` makes a recipe's fields of it."""

    embedding: Layer
    at_embedding: list[Layer]  # dropout
    recurrent: list[Recurrent]
    between: list[list[Layer]]  # dropout after each recurrent layer
    is_pooled: bool
    at_head: list[Layer]  # dropout
    head: Layer
    dtype: str
    of_training: list[str]  # what acts in training alone and no recipe expresses, as messages


class _Queue:
    """The layers that are not read yet."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.rest = list(layers)

    def take(self, *kinds: str) -> Layer | None:
        """Returns the next layer if it is of one of some kinds."""
        return self.rest.pop(0) if self.rest and self.rest[0].kind in kinds else None

    def take_all(self, *kinds: str) -> list[Layer]:
        return list(iter(lambda: self.take(*kinds), None))

    def need(self, *kinds: str) -> Layer:
        """Returns the next layer, which must be of one of some kinds."""
        layer = self.take(*kinds)
        if layer is None:
            expected = " or ".join(kinds)
            if not self.rest:
                raise ValueError(f"The model ends where {expected} must follow.")
            odd = self.rest[0]
            hint = f" {_MAX_POOLING}" if odd.kind == "GlobalMaxPooling1D" else ""
            raise ValueError(f"{odd} stands where {expected} must follow, and no recipe has such a layer there.{hint}")
        return layer


def read_model(layers: Sequence[Layer]) -> KerasModel:
    """Returns what the layers are.

    Raises:
        ValueError: a layer or an option of it has no counterpart in a recipe; names it.
    """
    queue = _Queue(layers)
    embedding, at_embedding = queue.need("Embedding"), queue.take_all(*_DROPOUTS)
    recurrent, between = [], []
    while not recurrent or (queue.rest and queue.rest[0].kind in (*_CELLS, "Bidirectional")):
        recurrent.append(_recurrent(queue.need(*_CELLS, "Bidirectional")))
        between.append(queue.take_all(*_DROPOUTS))
    pooling = queue.take("GlobalAveragePooling1D")
    at_head = queue.take_all(*_DROPOUTS) if pooling else between.pop()
    head, activation = queue.need("Dense"), queue.take("Activation", "Softmax")
    if queue.rest:
        raise ValueError(f"{queue.rest[0]} follows the Dense layer, and no recipe has a layer there.")
    _check_sequences(recurrent, pooling, flag(embedding, "mask_zero"))
    of_training = check_options(embedding, ("input_dim", "output_dim", "mask_zero"))
    of_training += check_options(head, ("units", "activation", "use_bias"))
    for each in recurrent:
        of_training += _check_recurrent(each.layer)
    for layer in (*at_embedding, *at_head, *(layer for some in between for layer in some)):
        check_options(layer, ("rate", "noise_shape"))
    _check_activation(head, activation)
    for layer in filter(None, (pooling, activation)):
        check_options(layer, ("activation",))
    dtypes = {option_dtype(layer) for layer in layers}
    if len(dtypes) > 1:
        raise ValueError(f"The layers have several dtypes, {', '.join(sorted(dtypes))}; a recipe has one.")
    return KerasModel(
        embedding, at_embedding, recurrent, between, pooling is not None, at_head, head, dtypes.pop(), of_training
    )


def _recurrent(layer: Layer) -> Recurrent:
    inner = as_layer(layer.config.get("layer")) if layer.kind == "Bidirectional" else layer
    if inner.kind not in _CELLS:
        raise ValueError(f"{layer} wraps a {inner.kind}, and a recipe has one of {', '.join(_CELLS)}.")
    is_reset_before = inner.kind == "GRU" and not flag(inner, "reset_after")
    return Recurrent(
        layer=layer,
        cell="gru_reset_before" if is_reset_before else _CELLS[inner.kind],
        units=size(inner, "units"),
        has_bias=flag(inner, "use_bias", True),
        is_bidirectional=inner is not layer,
        returns_sequences=flag(inner, "return_sequences"),
        dropout_rate=rate(inner, "dropout"),
        recurrent_dropout_rate=rate(inner, "recurrent_dropout"),
    )


def _check_recurrent(layer: Layer) -> list[str]:
    """Checks the options of a layer, and that both directions of one are alike."""
    if layer.kind != "Bidirectional":
        return check_options(layer, tuple(name for name in _OF_CELL if name != "go_backwards"))
    forward = as_layer(layer.config["layer"])
    pair = [forward, as_layer(layer.config.get("backward_layer") or _reversed(forward))]
    ways = [flag(each, "go_backwards") for each in pair]
    if ways != [False, True]:
        raise ValueError(
            f"{layer} must have go_backwards False in its layer and True in its backward_layer, not {ways}."
        )
    forward_options, backward_options = ({name: each.config.get(name) for name in _OF_CELL[:-2]} for each in pair)
    if pair[0].kind != pair[1].kind or forward_options != backward_options:
        raise ValueError(f"{layer} has directions that differ in their options, and in a recipe they are alike.")
    return check_options(layer, ("layer", "backward_layer")) + [
        message for each in pair for message in check_options(each, _OF_CELL)
    ]


def _reversed(layer: Layer) -> dict[str, Any]:
    return {"class_name": layer.kind, "config": {**layer.config, "go_backwards": True}}


def _check_sequences(recurrent: Sequence[Recurrent], pooling: Layer | None, is_masked: bool) -> None:
    for number, each in enumerate(recurrent):
        must = number < len(recurrent) - 1 or pooling is not None
        if each.returns_sequences != must:
            raise ValueError(f"{each.layer} has return_sequences={not must}, and what follows it needs {must}.")
    if len({each.is_bidirectional for each in recurrent}) > 1:
        raise ValueError("Some recurrent layers are Bidirectional and some are not; in a recipe all are or none.")
    if pooling is not None and not is_masked:
        raise ValueError(
            f"{pooling} takes the mean over the padding too, since the Embedding has mask_zero=False; the mean of a "
            "recipe is over the words. Train the model with mask_zero=True."
        )


def _check_activation(head: Layer, after: Layer | None) -> None:
    units, given = size(head, "units"), head.config.get("activation")
    if after is not None and given == "linear":
        given = "softmax" if after.kind == "Softmax" else after.config.get("activation")
    elif after is not None:
        raise ValueError(f"{after} follows {head}, which has an activation already.")
    wanted = "sigmoid" if units == 1 else "softmax"
    if given not in (wanted, "linear"):
        raise ValueError(
            f"{head} has {units} units and activation={given!r}; it must be {wanted}, or linear for logits."
        )
