"""The reviews with the largest loss in any run."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from experiments.imdb.training import class_metrics
from experiments.imdb.training.metrics import losses, sigmoid

__all__ = ["Mistake", "worst_mistakes"]


class Mistake(NamedTuple):
    """A review, and the run in which its loss is largest."""

    example: int  # its number in the split
    label: int
    run: str
    probability: float  # of the second of two classes, or of the label among several, in that run
    loss: float  # in that run, in nats
    num_wrong: int  # runs that classify it wrongly
    predicted: int  # by that run


def worst_mistakes(
    logits: Mapping[str, Float[np.ndarray, "examples *classes"]],
    labels: Shaped[np.ndarray, "examples"],
    count: int = 20,
) -> list[Mistake]:
    """Returns the misclassified reviews with the largest loss in any run, each review once.

    Args:
        logits: of each run.
        labels: of the reviews.
        count: the most reviews to return.
    """
    names, table = list(logits), np.stack([each.astype(np.float64) for each in logits.values()])
    if table.ndim == 2:  # [run, example]
        loss, predicted, probability = losses(table, labels), table > 0, sigmoid(table)
        is_wrong = predicted != (labels > 0.5)
    else:
        numbers = labels.astype(np.int64)
        loss = np.stack([class_metrics.losses(each, numbers) for each in table])
        predicted, probability = table.argmax(axis=2), np.exp(-loss)
        is_wrong = predicted != numbers
    worst = loss.argmax(axis=0)
    order = np.argsort(-loss.max(axis=0), kind="stable")
    return [
        Mistake(
            example=int(example),
            label=int(labels[example]),
            run=names[worst[example]],
            probability=float(probability[worst[example], example]),
            loss=float(loss[worst[example], example]),
            num_wrong=int(is_wrong[:, example].sum()),
            predicted=int(predicted[worst[example], example]),
        )
        for example in order[:count]
        if is_wrong[worst[example], example]
    ]
