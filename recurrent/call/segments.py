"""Cutting time into segments: whole ones of equal length, and a shorter one of the steps that are left over."""

from typing import Any

import jax
import jax.numpy as jnp

from recurrent.call.axes import merge_axes

__all__ = ["cut_segments", "join_segments", "scan_segments"]


def scan_segments(scan_segment: Any, carry: Any, steps: Any, segment_size: int, reverse: bool) -> tuple[Any, Any]:
    """Scans over segments; returns the last carry and the outputs of all steps.

    Args:
        scan_segment: (carry, a segment's steps) -> (carry, the segment's outputs).
    """
    length = len(jax.tree.leaves(steps)[0])
    cut = length - length % segment_size
    whole = jax.tree.map(lambda leaf: leaf[:cut].reshape(-1, segment_size, *leaf.shape[1:]), steps)
    rest = jax.tree.map(lambda leaf: leaf[cut:], steps)
    if cut == length:
        carry, outputs = jax.lax.scan(scan_segment, carry, whole, reverse=reverse)
        return carry, merge_axes(outputs, 2)
    if reverse:
        carry, rest_outputs = scan_segment(carry, rest)
        carry, outputs = jax.lax.scan(scan_segment, carry, whole, reverse=True)
    else:
        carry, outputs = jax.lax.scan(scan_segment, carry, whole)
        carry, rest_outputs = scan_segment(carry, rest)
    return carry, jax.tree.map(lambda *parts: jnp.concatenate(parts), merge_axes(outputs, 2), rest_outputs)


def cut_segments(
    of_steps: Any, of_segments: Any, num_steps: int, segment_size: int, reverse: bool
) -> list[tuple[Any, Any]]:
    """Returns the whole segments, and the shorter one if there is one, in the order of the pass.

    Args:
        of_steps: arrays [time, ...], returned as [segments, steps of a segment, ...].
        of_segments: arrays [all segments, ...], returned as [segments, ...].
    """
    count, rest = divmod(num_steps, segment_size)

    def cut(start: int, count: int, size: int) -> Any:
        return jax.tree.map(
            lambda leaf: leaf[start : start + count * size].reshape(count, size, *leaf.shape[1:]), of_steps
        )

    parts = [(cut(0, count, segment_size), jax.tree.map(lambda leaf: leaf[:count], of_segments))]
    if rest:
        last = jax.tree.map(lambda leaf: leaf[count:], of_segments)
        parts.append((cut(count * segment_size, 1, rest), last))
    return parts[::-1] if reverse else parts


def join_segments(parts: list[Any], reverse: bool) -> Any:
    """Joins the results of `cut_segments`' parts, [segments, steps of a segment, ...] each, along time."""
    joined = [merge_axes(part, 2) for part in (reversed(parts) if reverse else parts)]
    return joined[0] if len(joined) == 1 else jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *joined)
