"""The page of conversions: `python -m tests.interop.conversions > docs/conversions.md` measures and writes it."""

import importlib.metadata
import sys
from collections.abc import Callable

import jax
import numpy as np

import recurrent
from tests.interop.libraries import LIBRARIES, MAPS, TIME, params_of, without_recurrent_bias_of_candidate
from tests.interop.measured import difference_from, difference_to

DIFFERENCE = r"\d\.\de-\d\d|0"
CUDNN = "Its biases are two, and ours is their sum."
_PACKAGES = ("keras", "torch", "flax", "equinox", "dm-haiku", "onnx", "onnxruntime", "jax")
_TEXT = """# Conversions

`python -m tests.interop.conversions > docs/conversions.md` writes this page. A test compares its reasons with the
errors that `recurrent.interop` raises. How to convert: [from Keras](how-to/from-keras.md),
[from Flax](how-to/from-flax.md), [from PyTorch](how-to/from-pytorch.md). Every function:
[reference](reference/interop.md).

An entry is the largest difference between our outputs and final states and the library's, relative to the norm, in
float32: *their weights here / our params there*. All weights, biases and initial states are random, and none is zero.
The maps are exact, except that sums of biases are rounded once; the differences come from {time} steps of arithmetic.
A number in parentheses refers to the reason why there is no map, or the limit of one.

{weights}

{reasons}

## Moments of optimizers

`is_moments=True` converts the moments of RMSprop and Adam where the map is a permutation of array elements. For Keras
it is the same call without the argument.

{moments}

{moment_reasons}

Measured with {versions}.
"""
Measure = Callable[[str, str], str]


def measured(library: str, cell: str) -> str:
    """Returns an entry: the differences in both directions."""
    return " / ".join(
        f"{each:.1e}" if each else "0" for each in (difference_from(library, cell), difference_to(library, cell))
    )


def page(measure: Measure, versions: str) -> str:
    """Returns the page's text."""
    weights, reasons = _table(lambda library, cell: _weights_entry(library, cell, measure), start=1)
    moments, moment_reasons = _table(_moments_entry, start=1 + len(reasons))
    fields = {"weights": weights, "moments": moments, "versions": versions, "time": TIME}
    lists = {"reasons": _numbered(reasons), "moment_reasons": _numbered(moment_reasons)}
    return _TEXT.format(**fields, **lists)


def installed() -> str:
    """Returns the versions of the libraries."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)


def _table(entry: Callable[[str, str], tuple[str, str]], start: int) -> tuple[str, dict[str, int]]:
    """Returns a table, cells by libraries, and the number of each reason; `entry` returns a text and a reason."""
    numbers: dict[str, int] = {}
    lines = [f"| | {' | '.join(LIBRARIES)} |", f"|---|{'---|' * len(LIBRARIES)}"]
    for cell in recurrent.CELLS:
        row = []
        for library in LIBRARIES:
            text, reason = entry(library, cell)
            number = numbers.setdefault(reason, start + len(numbers)) if reason else ""
            row.append(f"{text} ({number})" if text and reason else text or f"({number})")
        lines.append(f"| `{cell}` | {' | '.join(row)} |")
    return "\n".join(lines), numbers


def _numbered(reasons: dict[str, int]) -> str:
    return "\n".join(f"{number}. {reason}" for reason, number in reasons.items())


def _weights_entry(library: str, cell: str, measure: Measure) -> tuple[str, str]:
    reason = _refusal(library, cell)
    return (measure(library, cell) if (library, cell) in MAPS else ""), reason


def _moments_entry(library: str, cell: str) -> tuple[str, str]:
    if (library, cell) not in MAPS or library == "ONNX":
        return "-", ""
    if library == "Keras":
        return "yes", ""
    reason = _refusal(library, cell, is_moments=True)
    return ("" if reason else "yes"), reason


def _refusal(library: str, cell: str, is_moments: bool = False) -> str:
    """Returns the error of a conversion to a library, or nothing."""
    if cell in ("layer_norm_lstm", "layer_norm_gru"):
        params = recurrent.CELLS[cell].init(jax.random.key(0), 3, 4)
    else:
        params = params_of(cell, np.random.default_rng(0))
    options = {"is_moments": True} if is_moments and library != "cuDNN" else {}
    if options and (library, cell) == ("Flax NNX", "gru"):
        params = without_recurrent_bias_of_candidate(params)
    if is_moments and library == "cuDNN":
        return CUDNN
    try:
        LIBRARIES[library].module.params_to(params, **options)
    except ValueError as error:
        _, _, reason = str(error).rpartition(": ")
        return reason[0].upper() + reason[1:]
    return ""


if __name__ == "__main__":
    sys.stdout.write(page(measured, installed()))
