"""Reads a review word by word: a recurrent network has an answer after every step.

    state, answer = read(state, word)

No word is read twice: reading continues from any kept state.
"""

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from experiments.imdb.pairs import Pairs
from experiments.imdb.training.model import make_forward
from experiments.imdb.training.parts import take_apart
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.vocabulary import PADDING_ID
from recurrent.inspect import trace

__all__ = ["LONGEST_READ", "Reader", "Steps", "make_reader", "named"]

LONGEST_READ = 512
"""The most ids in one call. Programs are compiled for the powers of two up to it."""

_TEXTS = 32  # read in one call where each step is a text of its own


class Steps(NamedTuple):
    """The results of reading some ids, every array [steps, ...]."""

    logits: Float[np.ndarray, "steps *classes"]  # if this were the last word; `log_odds.py` says what they are
    states: Any  # the cell's State after each id; the text so far where there is none
    gates: Any  # the cell's Gates at each id; None where there are none


class Reader(NamedTuple):
    """A trained model as functions that read on from a state."""

    start: Callable[[int], Any]  # the state after a number of steps of padding, at most `sequence_length`
    read: Callable[[Any, Sequence[int]], Steps]  # (state, ids) -> results
    logits: Callable[[Any], Float[np.ndarray, "*classes"]]  # of a state: the answer if the text ended here


def named(arrays: Any) -> dict[str, Any]:
    """Returns gates or states by name; none where a model has none."""
    return arrays._asdict() if hasattr(arrays, "_asdict") else {}


def make_reader(recipe: Recipe, params: Any, pairs: Pairs | None = None) -> Reader:
    """Compiles a model for reading word by word.

    With `keras` padding, the state before a text is the state after the padding in front of it; with `masked`, zero.
    A model that reads in both directions, or pools, has no such state: it reads the text so far again at each word.
    """
    return _make_cell_reader(recipe, params) if recipe.reads_forward else _make_text_reader(recipe, params, pairs)


def _make_cell_reader(recipe: Recipe, params: Any) -> Reader:
    parts = take_apart(recipe)
    cell_params = jax.jit(parts.cell_params)(params)

    @jax.jit
    def run(state: Any, ids: Int[np.ndarray, "steps"], is_token: Bool[Array, "steps"]) -> Steps:
        inputs = parts.embed(params, ids)
        dtype = jax.tree.leaves(state)[0].dtype
        seen = trace(parts.cell, cell_params, inputs, is_token=is_token, initial=state, dtype=dtype, backend="plain")
        return Steps(parts.head(params, seen.states.hidden), seen.states, seen.gates)

    zero = jax.tree.map(np.asarray, parts.cell.zero_state(cell_params))
    read = partial(_read, run)
    padding = read(zero, [PADDING_ID] * recipe.sequence_length) if recipe.padding == "keras" else None

    def start(num_padding: int) -> Any:
        if padding is None or not num_padding:
            return zero
        return jax.tree.map(lambda leaf: leaf[num_padding - 1], padding.states)

    head = jax.jit(lambda state: parts.head(params, state.hidden))
    return Reader(start, read, lambda state: np.asarray(head(state)))


def _make_text_reader(recipe: Recipe, params: Any, pairs: Pairs | None) -> Reader:
    """Reads texts as a whole. A state is the text so far, padded in front."""
    forward = jax.jit(make_forward(recipe, pairs))
    nothing = np.full(recipe.sequence_length, PADDING_ID, np.int32)

    def read(state: Any, ids: Sequence[int]) -> Steps:
        texts = np.zeros((len(ids), recipe.sequence_length), np.int32)
        for step, number in enumerate(ids):
            state = texts[step] = np.append(state[1:], number)
        return Steps(_in_chunks(forward, params, texts), texts, None)

    return Reader(lambda num_padding: nothing, read, lambda state: np.asarray(forward(params, state[None])[0]))


def _in_chunks(
    forward: Callable[..., Any], params: Any, texts: Int[np.ndarray, "texts time"]
) -> Float[np.ndarray, "texts *classes"]:
    """Returns the logits of any number of texts, a fixed number at a time, so one program is compiled."""
    missing = max(-len(texts) % _TEXTS, _TEXTS * (not len(texts)))
    filled = np.concatenate([texts, np.zeros((missing, texts.shape[1]), texts.dtype)])
    chunks = [np.asarray(forward(params, chunk)) for chunk in filled.reshape(-1, _TEXTS, texts.shape[1])]
    return np.concatenate(chunks)[: len(texts)]


def _read(run: Callable[..., Steps], state: Any, ids: Sequence[int]) -> Steps:
    """Reads any number of ids, padded at the end to few lengths, so few programs are compiled."""
    pieces = []
    for begin in range(0, max(len(ids), 1), LONGEST_READ):
        piece = np.asarray(ids[begin : begin + LONGEST_READ], np.int32)
        size = 1 << max(len(piece) - 1, 0).bit_length()
        filled = np.pad(piece, (0, size - len(piece)))
        steps = jax.tree.map(np.asarray, run(state, filled, np.arange(size) < len(piece)))
        pieces.append(jax.tree.map(itemgetter(slice(len(piece))), steps))
        if len(piece):
            state = jax.tree.map(itemgetter(-1), pieces[-1].states)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *pieces)
