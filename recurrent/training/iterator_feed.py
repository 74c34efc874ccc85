"""Batches from an iterator, put on the devices a chunk of steps at a time."""

import base64
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float

from recurrent.call.arguments import integer
from recurrent.training.feed import ArrayFeed, Feed, Served
from recurrent.training.mesh import replicate, shard
from recurrent.training.order import Batches
from recurrent.training.plan import Plan, Trainer, count_rows

__all__ = ["BatchIterator", "check_examples", "make_feed"]

_CHUNK_BYTES = 16 << 20
_MAX_CHUNK = 32


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
        self._form: Any = None
        self._first, self._size = -1, 0
        self._served: Served | None = None

    def serve(self, step: int) -> Served:
        """Returns the chunk of batches that holds this step; the chunks begin at multiples of their size."""
        if self._served is None or not self._first <= step < self._served.end:
            self._served = self._draw_chunk(step)
        return self._served

    def position(self, step: int) -> Any:
        """Returns the iterator's position after this many steps; None where it has none."""
        return self._positions.get(step)

    def batch(self, step: int) -> list[int]:
        """Returns the numbers of the examples in the batch of this step, counted from the start of the run."""
        return list(range(step * self._plan.batch_size, (step + 1) * self._plan.batch_size))

    def _draw_chunk(self, step: int) -> Served:
        drawn = [self._draw(step)]
        self._size = self._size or max(1, min(_MAX_CHUNK, _CHUNK_BYTES // max(1, _num_bytes(drawn[0][0]))))
        first = step - step % self._size
        last_step = min(first + self._size, self._plan.epochs * self.steps_per_epoch)
        drawn += [self._draw(number) for number in range(step + 1, last_step)]
        # Steps before `step` and after the last one are never taken; the first batch fills their places.
        places = [drawn[min(max(number - step, 0), len(drawn) - 1)] for number in range(first, first + self._size)]
        trees, weights = zip(*places, strict=True)
        examples = jax.tree.map(lambda *leaves: np.concatenate(leaves), *trees)
        self._first = first
        return Served(replicate(examples, self._mesh), self._batches(first, np.stack(weights)), first + len(places))

    def _batches(self, first: int, weight: Float[np.ndarray, "batches rows"]) -> Batches:
        size, plan = self._size, self._plan
        shape = (size, plan.num_shards, plan.batch_size // plan.num_shards)
        rows = np.arange(size * plan.batch_size, dtype=np.int32).reshape(shape)
        number = ((rows.astype(np.int64) + first * plan.batch_size) % (1 << 31)).astype(np.int32)
        opens = (np.arange(first, first + size) % self.steps_per_epoch == 0)[:, None]
        is_first = np.broadcast_to(opens, shape[:2])
        return shard(Batches(rows, weight.reshape(shape), number, is_first), self._mesh, axis=1)

    def _draw(self, step: int) -> tuple[Any, Float[np.ndarray, "rows"]]:
        """Returns the next batch, filled up to its size, and the weights of its rows."""
        batch_size = self._plan.batch_size
        try:
            batch = jax.tree.map(np.asarray, next(self._iterator))
        except StopIteration as error:
            needed = self._plan.epochs * self.steps_per_epoch
            raise ValueError(
                f"The iterator ended after {step} batches, and the plan needs {needed} (epochs times "
                "steps_per_epoch): let it repeat, or plan fewer."
            ) from error
        num_rows = count_rows("the batch", batch)
        if not 1 <= num_rows <= batch_size:
            raise ValueError(
                f"Batch {step} of the iterator has {num_rows} rows, and the plan's batch_size is {batch_size}."
            )
        form = jax.tree.map(lambda leaf: (leaf.dtype, leaf.shape[1:]), batch)
        self._form = self._form or form
        if form != self._form:
            raise ValueError(f"Batch {step} of the iterator has the form {form}, and those before had {self._form}.")
        self._positions[step + 1] = _get_position(self._iterator)
        for old in [each for each in self._positions if each < step - 2 * _MAX_CHUNK]:
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


def make_feed(trainer: Trainer, plan: Plan, streams: int, step: int, position: Any) -> Feed:
    """Returns the feed of a data set or of a `BatchIterator`, from a step on."""
    if isinstance(trainer.examples, BatchIterator):
        return IteratorFeed(trainer.examples, plan, trainer.mesh, step, position)
    return ArrayFeed(trainer, plan, streams)


def check_examples(trainer: Trainer) -> None:
    """Checks a data set or an iterator of batches.

    Raises:
        ValueError: the arrays differ in length, there is none or no row, or the sizes do not fit; or the iterator is
            none.
    """
    examples, sizes = trainer.examples, trainer.sizes
    if not isinstance(examples, BatchIterator):
        count = count_rows("examples", examples)
        if not count:
            raise ValueError("There are no examples to train on.")
        if sizes is not None and (np.shape(sizes) != (count,) or np.asarray(sizes).dtype.kind not in "iu"):
            form = f"{np.asarray(sizes).dtype}{list(np.shape(sizes))}"
            raise ValueError(f"sizes must be one integer per example, [{count}], not {form}.")
        return
    if sizes is not None:
        raise ValueError("sizes order the examples of arrays; an iterator has an order of its own.")
    integer("steps_per_epoch", examples.steps_per_epoch, 1)
    if not hasattr(examples.iterator, "__next__"):
        kind = type(examples.iterator).__name__
        raise ValueError(f"A BatchIterator's iterator must be an iterator, not a {kind}: iter(...) makes one.")


def _num_bytes(batch: Any) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(batch))


def _get_position(iterator: Any) -> Any:
    """Returns the state of an iterator in JSON's types: bytes, as Grain's DataLoader has them, become text."""
    if not hasattr(iterator, "get_state"):
        return None
    state = iterator.get_state()
    return {"base64": base64.b64encode(state).decode()} if isinstance(state, bytes) else state


def _decoded(position: Any) -> Any:
    is_bytes = isinstance(position, dict) and position.keys() == {"base64"}
    return base64.b64decode(position["base64"]) if is_bytes else position
