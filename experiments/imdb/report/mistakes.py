"""The reviews with the largest loss in any run."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.imdb.training.metrics import losses, sigmoid

__all__ = ["Mistake", "worst_mistakes"]


class Mistake(NamedTuple):
    """A review, and the run in which its loss is largest."""

    example: int  # its number in the split
    label: int
    run: str
    probability: float  # of "positive", in that run
    loss: float  # in that run, in nats
    num_wrong: int  # runs that classify it wrongly


def worst_mistakes(
    logits: Mapping[str, Float[np.ndarray, "examples"]], labels: Float[np.ndarray, "examples"], count: int = 20
) -> list[Mistake]:
    """Returns the misclassified reviews with the largest loss in any run, each review once.

    Args:
        logits: of each run.
        labels: of the reviews.
        count: the most reviews to return.
    """
    names, table = list(logits), np.stack([each.astype(np.float64) for each in logits.values()])
    loss = losses(table, labels)  # [run, example]
    is_wrong = (table > 0) != (labels > 0.5)
    worst = loss.argmax(axis=0)
    order = np.argsort(-loss.max(axis=0), kind="stable")
    return [
        Mistake(
            example=int(example),
            label=int(labels[example]),
            run=names[worst[example]],
            probability=float(sigmoid(table[worst[example], example])),
            loss=float(loss[worst[example], example]),
            num_wrong=int(is_wrong[:, example].sum()),
        )
        for example in order[:count]
        if is_wrong[worst[example], example]
    ]
