"""The results of several seeds: a line each, and mean, standard deviation and interval."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from experiments.imdb.report.statistics import spread_of_seeds
from experiments.imdb.training.train import GOAL
from recurrent.training.run.records import Record, best

__all__ = ["seeds_table"]


def seeds_table(records: Mapping[int, Sequence[Record]]) -> list[Any]:
    """Returns a table of the seeds that have an epoch, and lines of their means.

    Args:
        records: of each seed.
    """
    table = Table("seed", "epochs", "best epoch", "best val_acc", "last val_acc", pad_edge=False, box=None)
    bests, lasts = [], []
    for seed, of_seed in records.items():
        if not of_seed:
            continue
        leader = best(of_seed, GOAL)
        bests.append(leader.validation["acc"] if leader else float("nan"))
        lasts.append(of_seed[-1].validation["acc"])
        place = str(leader.epoch) if leader else "-"
        table.add_row(str(seed), str(len(of_seed)), place, f"{bests[-1]:.4f}", f"{lasts[-1]:.4f}")
    return [table, *(f"{name} epoch  {_in_words(values)}" for name, values in (("best", bests), ("last", lasts)))]


def _in_words(values: Sequence[float]) -> str:
    """Formats mean ± standard deviation and the mean's interval."""
    found = spread_of_seeds(values)
    if found.deviation is None:
        return f"val_acc {found.mean:.4f}"
    left_out = f"; {found.num_left_out} left out, not finite" * bool(found.num_left_out)
    interval = f"95 % interval of the mean {found.low:.4f} to {found.high:.4f}"
    return f"val_acc {found.mean:.4f} ± {found.deviation:.4f} ({interval}{left_out})"
