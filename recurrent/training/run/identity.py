"""The identity of a run: all that its numbers depend on, as nested mappings of JSON's types."""

import json
from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["differences", "flatten", "in_json"]

_ABSENT = "absent"
_ADDED = "plan."  # what `fit` adds by itself; `begin` does not know it yet, and older runs lack it


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested mappings as one, with keys such as recipe.seed."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def in_json(name: str, value: Any) -> Any:
    """Returns a value as it is after JSON, so that it compares equal to what is read from a file.

    Raises:
        ValueError: it holds something that JSON has no type for.
    """
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold only JSON's types, such as Python's own numbers: {error}.") from error


def differences(there: Mapping[str, Any], now: Mapping[str, Any], free: Collection[str] = ()) -> list[str]:
    """Lists the differences that stop a run of one identity from continuing with another.

    Args:
        there: the run's identity.
        now: the other one.
        free: keys, such as recipe.epochs, that may differ.
    """
    before, after = flatten(there), flatten(now)
    one_side = {key for key in before.keys() ^ after.keys() if key.startswith(_ADDED)}
    return [
        f"{key}: {before.get(key, _ABSENT)} there, {after.get(key, _ABSENT)} now"
        for key in dict.fromkeys([*before, *after])
        # As text, in which NaN equals NaN.
        if key not in free
        and key not in one_side
        and json.dumps(before.get(key, _ABSENT)) != json.dumps(after.get(key, _ABSENT))
    ]
