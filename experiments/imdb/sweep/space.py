"""What a sweep varies: fields of a recipe, each with some values or a range."""

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_type_hints

from experiments.imdb.training.recipes import Recipe
from experiments.names import unknown

__all__ = ["Axis", "Choices", "Range", "plain", "read_space", "with_values"]

_NOT_VARIED = {
    "seed": "--seeds says which seeds each setting gets",
    "source": "all settings are trained on the same reviews",
    "dtype": "JAX is started for one data type; --dtype names it",
    "device": "it decides no numbers",
    "stream": "it decides no numbers",
    "num_classes": "the reviews decide it",
}


@dataclasses.dataclass(frozen=True)
class Choices:
    """Some values."""

    values: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, both included; `is_log`: their logarithms are drawn evenly."""

    low: float
    high: float
    is_log: bool = False

    @property
    def is_integer(self) -> bool:
        """Says whether only integers are meant: those of both ends."""
        return isinstance(self.low, int) and isinstance(self.high, int)


Axis = Choices | Range


def read_space(texts: Sequence[str], recipe: Recipe) -> dict[str, Axis]:
    """Reads what to vary, such as "learning_rate=1e-4:1e-2:log" or "hidden_size=32,64".

    Args:
        texts: a field each.
        recipe: whose fields they are.

    Raises:
        ValueError: a text has another form, its field does not exist or can't be varied, or no recipe has its value.

    >>> read_space(["hidden-size=32,64", "learning_rate=0.001:0.1:log"], Recipe())
    {'hidden_size': Choices(values=(32, 64)), 'learning_rate': Range(low=0.001, high=0.1, is_log=True)}
    """
    space: dict[str, Axis] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        field = name.strip().removeprefix("--").replace("-", "_")
        if not equals or not values.strip():
            raise ValueError(f"--vary takes FIELD=VALUE,VALUE or FIELD=LOW:HIGH, not {text!r}.")
        known = [each.name for each in dataclasses.fields(Recipe)]
        if field not in known:
            raise ValueError(unknown("field", field, known))
        if field in _NOT_VARIED:
            raise ValueError(f"{field} can't be varied: {_NOT_VARIED[field]}.")
        if field in space:
            raise ValueError(f"{field} is varied twice.")
        space[field] = _read_axis(field, values)
        _check(field, space[field], recipe)
    if not space:
        raise ValueError("A sweep needs a field to vary: --vary learning_rate=0.001,0.003")
    return space


def _read_axis(field: str, text: str) -> Axis:
    parts = [part.strip() for part in text.split(":")]
    if len(parts) == 1:
        values = tuple(_read_value(part.strip()) for part in re.split(r",(?![^\[]*\])", text))  # not within [ ]
        if len(set(values)) < len(values):
            raise ValueError(f"{field} has a value twice: {text}.")
        return Choices(values)
    low, high = _read_value(parts[0]), _read_value(parts[1])
    is_log = parts[2:] == ["log"]
    is_number = all(type(end) in (int, float) and math.isfinite(end) for end in (low, high))
    if not is_number or not low < high or (parts[2:] and not is_log) or (is_log and low <= 0):
        raise ValueError(f"{field}={text} is no range: LOW:HIGH, or LOW:HIGH:log with LOW above 0.")
    hint = get_type_hints(Recipe)[field]
    if float in (hint, *get_args(hint)):
        low, high = float(low), float(high)
    return Range(low, high, is_log)


def _read_value(text: str) -> Any:
    try:
        value = json.loads({"True": "true", "False": "false", "None": "null"}.get(text, text))
    except ValueError:
        return text
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, list | dict) for each in value)):
        return text
    return tuple(value) if isinstance(value, list) else value


def _check(field: str, axis: Axis, recipe: Recipe) -> None:
    """Raises ValueError for a value of the wrong type; whether values fit each other is seen when they are combined."""
    for value in axis.values if isinstance(axis, Choices) else (axis.low, axis.high):
        try:
            with_values(recipe, {field: value})
        except ValueError as error:
            if re.match(rf"{field} (can't be|must be|must lie)", str(error)):
                raise


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Returns a recipe with other values of some fields.

    Raises:
        ValueError: no recipe has them.
    """
    settled: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return dataclasses.replace(recipe, **settled)


def plain(space: Mapping[str, Axis]) -> dict[str, Any]:
    """Returns a space in JSON's types."""
    return {name: dataclasses.asdict(axis) for name, axis in space.items()}
