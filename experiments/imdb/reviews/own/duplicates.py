"""Texts that occur more than once, within a split and in two splits."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int, UInt

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
    found = {f"in_{name}": len(each) - len(np.unique(each)) for name, each in digests.items()}
    found["validation_in_train"] = int(np.isin(digests["validation"], digests["train"]).sum())
    if "test" in digests:
        known = np.concatenate([digests["train"], digests["validation"]])
        found["test_in_train"] = int(np.isin(digests["test"], known).sum())
    texts, labelled = (np.concatenate([each[name] for name in digests]) for each in (digests, labels))
    order = np.lexsort((labelled, texts))
    texts, labelled = texts[order], labelled[order]
    is_same = texts[1:] == texts[:-1]
    found["with_other_labels"] = len(np.unique(texts[1:][is_same & (labelled[1:] != labelled[:-1])]))
    return found
