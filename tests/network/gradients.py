"""Results and gradients of a function, all of which count."""

from functools import partial

import jax
import jax.numpy as jnp


@partial(jax.jit, static_argnums=0)
def solve(run, *arguments):
    """Returns a function's results, and what some cotangents of them become when they are pulled back."""
    results, pullback = jax.vjp(run, *arguments)

    def cotangent(leaf):
        return jnp.cos(jnp.arange(leaf.size, dtype=leaf.dtype)).reshape(leaf.shape)

    return results, pullback(jax.tree.map(cotangent, results))
