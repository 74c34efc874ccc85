"""The settings of a sweep, as lines and as a table of the best ones."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from experiments.imdb.report.statistics import seeds_text
from experiments.imdb.sweep.ledger import Setting

__all__ = ["setting_line", "settings_table"]

_MOST = 10


def setting_line(setting: Setting) -> str:
    """Formats a finished setting."""
    values = "  ".join(f"{name} {value}" for name, value in setting.values.items())
    result = f"failed: {setting.failure}" if setting.best is None else f"val_acc {seeds_text(setting.best)}"
    return f"setting {setting.number:>3}  {values}  {result}"


def settings_table(settings: Sequence[Setting], names: Sequence[str]) -> list[Any]:
    """Returns a table of the best settings, and how many there are."""
    finished = sorted((each for each in settings if each.score is not None), key=lambda each: -(each.score or 0))
    failures = [each for each in settings if each.failure is not None]
    failed = len(failures)
    table = Table("setting", *names, "best val_acc", "last val_acc", pad_edge=False, box=None)
    for setting in finished[:_MOST]:
        shown = [str(setting.values.get(name)) for name in names]
        table.add_row(str(setting.number), *shown, seeds_text(setting.best or []), seeds_text(setting.last or []))
    counts = f"{len(finished)} finished, {failed} failed, {len(settings) - len(finished) - failed} open"
    more = f"; the best {_MOST} are shown" if len(finished) > _MOST else ""
    reasons = [setting_line(each) for each in failures[:_MOST]]
    return [*([table] if finished else []), *reasons, f"settings {counts}{more}"]
