"""Detects forward-mode differentiation of a call, as far as tracing reveals it."""

from typing import Any

import jax

__all__ = ["is_pushed_forward"]


def is_pushed_forward(tree: Any) -> bool:
    """Returns whether an array of a tree carries a tangent, as inside `jax.jvp`, `jax.jacfwd` or `jax.hessian`.

    Inside `jax.jvp` of a function under `jit` it returns False, since the function is then traced without tangents.
    """
    return any(_is_pushed_forward(leaf) for leaf in jax.tree.leaves(tree))


def _is_pushed_forward(leaf: Any) -> bool:
    # JAX has no public name for this class. Reverse mode uses a tracer of another name.
    return type(leaf).__name__ == "JVPTracer" or (hasattr(leaf, "val") and _is_pushed_forward(leaf.val))
