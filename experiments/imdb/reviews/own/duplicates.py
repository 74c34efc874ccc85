"""Texts that occur more than once, within a split and in two splits."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt

__all__ = ["count_duplicates"]


def count_duplicates(
    digests: Mapping[str, UInt[np.ndarray, "_"]], labels: Mapping[str, Int[np.ndarray, "_"]]
) -> dict[str, int]:
    """Counts duplicates by the hashes of the exact texts; splits that are absent have no counts.

    Args:
        digests: of the texts of train, validation and test.
        labels: their classes.

    Returns:
        in_SPLIT: texts of which the same split has an earlier copy.
        SPLIT_in_train: validation texts that training has too; test texts that training or validation has too.
        with_other_labels: different texts that occur with more than one label.
    """
    members = _members(digests, labels)
    found = {f"in_{name}": members.num_texts(split) - members.num_groups(split) for split, name in enumerate(digests)}
    names = list(digests)
    for name, known in (("validation", ("train",)), ("test", ("train", "validation"))):
        if name in digests:
            found[f"{name}_in_train"] = members.num_texts_in(names.index(name), [names.index(each) for each in known])
    found["with_other_labels"] = members.num_groups_with_several_labels()
    return found


class _Members(NamedTuple):
    """The texts that occur more than once, sorted by text; a group of equal texts begins at each of `starts`."""

    split: Int[np.ndarray, "texts"]
    label: Int[np.ndarray, "texts"]
    starts: Int[np.ndarray, "groups"]

    def num_texts(self, split: int) -> int:
        """Counts the texts of a split."""
        return int(np.count_nonzero(self.split == split))

    def num_groups(self, split: int) -> int:
        """Counts the groups with a text of a split."""
        return int(np.count_nonzero(self._has([split])))

    def num_texts_in(self, split: int, known: Sequence[int]) -> int:
        """Counts the texts of a split whose group has a text of other splits."""
        of_split = np.add.reduceat((self.split == split).astype(np.int64), self.starts) if len(self.starts) else 0
        return int(np.sum(of_split * self._has(known)))

    def num_groups_with_several_labels(self) -> int:
        """Counts the groups with more than one label."""
        if not len(self.starts):
            return 0
        least, most = np.minimum.reduceat(self.label, self.starts), np.maximum.reduceat(self.label, self.starts)
        return int(np.count_nonzero(least != most))

    def _has(self, splits: Sequence[int]) -> Bool[np.ndarray, "groups"]:
        return (
            np.logical_or.reduceat(np.isin(self.split, splits), self.starts) if len(self.starts) else np.zeros(0, bool)
        )


def _members(digests: Mapping[str, UInt[np.ndarray, "_"]], labels: Mapping[str, Int[np.ndarray, "_"]]) -> _Members:
    """Sorts all texts once, and keeps those that have a copy: of many texts these are few."""
    texts = np.concatenate(list(digests.values()))
    order = np.argsort(texts)
    texts = texts[order]
    is_same = texts[1:] == texts[:-1]
    has_copy = np.concatenate([is_same, [False]]) | np.concatenate([[False], is_same])
    texts, rows = texts[has_copy], order[has_copy]
    del order, is_same, has_copy
    ends = np.cumsum([len(each) for each in digests.values()])
    label = np.concatenate([labels[name] for name in digests])[rows]
    is_start = np.concatenate([[True], texts[1:] != texts[:-1]])[: len(texts)]
    return _Members(np.searchsorted(ends, rows, side="right"), label, np.flatnonzero(is_start))
