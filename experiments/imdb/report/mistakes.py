"""The reviews that runs were most wrong about."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.imdb.training.metrics import sigmoid

__all__ = ["Mistake", "worst_mistakes"]


class Mistake(NamedTuple):
    """A review, and the run that was most wrong about it."""

    example: int  # its number in the split
    label: int
    run: str
    probability: float  # of "positive", as that run said
    loss: float  # of that run, in nats
    num_wrong: int  # runs that answered wrongly


def worst_mistakes(
    logits: Mapping[str, Float[np.ndarray, "examples"]], labels: Float[np.ndarray, "examples"], count: int = 20
) -> list[Mistake]:
    """Returns the reviews with the largest loss of any run, each review once; all of them wrong answers.

    Args:
        logits: those of each run.
    """
    names, table = list(logits), np.stack([each.astype(np.float64) for each in logits.values()])
    towards_wrong = np.where(labels > 0.5, -table, table)  # [run, example]
    loss = np.logaddexp(0, towards_wrong)
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
