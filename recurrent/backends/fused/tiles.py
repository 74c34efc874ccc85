"""A segment of rows in tiles, of which only the active ones are computed.

A tile is idle in a segment if, for each of its rows, all steps are masked or belong to the shared prefix. The first row
computes the prefix; every other row takes over the first row's carry in the segment where its own steps begin.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from recurrent.backends.fused import segment
from recurrent.backends.fused.settings import Gradients, Settings, Weights
from recurrent.call.axes import align
from recurrent.call.meshes import vary_like
from recurrent.call.steps import Carry, Steps, select

__all__ = ["Each", "Work", "backward", "each", "each_active", "forward"]

Each = Callable[..., Any]
"""A loop over tiles: `each_active` or `each`."""


class Work(NamedTuple):
    """The work of one segment, or of all; rows are arranged as [tiles, rows of a tile]."""

    is_active: Bool[Array, "*segments tiles"]
    is_behind: Bool[Array, "*segments tiles rows"] | None  # rows whose carry before this segment is the first row's


def forward(
    each: Each, settings: Settings, weights: Weights, carry: Carry, steps: Steps, work: Work
) -> tuple[Carry, Any]:
    """Computes a segment of the active tiles; the others keep their carry and repeat their last output.

    Args:
        each: the loop over tiles.
        carry: arrays [tiles, rows, ...].
        steps: arrays [time, tiles, rows, ...].
    """
    carry = _catch_up(carry, work)
    outputs = None
    if settings.keeps_outputs:
        like = jax.eval_shape(lambda: segment.forward(settings, weights, _tile(carry, 0, 0), _tile(steps, 0, 1)))[1]
        outputs = jax.tree.map(lambda held, like: _hold(held, like, len(work.is_active)), carry.held, like)

    def advance_tile(number: Array, result: tuple[Carry, Any]) -> tuple[Carry, Any]:
        after, tile_outputs = segment.forward(settings, weights, _tile(result[0], number, 0), _tile(steps, number, 1))
        return _put(result[0], after, number, 0), _put(result[1], tile_outputs, number, 1)

    return each(work, advance_tile, (carry, outputs))


def backward(
    each: Each,
    settings: Settings,
    weights: Weights,
    carry: Carry,
    steps: Steps,
    work: Work,
    d_carry: Carry,
    d_outputs: Any,
) -> Gradients:
    """Pulls cotangents back through a segment of the active tiles; the others' carry keeps its cotangent."""
    carry = _catch_up(carry, work)
    if settings.keeps_outputs:
        held = jax.tree.map(lambda d, held: _released(d, work).astype(held.dtype), d_outputs, carry.held)
        d_carry = d_carry._replace(held=jax.tree.map(jnp.add, d_carry.held, held))

    def pull(number: Array | int, d_carry: Carry) -> Gradients:
        given = (_tile(carry, number, 0), _tile(steps, number, 1))
        return segment.backward(settings, weights, *given, _tile(d_carry, number, 0), _tile(d_outputs, number, 1))

    def pull_tile(number: Array, result: Gradients) -> Gradients:
        gradients = pull(number, result.carry)
        return Gradients(
            jax.tree.map(jnp.add, result.params, gradients.params),
            _put(result.carry, gradients.carry, number, 0),
            _put(result.steps, gradients.steps, number, 1),
        )

    like = jax.eval_shape(lambda: pull(0, d_carry))
    num_tiles = len(work.is_active)
    nothing = Gradients(
        jax.tree.map(jnp.zeros_like, weights.params),
        d_carry,
        jax.tree.map(lambda leaf: jnp.zeros((leaf.shape[0], num_tiles, *leaf.shape[1:]), leaf.dtype), like.steps),
    )
    gradients = each(work, pull_tile, vary_like(nothing, carry))
    return gradients._replace(carry=_pull_catch_up(gradients.carry, work))


def each_active(work: Work, take: Callable[[Array, Any], Any], result: Any) -> Any:
    """Folds `take`, called with a tile's number and the result so far, over the active tiles alone."""
    order = jnp.argsort(~work.is_active, stable=True)
    count = jnp.sum(work.is_active.astype(jnp.int32))
    return jax.lax.fori_loop(0, count, lambda index, result: take(order[index], result), result)


def each(work: Work, take: Callable[[Array, Any], Any], result: Any) -> Any:
    """Returns what `each_active` returns, computing all tiles, in a loop that JAX can differentiate."""

    def take_if_active(result: Any, number: Array) -> tuple[Any, None]:
        return select(work.is_active[number], take(number, result), result), None

    return jax.lax.scan(take_if_active, result, jnp.arange(len(work.is_active)))[0]


def _catch_up(carry: Carry, work: Work) -> Carry:
    """Copies the first row's carry to the rows that are behind."""
    if work.is_behind is None:
        return carry
    return jax.tree.map(lambda leaf: jnp.where(align(work.is_behind, leaf), leaf[:1, :1], leaf), carry)


def _pull_catch_up(d_carry: Carry, work: Work) -> Carry:
    """Pulls a cotangent back through `_catch_up`."""
    if work.is_behind is None:
        return d_carry

    def pull(leaf: Array) -> Array:
        is_behind = align(work.is_behind, leaf)
        shared = jnp.sum(jnp.where(is_behind, leaf, jnp.zeros_like(leaf)), axis=(0, 1))
        return jnp.where(is_behind, jnp.zeros_like(leaf), leaf).at[0, 0].add(shared)

    return jax.tree.map(pull, d_carry)


def _hold(held: Array, like: Any, num_tiles: int) -> Array:
    """Repeats the last output over the segment, for the tiles that are not computed."""
    return jnp.broadcast_to(held.astype(like.dtype), (like.shape[0], num_tiles, *like.shape[1:]))


def _released(d_outputs: Array, work: Work) -> Array:
    """Sums the cotangents of the outputs of idle tiles, which all repeat the tile's last output."""
    total = jnp.sum(d_outputs, axis=0)
    return jnp.where(align(work.is_active, total), jnp.zeros_like(total), total)


def _tile(tree: Any, number: Array | int, axis: int) -> Any:
    return jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, number, axis, keepdims=False), tree)


def _put(tree: Any, part: Any, number: Array, axis: int) -> Any:
    return jax.tree.map(
        lambda leaf, part: jax.lax.dynamic_update_index_in_dim(leaf, part.astype(leaf.dtype), number, axis), tree, part
    )
