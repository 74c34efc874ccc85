import dataclasses

import pytest

from experiments.speed.measurement import Measurement
from experiments.speed.results import Point, Results
from experiments.speed.task import Task
from experiments.speed.terminal import footnotes, remarks, title


def measured(name: str, train: float, predict: float = 1.0, settings: str = "") -> Measurement:
    return Measurement(name, "1.0", "jax 1", "cpu", "", 2, train, train, predict, 1.0, [0.5], settings=settings)


@pytest.mark.parametrize(
    "results, lines",
    [
        ([measured("ours", 1.0), measured("plain", 2.0)], []),
        ([measured("ours", 1.05), measured("fused", 1.0)], []),
        (
            [measured("ours", 3.0), measured("fused", 3.0), measured("native", 1.5), measured("pytorch", 0.5)],
            ["In training, backend='auto' takes 2.00 times as long as backend='native'."],
        ),
        (
            [measured("ours", 1.0, 2.0), measured("plain", 2.0, 1.0)],
            ["In inference, backend='auto' takes 2.00 times as long as backend='plain'."],
        ),
        ([measured("ours", 2.0), measured("own_loop", 1.0), measured("linen", 1.0)], []),
        ([measured("fused", 2.0), measured("plain", 1.0)], []),
    ],
)
def test_where_auto_is_not_the_fastest_backend_it_is_said(results, lines):
    assert list(remarks(Point(Task(), results, {}))) == lines


def test_who_is_left_out_is_said_with_the_reason():
    assert list(remarks(Point(Task(), [], {"native": "it is not built"}))) == [
        "recurrent, native left out: it is not built"
    ]


def test_settings_are_listed_once_for_each_library():
    point = Point(Task(), [measured("ours", 1.0), measured("pytorch", 1.0, settings="2 threads, jemalloc")], {})
    found = list(footnotes(Results("imdb", "2026-01-02", {"processor": "A", "cores": 2}, [point, point])))
    assert found == ["PyTorch: 2 threads, jemalloc", "A, 2 cores, 2026-01-02; medians of up to 2 turns"]


def test_a_title_says_where_jax_starts_as_it_comes():
    assert "as it comes" not in title(Task())
    assert title(dataclasses.replace(Task(), start="default")).endswith("width 32 · JAX as it comes")
