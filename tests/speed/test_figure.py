import dataclasses
from pathlib import Path

import pytest

from experiments.speed.figure import draw, make_figure
from experiments.speed.measurement import Measurement
from experiments.speed.results import Point, Results, read, write
from experiments.speed.task import Task
from tests.figures.geometry import faults

ROOT = Path(__file__).parents[2]
OF_POINTS = set(ROOT.glob("docs/speed/scaling*.json"))  # of another form: see test_scaling.py
MACHINE = {"processor": "A Processor", "cores": 2}


def result(name: str, train_seconds: float, memory_bytes: int | None = 3_000_000) -> Measurement:
    return Measurement(
        contestant=name,
        version="1.0",
        engine="jax 1",
        device="cpu",
        xla_flags="",
        turns=2,
        train_seconds=train_seconds,
        train_best_seconds=train_seconds,
        predict_seconds=train_seconds / 4,
        first_seconds=1.0,
        losses=[0.5],
        memory_bytes=memory_bytes,
    )


def grid(suite: str, field: str, **results: list[float | None]) -> Results:
    """Makes results at 10, 100 and 1000; a contestant without a time at a point is left out there."""
    points = []
    for index, size in enumerate((10, 100, 1000)):
        seconds = {name: times[index] for name, times in results.items()}
        present = [result(name, each) for name, each in seconds.items() if each]
        left_out = {name: "too slow" for name, each in seconds.items() if not each}
        points.append(Point(dataclasses.replace(Task(), **{field: size}), present, left_out))
    return Results(suite, "2026-01-02", MACHINE, points)


def lines(axes) -> dict[str, list[list[float]]]:
    return {line.get_color(): line.get_xydata().tolist() for line in axes.lines}


def test_a_grid_has_a_line_for_each_contestant_with_a_gap_where_it_failed():
    found = grid("width", "width", ours=[0.001, 0.002, 0.004], pytorch=[0.003, None, 0.009])
    train, predict, memory = make_figure(found).axes
    assert lines(train) == {
        "#d55e00": [[10, pytest.approx(1)], [100, pytest.approx(2)], [1000, pytest.approx(4)]],
        "#0072b2": [[10, pytest.approx(3)], [1000, pytest.approx(9)]],
    }
    assert lines(predict)["#d55e00"][2] == [1000, pytest.approx(1)]
    assert lines(memory)["#0072b2"] == [[10, pytest.approx(3)], [1000, pytest.approx(3)]]
    assert (train.get_xscale(), train.get_yscale()) == ("log", "log")
    assert [axes.get_title(loc="left") for axes in (train, memory)] == [
        "LSTM: training, ms a step",
        "LSTM: training, peak memory in MB",
    ]


def test_along_the_length_time_is_for_one_step_of_the_sequence():
    found = grid("length", "time", ours=[0.001, 0.002, 0.004])
    train = make_figure(found).axes[0]
    assert lines(train)["#d55e00"] == [[10, pytest.approx(100)], [100, pytest.approx(20)], [1000, pytest.approx(4)]]


def test_the_benchmark_has_a_row_of_dots_for_each_task():
    points = [
        Point(Task(lengths=lengths), [result("ours", 0.01), result("linen", seconds)], {})
        for lengths, seconds in (("reviews", 0.02), ("full", 0.03))
    ]
    figure = make_figure(Results("imdb-masked", "2026-01-02", MACHINE, points))
    train = figure.axes[0]
    assert lines(train) == {
        "#d55e00": [[pytest.approx(10), 0], [pytest.approx(10), 1]],
        "#008763": [[pytest.approx(20), 0], [pytest.approx(30), 1]],
    }
    assert [label.get_text() for label in train.get_yticklabels()] == ["LSTM, review lengths", "LSTM, full length"]
    assert figure.get_suptitle().splitlines() == [
        "The IMDB benchmark",
        "batch 128, 500 steps, width 32, padding treated as input; less is better",
        "A Processor, 2 cores, 2026-01-02",
    ]
    assert [text.get_text() for text in figure.legends[0].texts] == ["recurrent 1.0", "Flax linen 1.0"]


def test_what_was_not_measured_has_no_picture():
    points = [Point(Task(), [result("ours", 0.01, memory_bytes=None)], {})]
    assert len(make_figure(Results("width", "2026-01-02", MACHINE, points)).axes) == 2


def test_a_users_loop_has_a_row_for_each_size():
    sizes = ({"width": 32}, {"width": 256, "batch": 64, "time": 200})
    tasks = [Task(lengths="full", start="default", **each) for each in sizes]
    points = [Point(task, [result("own_loop", 0.01), result("linen", 0.02)], {}) for task in tasks]
    figure = make_figure(Results("default", "2026-01-02", MACHINE, points))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "LSTM, width 32,\nbatch 128, 500 steps",
        "LSTM, width 256,\nbatch 64, 200 steps",
    ]
    assert faults(figure) == []


def test_a_point_at_which_all_failed_can_be_drawn(tmp_path):
    draw(Results("batch", "2026-01-02", MACHINE, [Point(Task(), [], {"ours": "failed"})]), tmp_path / "a.svg")


def test_the_same_results_draw_the_same_bytes(tmp_path):
    found = grid("batch", "batch", ours=[0.001, 0.002, 0.004], pytorch=[0.003, None, 0.009])
    for name in ("one.svg", "other.svg"):
        draw(found, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"points": [{}]}', '{"suite": "x", "points": []}'])
def test_a_file_that_is_something_else_is_refused(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.json is not a file of results of .*scripts/speed"):
        read(tmp_path / "a.json")


def test_results_are_read_as_they_were_written_and_hold_ratios_to_the_fastest_peer(tmp_path):
    found = grid("batch", "batch", ours=[0.001, 0.5, 0.1], pytorch=[0.004, None, 0.2], linen=[0.002, None, 0.4])
    write(found, tmp_path / "new" / "batch.json")
    assert read(tmp_path / "new" / "batch.json") == found
    text = (tmp_path / "new" / "batch.json").read_text()
    assert '"train_ratio": 2.0' in text  # 0.002 / 0.001
    assert '"train_ratio": 0.5' in text
    assert '"train_ratio": null' in text  # no peer is left


@pytest.mark.parametrize("path", sorted(set(ROOT.glob("docs/speed/*.json")) - OF_POINTS), ids=lambda path: path.stem)
def test_no_text_of_the_committed_results_lies_on_data_or_is_too_small(path):
    assert faults(make_figure(read(path))) == []


def test_no_text_of_several_cells_lies_on_data():
    found = grid("width", "width", ours=[0.001, 0.002, 0.004], pytorch=[0.003, 0.002, 0.009])
    others = [
        point._replace(task=dataclasses.replace(point.task, cell=cell))
        for cell in ("gru", "simple_rnn")
        for point in found.points
    ]
    assert faults(make_figure(found._replace(points=[*found.points, *others]))) == []
