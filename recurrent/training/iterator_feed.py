"""Batches from an iterator, put on the devices a chunk of steps at a time, each chunk drawn ahead in a thread."""

import base64
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float

from recurrent.call.arguments import integer
from recurrent.training.ahead import Ahead
from recurrent.training.chunk import Chunk, chunk_size
from recurrent.training.feed import ArrayFeed, Feed, Served
from recurrent.training.mesh import shard
from recurrent.training.order import Batches
from recurrent.training.plan import Plan, Trainer, count_rows
from recurrent.training.reader_feed import ExampleReader, ReaderFeed
from recurrent.training.wide_integers import refuse_wide_integers
from recurrent.tree_form import refuse_other_form, without_rows

__all__ = ["BatchIterator", "check_examples", "make_feed"]

_KEPT_POSITIONS = 128  # steps; more than two chunks have


class BatchIterator(NamedTuple):
    """Batches from an iterator, in place of the arrays of a data set.

    Attributes:
        iterator: of batches, each a tree of arrays `[batch_size, ...]` of the same structure, shapes and dtypes; one
            with fewer rows is filled up with rows of weight 0. With `get_state` and `set_state`, as Grain's iterators
            have them, its position is part of each checkpoint. Otherwise a resume draws the batches so far again.
        steps_per_epoch: batches between two evaluations.

    >>> import itertools
    >>> import numpy as np
    >>> from recurrent.training import BatchIterator
    >>> BatchIterator(itertools.repeat(np.ones((8, 3), np.float32)), steps_per_epoch=100).steps_per_epoch
    100
    """

    iterator: Iterator[Any]
    steps_per_epoch: int


