"""The options of Keras' layers: which ones this project's model has, and which act in training alone."""

from typing import Any

from experiments.imdb.importing.keras_graph import Layer

__all__ = ["check_options", "flag", "option_dtype", "rate", "size"]

_IGNORED = frozenset(
    (
        *("name", "dtype", "seed", "build_config", "batch_shape", "batch_input_shape", "batch_size", "input_length"),
        *("implementation", "unroll", "use_cudnn", "unit_forget_bias", "zero_output_for_mask"),
    )
)
"""Options that change no answer, or that start what the file's weights replace."""
_WANTED: dict[str, tuple[Any, str]] = {
    "activation": ("tanh", "its cell has tanh"),
    "recurrent_activation": ("sigmoid", "the gates are sigmoids"),
    "data_format": ("channels_last", "the last axis is the features"),
    "axis": (-1, "the last axis is the features"),
    "merge_mode": ("concat", "the outputs of both directions are concatenated"),
}
_REASONS = {
    "go_backwards": "a layer of one direction reads forwards; Bidirectional reads both ways",
    "stateful": "each review starts from a zero state",
    "return_state": "the next layer takes the outputs alone",
    "time_major": "the first axis is the batch",
}
_DTYPES = {"float32": "float32", "float64": "float64", "mixed_bfloat16": "bfloat16"}


def check_options(layer: Layer, read: tuple[str, ...]) -> list[str]:
    """Returns what a layer has that acts in training alone and that no recipe expresses, as messages.

    Args:
        layer: the layer.
        read: the options that the caller reads itself.

    Raises:
        ValueError: an option changes answers in a way that no recipe expresses.
    """
    of_training = []
    for name, value in layer.config.items():
        if name in read or name in _IGNORED or name.endswith("_initializer"):
            continue
        if name in _WANTED:
            wanted, reason = _WANTED[name]
            if value != wanted:
                raise ValueError(f"{layer} has {name}={_shown(value)}: {reason}, and no recipe has another.")
        elif name == "trainable":
            of_training += [] if value is not False else [f"{layer} has trainable=False"]
        elif name.endswith(("_regularizer", "_constraint")):
            of_training += [] if value is None else [f"{layer} has a {name}"]
        elif value is not None and value is not False:
            reason = _REASONS.get(name, "no recipe has this option")
            raise ValueError(f"{layer} has {name}={_shown(value)}: {reason}.")
    return of_training


def option_dtype(layer: Layer) -> str:
    """Returns the recipe's dtype for a layer's policy.

    Raises:
        ValueError: there is none.
    """
    policy = layer.config.get("dtype", "float32")
    if isinstance(policy, dict):
        config = policy.get("config")
        policy = config.get("name") if isinstance(config, dict) else None
    if not isinstance(policy, str) or policy not in _DTYPES:
        raise ValueError(
            f"{layer} has dtype {_shown(policy)}, and a recipe has one of {', '.join(_DTYPES)}. Save a float32 model."
        )
    return _DTYPES[policy]


def flag(layer: Layer, name: str, default: bool = False) -> bool:
    """Returns an option that is on or off.

    Raises:
        ValueError: it is neither.
    """
    value = layer.config.get(name)
    if value is not None and type(value) is not bool:
        raise ValueError(f"{layer} has {name}={_shown(value)}, neither true nor false.")
    return default if value is None else value


def size(layer: Layer, name: str) -> int:
    """Returns an option that is a size.

    Raises:
        ValueError: it is not a whole number of at least 1.
    """
    value = layer.config.get(name)
    if type(value) is not int or not 1 <= value < 1 << 31:
        raise ValueError(f"{layer} has {name}={_shown(value)}, not a whole number of at least 1.")
    return value


def rate(layer: Layer, name: str) -> float:
    """Returns an option that is a dropout rate; 0 where there is none.

    Raises:
        ValueError: it is not in [0, 1).
    """
    value = layer.config.get(name, 0.0)
    if type(value) not in (int, float) or not 0 <= value < 1:
        raise ValueError(f"{layer} has {name}={_shown(value)}, not a rate in [0, 1).")
    return float(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
