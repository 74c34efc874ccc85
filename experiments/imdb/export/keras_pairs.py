"""Rows of word pairs and triples in Keras' operations: the hash of `experiments.imdb.pairs`, and a binary search."""

from typing import Any

import numpy as np
from jaxtyping import Int

from experiments.imdb.pairs import FACTORS, SHIFTS, Pairs
from experiments.imdb.vocabulary import PADDING_ID

__all__ = ["in_signed_order", "pair_rows"]

_HIGH_BIT = 1 << 31


def pair_rows(
    keras: Any, tokens: Any, pairs: Pairs, has_triples: bool = False
) -> tuple[list[Any], dict[Any, list[np.ndarray]]]:
    """Returns the row of each word's pair, and of its triple, and the weights of the layer that holds the hashes.

    Hashes are int32 here, which wraps around like uint32. The rows are those of `in_signed_order`.
    """
    ops = keras.ops
    if not len(pairs):
        return [ops.zeros_like(tokens)] * (1 + has_triples), {}
    before = _before(ops, tokens)
    first = _before(ops, before)
    is_pair = ops.logical_and(before != PADDING_ID, tokens != PADDING_ID)
    hashes = [(_mix(ops, before, tokens), is_pair)]
    if has_triples:
        is_triple = ops.logical_and(is_pair, first != PADDING_ID)
        hashes.append((_mix(ops, _mix(ops, first, before), tokens), is_triple))
    length = 1 << (len(pairs) - 1).bit_length()
    known = np.pad(np.sort(_as_signed(pairs)), (0, length - len(pairs)), constant_values=np.iinfo(np.int32).max)
    # Weights, since constants of operations are written into a model's config as text. They are halves of 16 bits in
    # float32, since a layer's weights of integers do not load on PyTorch.
    halves = keras.layers.Embedding(length, 2, trainable=False, dtype="float32", name="pair_hashes")
    weights = {halves: [np.stack([known >> 16, known & 0xFFFF], axis=1).astype(np.float32)]}

    def hash_at(place: Any) -> Any:
        both = ops.cast(halves(place), "int32")
        return both[..., 0] * (1 << 16) + both[..., 1]

    def row_of(hashed: Any, are_words: Any) -> Any:
        place, size = ops.zeros_like(hashed), length
        while size := size // 2:  # a binary search
            place = ops.where(hash_at(place + (size - 1)) < hashed, place + size, place)
        is_known = ops.logical_and(ops.equal(hash_at(place), hashed), place < len(pairs))
        return ops.where(ops.logical_and(are_words, is_known), place + 1, 0)

    return [row_of(*each) for each in hashes], weights


def _before(ops: Any, tokens: Any) -> Any:
    """Returns the id before each id."""
    return ops.pad(tokens, [[0, 0], [1, 0]])[:, :-1]


def _mix(ops: Any, one: Any, other: Any) -> Any:
    mixed = ops.bitwise_xor(one * _signed(FACTORS[0]), other * _signed(FACTORS[1]))
    mixed = ops.bitwise_xor(mixed, _shift_right(ops, mixed, SHIFTS[0])) * _signed(FACTORS[2])
    return ops.bitwise_xor(mixed, _shift_right(ops, mixed, SHIFTS[1]))


def in_signed_order(table: Any, pairs: Pairs) -> np.ndarray:
    """Returns a table of pairs with rows in the order of their hashes as int32; the row of no pair is zero."""
    table = np.array(table)
    table[0] = 0
    table[1 : len(pairs) + 1] = table[1 + np.argsort(_as_signed(pairs))]
    return table


def _as_signed(pairs: Pairs) -> Int[np.ndarray, "known"]:
    return np.array(pairs.hashes, np.uint32).astype(np.int32)


def _signed(constant: int) -> int:
    return constant - (1 << 32) if constant >= _HIGH_BIT else constant


def _shift_right(ops: Any, x: Any, bits: int) -> Any:
    """Shifts zeros in, whatever the sign."""
    shifted = ops.right_shift(x, bits)
    return ops.where(x < 0, shifted + (1 << 32 - bits), shifted)
