"""Where batches come from: arrays that lie on the devices, or batches that are read and put there in chunks."""

from typing import Any, NamedTuple, Protocol

import jax

from recurrent.training.mesh import replicate, shard
from recurrent.training.order import Batches, epoch_batches, num_batches
from recurrent.training.plan import Plan, Trainer

__all__ = ["ArrayFeed", "Feed", "Served"]


class Served(NamedTuple):
    """What the compiled steps read, for the steps before `end`."""

    examples: Any
    batches: Batches
    end: int


class Feed(Protocol):
    """Serves batches to the training loop."""

    @property
    def steps_per_epoch(self) -> int:
        """Returns the number of steps of an epoch."""

    @property
    def num_examples(self) -> int | None:
        """Returns the number of examples; None if it is unknown."""

    def serve(self, step: int) -> Served:
        """Returns what the steps from `step` on read."""

    def position(self, step: int) -> Any:
        """Returns what a checkpoint must hold, in JSON's types, to serve from this step on; None for nothing."""

    def batch(self, step: int) -> list[int]:
        """Returns the numbers of the examples in the batch of this step."""

    def close(self) -> None:
        """Ends what the feed does in the background."""


class ArrayFeed:
    """The whole data set on every device; an epoch's batches are numbers of examples."""

    def __init__(self, trainer: Trainer, plan: Plan, streams: int) -> None:
        """Puts the examples on the devices."""
        self._plan, self._mesh, self._streams = plan, trainer.mesh, streams
        self._sizes = trainer.sizes
        self._examples = replicate(trainer.examples, trainer.mesh)
        self.num_examples = len(jax.tree.leaves(self._examples)[0])
        self.steps_per_epoch = num_batches(self.num_examples, plan.batch_size)
        self._epoch = -1
        self._batches: Any = None
        self._rows: Any = None  # of the epoch, on the host

    def serve(self, step: int) -> Served:
        """Returns the epoch's batches."""
        epoch = step // self.steps_per_epoch
        if epoch != self._epoch:
            plan = self._plan
            batches = epoch_batches(
                plan.seed, epoch, self.num_examples, plan.batch_size, plan.num_shards, self._streams, self._sizes
            )
            self._batches, self._rows, self._epoch = shard(batches, self._mesh, axis=1), batches, epoch
        return Served(self._examples, self._batches, (epoch + 1) * self.steps_per_epoch)

    def position(self, step: int) -> None:
        """Returns nothing: the order is a function of seed and epoch."""

    def batch(self, step: int) -> list[int]:
        """Returns the numbers of the examples in the batch of this step."""
        self.serve(step)
        rows, weight = (part[step % self.steps_per_epoch] for part in (self._rows.rows, self._rows.weight))
        return sorted(rows[weight > 0].tolist())

    def close(self) -> None:
        """Does nothing."""