class IteratorFeed:
    """Batches drawn from an iterator, a chunk of steps at a time."""

    def __init__(self, source: BatchIterator, plan: Plan, mesh: Mesh, step: int, position: Any) -> None:
        """Brings the iterator to the position of a checkpoint.

        Raises:
            ValueError: the iterator has no batch, or cannot be brought there.
        """
        self._iterator, self._plan, self._mesh = source.iterator, plan, mesh
        self.steps_per_epoch = source.steps_per_epoch
        self.num_examples: int | None = None
        self._positions: dict[int, Any] = {}
        self._set(step, position)
        self._expected: Any = None
        self._chunk: Chunk | None = None
        self._served: Served | None = None
        self._first = -1
        self._ahead: Ahead[tuple[Any, Any]] = Ahead(self._draw_chunk)

    def serve(self, step: int) -> Served:
        """Returns the chunk of batches that holds this step; the chunks begin at multiples of their size."""
        if self._served is None or not self._first <= step < self._served.end:
            examples, weight = self._ahead.take(step)
            chunk: Any = self._chunk
            self._first = step - step % chunk.size
            self._served = Served(
                chunk.put(examples), self._batches(chunk, self._first, weight), self._first + chunk.size
            )
            if self._served.end < self._plan.epochs * self.steps_per_epoch:
                self._ahead.announce(self._served.end)
        return self._served

    def position(self, step: int) -> Any:
        """Returns the iterator's position after this many steps; None where it has none."""
        return self._positions.get(step)

    def batch(self, step: int) -> list[int]:
        """Returns the numbers of the examples in the batch of this step, counted from the start of the run."""
        return list(range(step * self._plan.batch_size, (step + 1) * self._plan.batch_size))

    def close(self) -> None:
        """Ends drawing ahead."""
        self._ahead.close()

    def _draw_chunk(self, step: int) -> tuple[Any, Float[np.ndarray, "batches rows"]]:
        """Draws the rest of a chunk: the rows of this process's shards, and the weights of all rows."""
        drawn = [self._draw(step)]
        chunk = self._chunk = self._chunk or self._make_chunk(drawn[0][0])
        first = step - step % chunk.size
        last_step = min(first + chunk.size, self._plan.epochs * self.steps_per_epoch)
        drawn += [self._draw(number) for number in range(step + 1, last_step)]
        # Steps before `step` and after the last one are never taken; the first batch fills their places.
        places = [drawn[min(max(number - step, 0), len(drawn) - 1)] for number in range(first, first + chunk.size)]
        trees, weights = zip(*places, strict=True)
        parts = [slice(shard * chunk.rows, (shard + 1) * chunk.rows) for shard in chunk.own]
        examples = jax.tree.map(
            lambda *leaves: np.concatenate([leaf[part] for part in parts for leaf in leaves]), *trees
        )
        return examples, np.stack(weights)

    def _make_chunk(self, batch: Any) -> Chunk:
        plan = self._plan
        size = chunk_size(sum(leaf.nbytes for leaf in jax.tree.leaves(batch)))
        return Chunk(size, plan.num_shards, plan.batch_size // plan.num_shards, self._mesh)

    def _batches(self, chunk: Chunk, first: int, weight: Float[np.ndarray, "batches rows"]) -> Batches:
        shape = (chunk.size, chunk.num_shards, chunk.rows)
        drawn = np.arange(chunk.size * self._plan.batch_size, dtype=np.int64) + first * self._plan.batch_size
        number = (drawn % (1 << 31)).astype(np.int32).reshape(shape)
        opens = (np.arange(first, first + chunk.size) % self.steps_per_epoch == 0)[:, None]
        is_first = np.broadcast_to(opens, shape[:2])
        return shard(Batches(chunk.places(), weight.reshape(shape), number, is_first), self._mesh, axis=1)

    def _draw(self, step: int) -> tuple[Any, Float[np.ndarray, "rows"]]:
        """Returns the next batch, filled up to its size, and the weights of its rows."""
        batch_size = self._plan.batch_size
        try:
            batch: Any = jax.tree.map(np.asarray, next(self._iterator))
        except StopIteration as error:
            needed = self._plan.epochs * self.steps_per_epoch
            raise ValueError(
                f"The iterator ended after {step} batches, and the plan needs {needed} (epochs times "
                "steps_per_epoch): let it repeat, or plan fewer."
            ) from error
        num_rows = count_rows(f"batch {step} of the iterator", batch)
        if not 1 <= num_rows <= batch_size:
            raise ValueError(
                f"Batch {step} of the iterator has {num_rows} rows, and the plan's batch_size is {batch_size}."
            )
        self._expected = without_rows(batch) if self._expected is None else self._expected
        refuse_other_form(f"Batch {step} of the iterator", batch, self._expected)
        refuse_wide_integers(f"Batch {step} of the iterator: batch", batch)
        self._positions[step + 1] = _get_position(self._iterator)
        for old in [each for each in self._positions if each < step - _KEPT_POSITIONS]:
            del self._positions[old]
        filled = jax.tree.map(lambda leaf: np.resize(leaf, (batch_size, *leaf.shape[1:])), batch)
        return filled, (np.arange(batch_size) < num_rows).astype(np.float32)

    def _set(self, step: int, position: Any) -> None:
        if not step:
            return
        if not hasattr(self._iterator, "set_state"):
            for _ in itertools.islice(self._iterator, step):
                pass
        elif position is None:
            raise ValueError(
                f"The checkpoint of step {step} holds no position of an iterator: it was trained on arrays."
            )
        else:
            self._iterator.set_state(_decoded(position))
        self._positions[step] = position


def make_feed(
    trainer: Trainer, plan: Plan, streams: int, step: int, position: Any, num_runs: int | None = None
) -> Feed:
    """Returns the feed of a data set, of a `BatchIterator` or of an `ExampleReader`, from a step on."""
    if isinstance(trainer.examples, ExampleReader):
        return ReaderFeed(trainer, plan, streams, num_runs)
    if isinstance(trainer.examples, BatchIterator):
        return IteratorFeed(trainer.examples, plan, trainer.mesh, step, position)
    return ArrayFeed(trainer, plan, streams)


def check_examples(trainer: Trainer) -> None:
    """Checks a data set, a reader of examples or an iterator of batches.

    Raises:
        ValueError: the arrays differ in length, there is none or no row, or one holds integers that JAX would cut; or
            the sizes do not fit; or the reader reads nothing, or the iterator is none.
    """
    examples, sizes = trainer.examples, trainer.sizes
    if isinstance(examples, BatchIterator):
        return _check_iterator(examples, sizes)
    if isinstance(examples, ExampleReader):
        count = integer("num_examples", examples.num_examples, 1, 1 << 31)
        if not callable(examples.read):
            raise ValueError(f"An ExampleReader's read must be a function, not a {type(examples.read).__name__}.")
    else:
        count = count_rows("examples", examples)
        refuse_wide_integers("examples", examples)
    if not count:
        raise ValueError("There are no examples to train on.")
    if sizes is not None and (np.shape(sizes) != (count,) or np.asarray(sizes).dtype.kind not in "iu"):
        form = f"{np.asarray(sizes).dtype}{list(np.shape(sizes))}"
        raise ValueError(f"sizes must be one integer per example, [{count}], not {form}.")


def _check_iterator(examples: BatchIterator, sizes: Any) -> None:
    if sizes is not None:
        raise ValueError("sizes order the examples of arrays; an iterator has an order of its own.")
    integer("steps_per_epoch", examples.steps_per_epoch, 1)
    if not hasattr(examples.iterator, "__next__"):
        kind = type(examples.iterator).__name__
        raise ValueError(f"A BatchIterator's iterator must be an iterator, not a {kind}: iter(...) makes one.")


def _get_position(iterator: Any) -> Any:
    """Returns the state of an iterator in JSON's types."""
    return _encoded(iterator.get_state()) if hasattr(iterator, "get_state") else None


def _encoded(state: Any) -> Any:
    """Returns a state with text in place of bytes, as Grain's DataLoader has them, also within an iterator's own."""
    if isinstance(state, bytes):
        return {"base64": base64.b64encode(state).decode()}
    return {name: _encoded(value) for name, value in state.items()} if isinstance(state, dict) else state


def _decoded(position: Any) -> Any:
    if not isinstance(position, dict):
        return position
    if position.keys() == {"base64"}:
        return base64.b64decode(position["base64"])
    return {name: _decoded(value) for name, value in position.items()}
