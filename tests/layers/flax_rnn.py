"""What the tests of both drop-ins for Flax' RNN share: the calls that are compared, and Flax' own calls of them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

ROWS, TIME, INPUT, HIDDEN = 3, 6, 3, 4
CELLS = ("LSTMCell", "OptimizedLSTMCell", "GRUCell", "SimpleCell")
LENGTHS = np.array([6, 1, 4])
FLAGS = [
    dict(zip(("reverse", "keep_order", "time_major"), flags, strict=True))
    for flags in itertools.product([False, True], repeat=3)
]


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def inputs(time_major=False):
    array = draw(ROWS, TIME, INPUT)
    return jnp.moveaxis(array, 0, 1) if time_major else array


def filled(tree, seed=1):
    """Returns a tree with random values in place of the leaves: Flax draws biases of zero."""
    leaves, treedef = jax.tree.flatten(tree)
    drawn = [0.5 * draw(*leaf.shape, seed=(seed, index)) for index, leaf in enumerate(leaves)]
    return jax.tree.unflatten(treedef, [array.astype(leaf.dtype) for array, leaf in zip(drawn, leaves, strict=True)])


def carry_of(name, seed=2):
    arrays = draw(2, ROWS, HIDDEN, seed=seed)
    return (arrays[0], arrays[1]) if "LSTM" in name else arrays[0]


def within(outputs, flags, lengths=LENGTHS):
    """Returns outputs without those of padding, which differ by design."""
    outputs = jnp.moveaxis(outputs, 0, 1) if flags["time_major"] else outputs
    return [row[:length] for row, length in zip(outputs, lengths, strict=True)]
