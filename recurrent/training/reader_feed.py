"""Examples that are read by number while training, for data larger than memory.

The order is that of arrays, a function of (seed, epoch). So a step needs nothing but its number, and a run on a reader
has the bits of one on arrays.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from recurrent.training.ahead import Ahead
from recurrent.training.chunk import Chunk, chunk_size, in_jax_dtypes
from recurrent.training.feed import Served
from recurrent.training.mesh import shard
from recurrent.training.order import Batches, epoch_batches, num_batches
from recurrent.training.plan import Plan, Trainer, count_rows
from recurrent.training.wide_integers import refuse_wide_integers
from recurrent.tree_form import refuse_other_form, without_rows

__all__ = ["ExampleReader", "ReaderFeed"]


class ExampleReader(NamedTuple):
    """Examples that are read while training, in place of the arrays of a data set.

    Attributes:
        read: numbers of examples `[rows]` -> a tree of arrays `[rows, ...]`, of the same structure, shapes and dtypes
            in every call. It is called in a thread, while the devices compute. With several processes, each reads the
            rows of its own shards.
        num_examples: in total; their numbers begin with 0.

    >>> import numpy as np
    >>> from recurrent.training import ExampleReader
    >>> squares = ExampleReader(lambda numbers: np.float32(numbers) ** 2, num_examples=1000)
    >>> squares.read(np.array([3, 4])).tolist()
    [9.0, 16.0]
    """

    read: Callable[[Int[np.ndarray, "rows"]], Any]
    num_examples: int


class _Steps(NamedTuple):
    """The order of a chunk's steps."""

    number: Int[np.ndarray, "steps shards rows"]
    weight: Float[np.ndarray, "steps shards rows"]
    is_first: Bool[np.ndarray, "steps shards"]


class ReaderFeed:
    """Batches read by number, a chunk of steps at a time; the next chunk is read while the devices compute."""

    def __init__(self, trainer: Trainer, plan: Plan, streams: int, num_runs: int | None = None) -> None:
        """Reads one example for its form.

        Args:
            trainer: with a reader.
            plan: of the run.
            streams: how the order derives from the seed.
            num_runs: of a cohort. Its chunks are shorter, and stay on the host: those of all runs are put on the
                devices together.

        Raises:
            ValueError: what is read is not a tree of arrays of one row.
        """
        self._source, self._plan, self._streams = trainer.examples, plan, streams
        self._sizes = trainer.sizes
        self.num_examples: int = self._source.num_examples
        self.steps_per_epoch = num_batches(self.num_examples, plan.batch_size)
        self._expected: Any = None
        example = self._read(np.zeros(1, np.int32))
        num_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(example))
        rows = plan.batch_size // plan.num_shards
        size = chunk_size(num_bytes * plan.batch_size * (num_runs or 1))
        self._chunk = Chunk(size, plan.num_shards, rows, trainer.mesh)
        self._put = self._chunk.put if num_runs is None else in_jax_dtypes
        self._ordered: tuple[int, Any] = (-1, None)
        self._ahead: Ahead[tuple[Any, _Steps]] = Ahead(self._read_chunk)
        self._first, self._served = -1, Served(None, Batches(np.zeros(0, np.int32), np.zeros(0, np.float32)), -1)

    def serve(self, step: int) -> Served:
        """Returns the chunk of batches that holds this step; the chunks begin at multiples of their size."""
        chunk = self._chunk
        first = step - step % chunk.size
        if first != self._first:
            examples, steps = self._ahead.take(first)
            batches = Batches(chunk.places(), steps.weight, steps.number, steps.is_first)
            placed = shard(batches, chunk.mesh, axis=1)
            self._first, self._served = first, Served(self._put(examples), placed, first + chunk.size)
            if self._served.end < self._plan.epochs * self.steps_per_epoch:
                self._ahead.announce(self._served.end)
        return self._served

    def position(self, step: int) -> None:
        """Returns nothing: the order is a function of seed and epoch."""

    def batch(self, step: int) -> list[int]:
        """Returns the numbers of the examples in the batch of this step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        batches = self._order(epoch)
        return sorted(batches.rows[place][batches.weight[place] > 0].tolist())

    def close(self) -> None:
        """Ends reading ahead."""
        self._ahead.close()

    def _read_chunk(self, first: int) -> tuple[Any, _Steps]:
        """Reads the rows of this process's shards, and the order of all."""
        steps = self._steps(first)
        own = steps.number[:, self._chunk.own].swapaxes(0, 1).ravel()
        return self._read(own), steps

    def _steps(self, first: int) -> _Steps:
        last = self._plan.epochs * self.steps_per_epoch - 1  # steps after it are never taken
        parts = []
        for step in range(first, first + self._chunk.size):
            epoch, place = divmod(min(step, last), self.steps_per_epoch)
            batches = self._order(epoch)
            parts.append((batches.rows[place], batches.weight[place], np.full(self._plan.num_shards, place == 0)))
        return _Steps(*(np.stack(each) for each in zip(*parts, strict=True)))

    def _order(self, epoch: int) -> Batches:
        known, batches = self._ordered  # one assignment, since two threads ask
        if epoch != known:
            plan = self._plan
            batches = epoch_batches(
                plan.seed, epoch, self.num_examples, plan.batch_size, plan.num_shards, self._streams, self._sizes
            )
            self._ordered = epoch, batches
        return batches

    def _read(self, numbers: Int[np.ndarray, "rows"]) -> Any:
        """Reads examples.

        Raises:
            ValueError: they are not as many as asked for, or of another form than before, or hold integers that JAX
                would cut.
        """
        examples = jax.tree.map(np.asarray, self._source.read(numbers))
        found = count_rows("the examples that were read", examples)
        if found != len(numbers):
            raise ValueError(f"The reader was asked for {len(numbers)} examples and returned {found}.")
        self._expected = without_rows(examples) if self._expected is None else self._expected
        refuse_other_form("What the reader returned", examples, self._expected)
        refuse_wide_integers("What the reader returned: examples", examples)
        return examples
