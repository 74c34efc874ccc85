"""Arranges rows in tiles, those with the most segments to compute first, so that the rows of a tile are alike."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from recurrent.backends.fused.tiles import Work

__all__ = ["Arrangement", "by_mask", "by_prefix"]

TILE_SIZE = 16
"""The approximate number of rows of a tile.

Smaller tiles pay the fixed cost of a step more often; larger ones compute more idle rows.
"""


class Arrangement(NamedTuple):
    """The place of each row in the tiles, and the work of each segment."""

    row: Int[Array, "tiles rows"]  # the row at each place of each tile; the number of rows where there is none
    tile: Int[Array, "rows"]  # the tile of each row, and its place in the tile
    place: Int[Array, "rows"]
    work: Work  # [segments, ...]

    def spread(self, tree: Any, axis: int) -> Any:
        """Splits the axis of rows into tiles and places; a place without a row gets the values of another row."""
        return jax.tree.map(lambda leaf: jnp.take(leaf, self.row, axis, mode="clip"), tree)

    def collect(self, tree: Any, axis: int) -> Any:
        """Inverts `spread`."""
        at = (slice(None),) * axis + (self.tile, self.place)
        return jax.tree.map(lambda leaf: leaf.at[at].get(unique_indices=True), tree)


def by_mask(is_busy: Bool[Array, "time rows"], segment_size: int) -> Arrangement:
    """Arranges rows by the number of segments in which they have a token or a reset."""
    num_steps, num_rows = is_busy.shape
    num_segments = -(-num_steps // segment_size)
    padded = jnp.pad(is_busy, ((0, num_segments * segment_size - num_steps), (0, 0)))
    is_busy_in = jnp.any(padded.reshape(num_segments, segment_size, num_rows), axis=1)
    order = jnp.argsort(-jnp.sum(is_busy_in.astype(jnp.int32), axis=0), stable=True)
    row, tile, place = _tiles(order, num_rows, num_first=0)
    is_active = jnp.any(jnp.take(is_busy_in, row, 1, mode="fill", fill_value=False), axis=2)
    return Arrangement(row, tile, place, Work(is_active, None))


def by_prefix(length: Int[Array, "rows"], num_steps: int, segment_size: int) -> Arrangement:
    """Arranges rows by the length of their prefix; the first place holds an additional row that computes the prefix."""
    num_rows = len(length)
    row, tile, place = _tiles(jnp.argsort(length, stable=True), num_rows, num_first=1)
    length_in = jnp.take(length, row, mode="fill", fill_value=num_steps)
    begin = jnp.arange(0, num_steps, segment_size)[:, None, None]
    end = jnp.minimum(begin + segment_size, num_steps)
    is_active = jnp.any(length_in[None] < end, axis=2)
    is_awaited = jnp.any(length[None] >= end[:, 0], axis=1)
    is_active = is_active.at[:, 0].set(is_active[:, 0] | is_awaited)
    return Arrangement(row, tile, place, Work(is_active, length_in[None] >= begin))


def _tiles(order: Int[Array, "rows"], num_rows: int, num_first: int) -> tuple[Array, Array, Array]:
    """Cuts an order of rows into tiles of equal size, with `num_first` empty places in front and others at the end."""
    num_tiles = max(1, round((num_first + num_rows) / TILE_SIZE))
    size = max(1, -(-(num_first + num_rows) // num_tiles))
    free_at_end = num_tiles * size - num_first - num_rows
    row = jnp.pad(order, (num_first, free_at_end), constant_values=num_rows).reshape(num_tiles, size)
    position = jnp.zeros(num_rows, order.dtype).at[order].set(jnp.arange(num_rows, dtype=order.dtype)) + num_first
    return row, position // size, position % size
