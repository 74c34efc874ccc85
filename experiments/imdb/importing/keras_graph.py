"""The layers of a Keras model in their order, read from its description; no class of Keras is looked up or made."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from experiments.imdb.importing.file import as_json

__all__ = ["Chain", "Layer", "as_layer", "chain_of"]

_MAX_LAYERS = 100
_OF_KERAS = ("keras.", "tensorflow.keras.", "tf_keras.", "recurrent.layers.keras.")
_REPLACE = "Replace it by layers of Keras, or export its weights as safetensors."
_CHAIN = "a model of the benchmark's family is one chain of layers"


class Layer(NamedTuple):
    """A layer as Keras describes it."""

    name: str
    kind: str  # its class
    config: dict[str, Any]

    def __str__(self) -> str:
        """Names it in messages."""
        return f"Layer {self.name} ({self.kind})"


class Chain(NamedTuple):
    """Layers, each of which takes the output of the one before."""

    layers: list[Layer]  # without the input layer
    sequence_length: int | None  # None: any


def chain_of(text: bytes) -> Chain:
    """Returns the layers of a model from the JSON that Keras wrote.

    Raises:
        ValueError: it is not the description of a model, or holds a class that is not Keras' own, or is no chain.
    """
    model = _as_object(as_json(text, "The model's description"), "The model's description")
    kind, config = model.get("class_name"), model.get("config")
    if kind not in ("Sequential", "Functional", "Model"):
        raise ValueError(f"The model is a {kind!r}: {_CHAIN}, a Sequential or a Functional model.")
    entries = config if isinstance(config, list) else _as_object(config, "The model").get("layers")
    if not isinstance(entries, list) or not 0 < len(entries) <= _MAX_LAYERS:
        raise ValueError(f"The model must be a list of 1 to {_MAX_LAYERS} layers.")
    layers = [as_layer(entry) for entry in entries]
    if len({layer.name for layer in layers}) < len(layers):
        raise ValueError("Two layers of the model have one name.")
    if kind != "Sequential":
        layers = _in_line(layers, [_sources(entry) for entry in entries])
    built = config.get("build_input_shape") if isinstance(config, dict) else None
    lengths = [*(_length(layer.config) for layer in layers), _second(built)]
    length = next((each for each in lengths if each is not None), None)
    return Chain([layer for layer in layers if layer.kind != "InputLayer"], length)


def as_layer(entry: Any) -> Layer:
    """Returns a layer from its description.

    Raises:
        ValueError: it is not one, or its class is not Keras' own.
    """
    entry = _as_object(entry, "A layer of the model")
    kind, config, module = entry.get("class_name"), entry.get("config"), entry.get("module")
    if not isinstance(kind, str) or not isinstance(config, dict):
        raise ValueError("A layer of the model has no class_name and config.")
    name = config.get("name", entry.get("name"))
    layer = Layer(name if isinstance(name, str) else kind.lower(), kind.removeprefix("recurrent>"), config)
    registered = entry.get("registered_name")
    is_own = module is None or (isinstance(module, str) and f"{module}.".startswith(_OF_KERAS))
    if not is_own or registered not in (None, layer.kind, f"recurrent>{layer.kind}"):
        raise ValueError(f"{layer} is a custom class ({registered or module}), whose code is not run. {_REPLACE}")
    if kind in ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"):
        raise ValueError(f"{layer} holds code, which is not run. {_REPLACE}")
    return layer


def _in_line(layers: list[Layer], sources: list[tuple[list[str], list[str]]]) -> list[Layer]:
    """Returns the layers of a Functional model; those that make the mask of `mask_zero` are left out."""
    masks = {layer.name for layer in layers if layer.kind == "NotEqual"}
    kept = [(layer, given) for layer, given in zip(layers, sources, strict=True) if layer.name not in masks]
    before: str | None = None
    for layer, (inputs, masked_by) in kept:
        expected = [] if before is None else [before]
        if inputs != expected or not set(masked_by) <= masks or (before is None) != (layer.kind == "InputLayer"):
            taken = ", ".join(inputs) or "nothing"
            raise ValueError(f"{layer} takes {taken}, not {before or 'the input'} alone: {_CHAIN}.")
        before = layer.name
    return [layer for layer, _ in kept]


def _sources(entry: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Returns the layers whose outputs a layer takes, and those of its masks."""
    nodes = entry.get("inbound_nodes")
    if not isinstance(nodes, list) or len(nodes) > 1:
        raise ValueError(f"{as_layer(entry)} is called {len(nodes) if isinstance(nodes, list) else 'no'} times.")
    if not nodes:
        return [], []
    (node,) = nodes
    if isinstance(node, list):  # Keras 2: one [name, node, tensor, arguments] for each input
        if not all(isinstance(each, list) and each and isinstance(each[0], str) for each in node):
            raise ValueError(f"{as_layer(entry)} has inputs of an unknown form.")
        return [each[0] for each in node], []
    node = _as_object(node, "An input of a layer")
    arguments = node.get("kwargs") or {}
    extra = {name: value for name, value in arguments.items() if value is not None and name not in ("mask", "training")}
    if extra:
        raise ValueError(f"{as_layer(entry)} is called with {', '.join(extra)}, which is not read.")
    return [*_tensors(node.get("args"))], [*_tensors(arguments.get("mask"))]


def _tensors(value: Any) -> Iterator[str]:
    """Yields the names of the layers that make the tensors within a value."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        history = _as_object(value.get("config"), "A tensor").get("keras_history")
        yield str(history[0]) if isinstance(history, list) and history else "?"
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _tensors(each)


def _length(config: dict[str, Any]) -> int | None:
    """Returns the sequence length that a layer's input shape names."""
    shapes = (config.get("batch_shape"), config.get("batch_input_shape"), [None, config.get("input_length")])
    return next(filter(None, map(_second, shapes)), None)


def _second(shape: Any) -> int | None:
    """Returns the second entry of the shape of a matrix, if it is a number."""
    is_matrix = isinstance(shape, list | tuple) and len(shape) == 2
    return shape[1] if is_matrix and type(shape[1]) is int and shape[1] > 0 else None


def _as_object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not a JSON object.")
    return value
