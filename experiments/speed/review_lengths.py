"""Makes `review_lengths.npy`: the numbers of words of the benchmark's reviews.

It has the 25,000 training reviews in Keras' order (20,000 for training, then 5,000 for validation), with start id,
truncated to 500 words as in the benchmark, as uint16. To make the file again from the prepared data:

    python -m experiments.speed.review_lengths DATA_DIR [SOURCE]
"""

import sys
from pathlib import Path

import numpy as np
from jaxtyping import Int

from experiments.imdb.reviews.dataset import AnySource, find_source, load_source
from experiments.speed.task import PADDING_ID, REVIEW_LENGTHS, REVIEW_TIME

__all__ = ["measure"]


def measure(source: AnySource, data_dir: Path) -> Int[np.ndarray, "reviews"]:
    """Returns the numbers of words of the training reviews, at most 500 each."""
    data = load_source(source, data_dir, vocabulary_size=10_000, sequence_length=REVIEW_TIME)
    tokens = np.concatenate([data.train.tokens, data.validation.tokens])
    return (tokens != PADDING_ID).sum(axis=1).astype(np.uint16)


if __name__ == "__main__":
    name = sys.argv[2] if len(sys.argv) > 2 else "wheel"
    np.save(REVIEW_LENGTHS, measure(find_source(name), Path(sys.argv[1])))
