"""Whether a call is being differentiated in forward mode, as far as that is known while it is traced."""

from typing import Any

import jax

__all__ = ["is_pushed_forward"]


def is_pushed_forward(tree: Any) -> bool:
    """Says whether an array of a tree carries a tangent, as within `jax.jvp`, `jax.jacfwd` or `jax.hessian`.

    Within `jax.jvp` of a function under `jit`, JAX tells nobody.
    """
    return any(_is_pushed_forward(leaf) for leaf in jax.tree.leaves(tree))


def _is_pushed_forward(leaf: Any) -> bool:
    # By name: JAX has no public one for it. Reverse mode has a tracer of another name.
    return type(leaf).__name__ == "JVPTracer" or (hasattr(leaf, "val") and _is_pushed_forward(leaf.val))
