"""What a run records of an epoch: deterministic numbers and, in a file of their own, wall-clock times."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

__all__ = ["LOWEST_LOSS", "Goal", "Record", "Timing", "best"]


class Record(NamedTuple):
    """A line of `records.jsonl`. The same run gives the same bits.

    Attributes:
        epoch: from 1.
        step: optimizer steps done at the epoch's end.
        training: the means over the epoch's training examples by name: the loss and the objective's metrics.
        validation: what `evaluate` returned at the epoch's end.
        skipped: steps so far that were not taken, since their loss or gradient was not finite.

    >>> from recurrent.training import Record
    >>> record = Record(epoch=1, step=157, training={"loss": 0.5, "acc": 0.75}, validation={"loss": 0.4, "acc": 0.82})
    >>> record.validation["acc"]
    0.82
    >>> record.fields()
    {'epoch': 1, 'step': 157, 'loss': 0.5, 'acc': 0.75, 'val_loss': 0.4, 'val_acc': 0.82, 'skipped': 0}
    """

    epoch: int
    step: int
    training: Mapping[str, float]
    validation: Mapping[str, float]
    skipped: int = 0

    def fields(self) -> dict[str, Any]:
        """Returns the fields of the line: validation's names begin with val_."""
        validation = {f"val_{name}": value for name, value in self.validation.items()}
        return {"epoch": self.epoch, "step": self.step, **self.training, **validation, "skipped": self.skipped}

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Returns the record of a line's fields, the inverse of `fields`."""
        own = {name: fields[name] for name in ("epoch", "step", "skipped") if name in fields}
        rest = {name: value for name, value in fields.items() if name not in own}
        validation = {name.removeprefix("val_"): rest.pop(name) for name in [*rest] if name.startswith("val_")}
        return cls(**own, training=rest, validation=validation)


class Timing(NamedTuple):
    """A line of `timings.jsonl`, for the steps of this process: a resumed epoch counts from where it resumed.

    Attributes:
        epoch: from 1.
        steps: training steps that `seconds` measures.
        seconds: of training alone.
        eval_seconds: of the validation.
        save_seconds: of the checkpoints since the previous epoch was recorded.

    >>> from recurrent.training import Timing
    >>> timing = Timing(epoch=1, steps=157, seconds=4.5, eval_seconds=0.3)
    >>> print(f"{timing.seconds / timing.steps * 1000:.1f} ms per step")
    28.7 ms per step
    """

    epoch: int
    steps: int
    seconds: float
    eval_seconds: float
    save_seconds: float = 0.0


@dataclass(frozen=True)
class Goal:
    """What makes an epoch the best one.

    Args:
        metric: a name of those that `evaluate` returns.
        direction: whether its lowest or its highest value is the best.

    Raises:
        ValueError: the direction is neither.

    >>> from recurrent.training import Goal
    >>> Goal("acc", "highest").direction
    'highest'
    """

    metric: str = "loss"
    direction: Literal["lowest", "highest"] = "lowest"

    def __post_init__(self) -> None:
        """Checks the direction."""
        if self.direction not in ("lowest", "highest"):
            raise ValueError(f"direction must be lowest or highest, not {self.direction!r}.")


LOWEST_LOSS = Goal()


def best(records: Sequence[Record], goal: Goal) -> Record | None:
    """Returns the record that is best for a goal, the first of equals; None if there is none.

    A record without the goal's metric, or where it is NaN, is not compared.

    >>> from recurrent.training import Goal, Record, best
    >>> records = [Record(epoch, 10 * epoch, {"loss": 0.6}, {"loss": 0.7 / epoch}) for epoch in (1, 2)]
    >>> best(records, Goal("loss", "lowest")).epoch
    2
    """
    sign = 1 if goal.direction == "highest" else -1
    comparable = [each for each in records if not math.isnan(each.validation.get(goal.metric, math.nan))]
    return max(comparable, key=lambda each: (sign * each.validation[goal.metric], -each.epoch), default=None)
