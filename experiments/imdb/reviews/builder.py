"""The reviews as a TensorFlow Datasets builder, with one configuration for each source and the same features.

TFDS' own imdb_reviews needs TensorFlow to prepare, and shuffles. This one needs no TensorFlow, and keeps Keras' order.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from experiments.imdb.reviews.archive import Archive
from experiments.imdb.reviews.download import fetch
from experiments.imdb.reviews.source import OnProgress, Review, Source, ignore_progress

__all__ = ["Builder", "digest"]

_CITATION = """@inproceedings{maas-2011,
  author = {Maas, Andrew L. and Daly, Raymond E. and Pham, Peter T. and Huang, Dan and Ng, Andrew Y. and Potts, Chris},
  title = {Learning Word Vectors for Sentiment Analysis},
  booktitle = {Proceedings of the 49th Annual Meeting of the Association for Computational Linguistics},
  year = {2011}, pages = {142--150}
}"""


def digest(reviews: Sequence[Review]) -> str:
    """Returns the SHA-256 of texts and labels, in their order."""
    sha256 = hashlib.sha256()
    for review in reviews:
        content = review.text.encode("utf-8")
        sha256.update(b"%d %d " % (review.label, len(content)) + content)
    return sha256.hexdigest()


class Builder(tfds.core.GeneratorBasedBuilder):
    """Prepares the reviews of one source; the name of the source is that of the configuration."""

    name = "imdb_reviews_in_keras_order"
    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, *, source: Source, data_dir: Path, on_progress: OnProgress = ignore_progress) -> None:
        """Stores the arguments; nothing is prepared yet."""
        self._source, self._on_progress = source, on_progress
        config = tfds.core.BuilderConfig(name=source.name, description=type(source).__name__)
        super().__init__(config=config, data_dir=data_dir, file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="The IMDB reviews of Maas et al. (2011) in the order in which Keras stores them.",
            features=tfds.features.FeaturesDict(
                {"text": tfds.features.Text(), "label": tfds.features.ClassLabel(names=["neg", "pos"])}
            ),
            supervised_keys=("text", "label"),
            disable_shuffling=True,
            citation=_CITATION,
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        source = self._source
        if isinstance(source, Archive):
            source = fetch(source, Path(dl_manager.download_dir), self._on_progress)
        splits = source.read(self._on_progress)
        self.info.metadata.update({split: digest(reviews) for split, reviews in splits.items()})
        return {split: self._generate_examples(reviews) for split, reviews in splits.items()}

    def _generate_examples(self, reviews: Sequence[Review]) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, review in enumerate(reviews):
            if number % 1000 == 0:
                self._on_progress("preparing", number, len(reviews))
            yield number, {"text": review.text, "label": review.label}

    # `on_progress` reports progress; these two would print.

    def _log_download_bytes(self) -> None:
        pass

    def _log_download_done(self) -> None:
        pass
