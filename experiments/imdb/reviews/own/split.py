"""The validation split of own data: a seeded share of each class."""

import numpy as np
from jaxtyping import Int

__all__ = ["VALIDATION_SHARE", "check_share", "stratified_split"]

VALIDATION_SHARE = 0.2
_SEED = 113  # of the data, not of the run: all runs share their validation texts


def stratified_split(
    labels: Int[np.ndarray, "examples"], share: float = VALIDATION_SHARE, seed: int = _SEED
) -> tuple[Int[np.ndarray, "rows"], Int[np.ndarray, "rows"]]:
    """Returns the rows for training and for validation, in the order of the source.

    Of a class with n texts, round(share * n) go to validation, but at least one, and at least one stays.

    Raises:
        ValueError: the share is not between 0 and 1.

    >>> train, validation = stratified_split(np.array([0, 0, 0, 0, 1, 1]), share=0.25)
    >>> len(train), len(validation)
    (4, 2)
    """
    check_share(share)
    generator = np.random.RandomState(seed)  # legacy: its draws are the same in every version of NumPy
    is_validation = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        most = max(len(rows) - 1, 1)
        chosen = min(max(round(share * len(rows)), 1), most)
        is_validation[generator.permutation(rows)[:chosen]] = True
    return np.flatnonzero(~is_validation), np.flatnonzero(is_validation)


def check_share(share: float) -> None:
    """Raises ValueError for a share that leaves one of the splits empty."""
    if not 0 < share < 1:
        raise ValueError(f"validation_share must lie between 0 and 1, not {share}.")
