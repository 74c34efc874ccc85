"""`review_lengths.npy`: how many words the reviews of the IMDB benchmark have.

The 25,000 training reviews in Keras' order (the first 20,000 train, the last 5,000 validate), start sign included, cut
to 500 words as the benchmark cuts them; uint16. To make the file again from the prepared data:

    python -m experiments.speed.review_lengths DATA_DIR [SOURCE]
"""

import sys
from pathlib import Path

import numpy as np
from jaxtyping import Int

from experiments.imdb.reviews.dataset import find_source, load_source
from experiments.imdb.reviews.keras_npz import KerasFile
from experiments.imdb.reviews.source import Source
from experiments.speed.task import PADDING_ID, REVIEW_LENGTHS, REVIEW_TIME

__all__ = ["measure"]


def measure(source: Source | KerasFile, data_dir: Path) -> Int[np.ndarray, "reviews"]:
    """Counts the words of the training reviews, each cut to its last 500."""
    data = load_source(source, data_dir, vocabulary_size=10_000, sequence_length=REVIEW_TIME)
    tokens = np.concatenate([data.train.tokens, data.validation.tokens])
    return (tokens != PADDING_ID).sum(axis=1).astype(np.uint16)


if __name__ == "__main__":
    name = sys.argv[2] if len(sys.argv) > 2 else "wheel"
    np.save(REVIEW_LENGTHS, measure(find_source(name), Path(sys.argv[1])))
