"""Lines and tables of a training run: what is trained on what, each epoch, and all epochs."""

import math
from collections.abc import Sequence
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from experiments.imdb.commands.show.terminal import in_lines, without_controls
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.train import GOAL
from recurrent.training.run.records import Record, Timing, best

__all__ = ["epoch_line", "epochs_table", "params_table", "save_share", "shapes_of", "summary"]


def summary(
    out: Console, recipe: Recipe, facts: Any, params: Sequence[tuple[str, tuple[int, ...]]], device: str, backend: Any
) -> None:
    """Prints recipe, backend, data and params before training begins."""
    of_run = [recipe.cell, f"seed {recipe.seed}", f"{recipe.epochs} epochs", recipe.dtype, device]
    out.print("\n".join(in_lines([*of_run, f"backend {backend.name}"], out.width, " · ")), markup=False)
    if backend.native is not None:
        reason, _, advice = backend.native.rpartition(": ")
        lines = in_lines([*f"not native, which is faster: {reason}:".split(), advice], out.width, " ", "backend ")
        out.print("\n".join(lines), markup=False)
    known = {name: value for name, value in facts._asdict().items() if value is not None and name != "duplicates"}
    of_data = [without_controls(f"{_words(name)} {_figure(value)}") for name, value in known.items()]
    out.print("\n".join(in_lines(of_data, out.width, " · ", "data   ")), markup=False)
    if facts.duplicates is not None:
        of_texts = [f"{value:,} {_words(name)}" for name, value in facts.duplicates.items() if value]
        heading = "data   duplicates: "
        out.print("\n".join(in_lines(of_texts or ["none"], out.width, " · ", heading)), markup=False)
    out.print("\n".join(params_table(params, out.width)), markup=False)


def shapes_of(params: Any) -> list[tuple[str, tuple[int, ...]]]:
    """Returns the name and the shape of each array of a model."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf.shape) for path, leaf in leaves]


def params_table(params: Sequence[tuple[str, tuple[int, ...]]], width: int) -> list[str]:
    """Lists names, shapes and sizes; a name that is too long loses its beginning."""
    rows = [(name, "×".join(map(str, shape)), f"{math.prod(shape):,}") for name, shape in params]
    rows.append(("together", "", f"{sum(math.prod(shape) for _, shape in params):,}"))
    names, shapes, sizes = (max(map(len, column)) for column in zip(*rows, strict=True))
    names = max(8, min(names, width - len("params     ") - shapes - sizes))
    short = [name if len(name) <= names else "…" + name[1 - names :] for name, _, _ in rows]
    return [
        f"params {name:<{names}}  {shape:>{shapes}}  {size:>{sizes}}"
        for name, (_, shape, size) in zip(short, rows, strict=True)
    ]


def epoch_line(record: Record, timing: Timing, epochs: int, is_best: bool, width: int = 80) -> str:
    """Formats an epoch, on two lines where the terminal is narrow."""
    heading = f"epoch {record.epoch:>2}/{epochs}  "
    parts = [
        " ".join(f"{name} {value:.4f}" for name, value in record.training.items()),
        " ".join(f"val_{name} {value:.4f}" for name, value in record.validation.items()) + ("*" if is_best else " "),
        f"{timing.seconds:.1f} s",
    ]
    return "\n".join(in_lines(parts, width, "  ", heading)).rstrip()


def epochs_table(records: Sequence[Record], timings: Sequence[Timing], width: int = 80) -> Table:
    """Lists all epochs and marks the best; a narrow terminal gets no column of speed."""
    has_speed = width >= 70
    names = [name for name in records[0].fields() if name not in ("epoch", "step", "skipped")]
    columns = ["epoch", *names, "seconds", *(["steps/s"] if has_speed else []), ""]
    table = Table(*columns, title=None, pad_edge=False, box=None)
    by_epoch = {timing.epoch: timing for timing in timings}
    for record in records:
        is_best, timing = record == best(records, GOAL), by_epoch.get(record.epoch)
        cells = [f"{record.fields()[name]:.4f}" for name in names]
        cells.append("-" if timing is None else f"{timing.seconds:.1f}")
        if has_speed:
            cells.append("-" if timing is None or not timing.seconds else f"{timing.steps / timing.seconds:.1f}")
        table.add_row(str(record.epoch), *cells, "best" if is_best else "", style="bold" if is_best else None)
    return table


def save_share(timings: Sequence[Timing]) -> str:
    """Formats the time that checkpoints took."""
    saving = sum(timing.save_seconds for timing in timings)
    whole = saving + sum(timing.seconds + timing.eval_seconds for timing in timings)
    return f"saving   {saving:.2f} s, {saving / whole if whole else 0:.1%} of the time"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _figure(value: Any) -> str:
    if isinstance(value, dict):
        return " / ".join(f"{name} {_figure(each)}" for name, each in value.items())
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) else str(value)
