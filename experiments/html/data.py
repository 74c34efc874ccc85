"""Values as JSON that can stand in an HTML document."""

import json
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["to_json"]

_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def to_json(value: Any) -> str:
    """Returns JSON that can stand in an HTML document; NumPy's arrays and numbers become lists and numbers."""
    return json.dumps(_plain(value), allow_nan=False, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)


def _plain(value: Any) -> Any:
    """Returns a value in JSON's own types; NaN and infinity become null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, str):  # half a surrogate pair can't be encoded as UTF-8
        return value.encode("utf-8", "replace").decode("utf-8")
    return value
