"""Lines about an evaluation, for two classes and for many."""

import numpy as np

from experiments.imdb.commands.show.metrics import metrics_text
from experiments.imdb.training.metrics import Confusion, Metrics, as_plain, measure

METRICS = Metrics(5000, 0.3, 0.88, 0.87, 0.89, 0.95, 0.02, Confusion(2300, 231, 400, 2069))


def test_two_classes_have_a_table_of_their_names():
    assert metrics_text("validation", 471, METRICS) == [
        "validation: 5,000 reviews, checkpoint of step 471",
        "loss               0.3000",
        "accuracy           0.8800   95 % interval 0.8700 to 0.8900",
        "AUC                0.9500",
        "calibration error  0.0200",
        "                 predicted negative   predicted positive",
        "actual negative               2,300                  231",
        "actual positive                 400                2,069",
    ]
    assert metrics_text("test", 1, METRICS, ("ham", "a very long name of spam"))[-3:] == [
        "                         predicted ham   predicted a very long nam…",
        "actual ham                       2,300                          231",
        "actual a very long nam…            400                        2,069",
    ]


def several(num_classes):
    draw = np.random.default_rng(0)
    labels = draw.integers(0, num_classes, 3000)
    logits = draw.normal(size=(3000, num_classes))
    logits[np.arange(3000), labels] += 2
    return measure(logits, labels)


def test_some_classes_have_a_table_and_macro_f1():
    metrics = several(3)
    lines = metrics_text("test", 1, metrics, ("a", "bcd", "e\x1b[31m"))
    assert lines[3] == f"macro F1           {metrics.macro_f1:.4f}"
    (aa, ab, ac), *_ = metrics.confusion
    assert lines[5:8] == [
        "predicted, from left to right:",
        "                 a   bcd   e [31m",
        f"actual a       {aa:>3}   {ab:>3}   {ac:>6}",
    ]


def test_many_classes_have_the_pairs_that_are_confused_most():
    metrics = several(20)
    counts = np.array(metrics.confusion)
    np.fill_diagonal(counts, 0)
    lines = metrics_text("test", 1, metrics, tuple(f"class{number}" for number in range(20)))
    assert len(lines) == 5 + 10
    actual, predicted = np.unravel_index(counts.argmax(), counts.shape)
    assert lines[5] == f"{counts.max():>8,}  actual class{actual}, predicted class{predicted}"


def test_metrics_are_plain_in_json():
    assert as_plain(METRICS)["confusion"] == METRICS.confusion._asdict()
    assert as_plain(several(3))["confusion"] == several(3).confusion
