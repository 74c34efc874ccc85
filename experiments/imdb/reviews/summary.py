"""What is computed from all reviews of own data, kept beside their ids, so that a start need not read them all."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from experiments.imdb.reviews.encoded import Encoded
from experiments.imdb.reviews.facts import Rows, count_unknown, fingerprint
from experiments.imdb.reviews.order import Order, duplicates_of

__all__ = ["Summary", "summarise", "summary_of"]


class Summary(NamedTuple):
    """Numbers of a data set under one vocabulary size and one split."""

    fingerprint: str
    num_unknown: int
    duplicates: dict[str, int] | None  # None for the IMDB reviews


def summarise(rows: Mapping[str, Rows], encoded: Encoded, order: Order) -> Summary:
    """Returns the summary; reads all ids."""
    return Summary(fingerprint(rows, encoded.classes), count_unknown(rows), duplicates_of(encoded, order))


def summary_of(folder: Path, vocabulary_size: int, validation_share: float, compute: Callable[[], Summary]) -> Summary:
    """Returns the summary that is kept in the folder of the ids, or computes and keeps it."""
    from recurrent.training.atomic import write_text  # here, since it imports JAX

    path = folder / f"summary-{vocabulary_size}-{validation_share!r}.json"
    try:
        content = json.loads(path.read_bytes())
        duplicates = {str(name): int(count) for name, count in content["duplicates"].items()}
        return Summary(str(content["fingerprint"]), int(content["num_unknown"]), duplicates)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        found = compute()
        with suppress(OSError):  # a folder that can't be written to: computed again next time
            write_text(path, json.dumps(found._asdict()) + "\n")
        return found
