"""The records of a resumed run: those that the seal of its checkpoint holds, and what differs on disk."""

import math
from typing import Any

from recurrent.training.checkpoints.seal import Seal
from recurrent.training.run.examine import Finding
from recurrent.training.run.lines import from_fields
from recurrent.training.run.records import Record

__all__ = ["restore_records"]


def restore_records(
    on_disk: list[Record], problems: list[str], chosen: Finding | None
) -> tuple[list[Record], list[str]]:
    """Returns the records in the chosen checkpoint's seal, and says what was wrong with those on disk.

    An epoch that a kill left recorded on disk alone is evaluated again: no hash covers that line.

    Args:
        on_disk: the readable lines of records.jsonl.
        problems: what is wrong with its other lines.
        chosen: the checkpoint from which the run continues; None for step 0.
    """
    step = chosen.step if chosen else 0
    kept, repairs = _sealed(chosen.seal, step) if chosen and chosen.seal else ([], [])
    if repairs:
        return kept, repairs
    repairs = [f"records.jsonl, {problem}; restored from the checkpoint" for problem in problems]
    earlier = [record for record in on_disk if record.step <= step]
    is_just_recorded = len(earlier) == len(kept) + 1 and earlier[-1].step == step
    # As text, in which NaN equals NaN.
    if not problems and list(map(str, earlier[: len(earlier) - is_just_recorded])) != list(map(str, kept)):
        repairs.append("records.jsonl has missing, duplicated or changed lines; restored from the checkpoint")
    return kept, repairs


def _sealed(seal: Seal, step: int) -> tuple[list[Record], list[str]]:
    """Reads the records in a seal. Earlier revisions stored whatever `evaluate` returned, null for example.

    If such an epoch ended at the checkpoint's own step, it is evaluated again. The state of an earlier one is gone.
    """
    kept, repairs = [], []
    stored: Any = seal.about.get("records", [])
    for fields in stored:
        validation = {name: value for name, value in fields.items() if name.startswith("val_")}
        invalid = {name: value for name, value in validation.items() if type(value) not in (int, float)}
        record = from_fields(fields | dict.fromkeys(invalid, math.nan), Record)
        if not invalid:
            kept.append(record)
            continue
        found = ", ".join(f"{name} {value!r}" for name, value in invalid.items())
        is_here = record.step == step
        kept += [] if is_here else [record]
        what_now = "it is evaluated again" if is_here else "NaN replaces it, since the state of its end is gone"
        repairs.append(f"epoch {record.epoch} was recorded with {found}, which is not a number: {what_now}")
    return kept, repairs
