"""What the training loop reports: progress within an epoch, the end of an epoch, and a step that is not finite."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from recurrent.training.run.records import Record, Timing

__all__ = ["EpochEnd", "NonFiniteError", "Progress"]


class Progress(NamedTuple):
    """Some steps of an epoch are done.

    Attributes:
        epoch: from 1.
        step: steps done since the start of the run.
        means: over the epoch so far, by name: the loss and the objective's metrics.

    >>> from recurrent.training import Progress
    >>> Progress(epoch=1, step=20, means={"loss": 0.69, "acc": 0.5}).means["loss"]
    0.69
    """

    epoch: int
    step: int
    means: Mapping[str, float]


class EpochEnd(NamedTuple):
    """An epoch is trained, evaluated and recorded.

    Attributes:
        record: the line of `records.jsonl`.
        timing: the line of `timings.jsonl`.
        is_best: whether it is the best epoch so far, as the plan's goal says.

    >>> from recurrent.training import EpochEnd, Record, Timing
    >>> record = Record(epoch=1, step=20, training={"loss": 0.6}, validation={"loss": 0.7})
    >>> timing = Timing(epoch=1, steps=20, seconds=1.5, eval_seconds=0.2)
    >>> EpochEnd(record, timing, is_best=True).record.validation["loss"]
    0.7
    """

    record: Record
    timing: Timing
    is_best: bool


class NonFiniteError(FloatingPointError):
    """Raised at a step whose loss, metrics, gradient or new weights are NaN or infinite. The step was not taken.

    Attributes:
        step: steps taken before it.
        epoch: the epoch in progress, from 1.
        examples: numbers of its batch's examples in the data set.

    >>> from pathlib import Path
    >>> from recurrent.training import NonFiniteError
    >>> NonFiniteError(step=20, epoch=2, examples=[3, 8], saved_at=Path("runs/one/checkpoints/latest/20")).examples
    [3, 8]
    """

    def __init__(self, step: int, epoch: int, examples: list[int], saved_at: Path) -> None:
        """Builds the message, which also names the checkpoint that holds the state before the step."""
        super().__init__(
            f"The loss, a metric, a gradient or a new weight is not finite in the step after step {step} (epoch "
            f"{epoch}), on a batch of the examples {', '.join(map(str, examples))}. The step was not taken; the state "
            f"before it is in {saved_at}."
        )
        self.step, self.epoch, self.examples = step, epoch, examples
