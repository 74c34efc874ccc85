"""What a run records of an epoch: deterministic numbers and, in a file of their own, wall-clock times."""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Record", "Timing", "best"]


class Record(NamedTuple):
    """A line of `records.jsonl`. The same run gives the same bits.

    Attributes:
        epoch: from 1.
        step: optimizer steps done at the epoch's end.
        loss: mean over the epoch's training examples.
        acc: accuracy over the same.
        val_loss: what `evaluate` returned at the epoch's end.
        val_acc: the same.
        skipped: steps so far that were not taken, since their loss or gradient was not finite.

    >>> from recurrent.training import Record
    >>> Record(epoch=1, step=157, loss=0.5, acc=0.75, val_loss=0.4, val_acc=0.82).val_acc
    0.82
    """

    epoch: int
    step: int
    loss: float
    acc: float
    val_loss: float
    val_acc: float
    skipped: int = 0


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


def best(records: Sequence[Record]) -> Record | None:
    """Returns the record with the highest validation accuracy, the first of equals; None if there is none.

    A NaN is not compared.

    >>> from recurrent.training import Record, best
    >>> best([Record(1, 10, 0.6, 0.7, 0.6, val_acc=0.7), Record(2, 20, 0.5, 0.8, 0.5, val_acc=0.8)]).epoch
    2
    """
    comparable = [record for record in records if record.val_acc == record.val_acc]
    return max(comparable, key=lambda record: (record.val_acc, -record.epoch), default=None)
