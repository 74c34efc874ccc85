import math
from pathlib import Path

import pytest

from experiments.memory.figure import draw, make_figure
from experiments.memory.results import Flow, Point, Results, Run, read
from experiments.memory.tables import flows, footnote, solved
from tests.figures.geometry import faults

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENT = {"processor": "A Processor", "cores": 2, "device": "cpu"}
SETTINGS = {"task": "adding", "seeds": 2, "steps": 200, "width": 32, "batch": 64}


def falling(slope):
    return Flow([lag * slope for lag in range(10)], slope, round(math.log10(0.5) / slope, 2))


MEMORY = Flow([None, *[0.0] * 9], 0.0, None)


def point(cell, length, *losses):
    runs = [Run(seed, 50 * len(each) if each[-1] < 0.01 else None, 1.0, each) for seed, each in enumerate(losses)]
    before, after = {"hidden": falling(-0.25)}, {"hidden": falling(-0.5)}
    if cell == "lstm":
        before, after = before | {"memory": falling(-0.125)}, after | {"memory": MEMORY}
    return Point(cell, length, "2026-01-02", 1 / 6, 0.01, runs, before, after)


STUCK, QUICK, SLOW = [0.4, 0.2, 0.2, 0.2], [0.4, 0.005], [0.2, 0.1, 0.001]
FOUND = Results(
    SETTINGS,
    ENVIRONMENT,
    50,
    61.0,
    100.0,
    [
        point("simple_rnn", 50, QUICK, STUCK),
        point("lstm", 50, QUICK, SLOW),
        point("simple_rnn", 100, STUCK, STUCK),
        point("lstm", 100, QUICK, QUICK),
        point("lstm", 200, STUCK, STUCK),
    ],
)


def test_the_table_says_when_each_cell_had_solved_it():
    assert [row.replace(" ", "") for row in solved(FOUND)] == [
        "|stepsuntilsolved|50|100|200|",
        "|------------------|------------|-------|-------|",
        "|SimpleRNN|1of2seeds|(0.200)|-|",
        "|LSTM|125|100|(0.200)|",
    ]


def test_the_table_of_gradients_has_slope_and_half_life_of_each_state_at_the_greatest_length():
    assert [row.replace(" ", "") for row in flows(FOUND)[2:]] == [
        "|LSTM|hidden|-0.2500|1.2|-0.5000|0.6|",
        "|LSTM|memory|-0.1250|2.4|0.0000|none|",
    ]


def test_losses_are_a_mean_over_seeds_that_stay_where_they_were_solved():
    figure = make_figure(FOUND)
    _, at_200, *_ = figure.axes
    at_100 = figure.axes[0]
    assert [axes.get_title(loc="left") for axes in (at_100, at_200)] == ["loss at 100 steps", "loss at 200 steps"]
    lines = {line.get_color(): line.get_xydata().tolist() for line in at_100.lines if len(line.get_xdata()) > 1}
    assert lines["#a85400"] == [
        [50, 0.4],
        [100, pytest.approx(0.2)],
        [150, pytest.approx(0.2)],
        [200, pytest.approx(0.2)],
    ]
    levels = {line.get_linestyle(): line.get_ydata()[0] for line in at_100.lines if line.get_linestyle() in ("--", ":")}
    assert levels == {"--": 1 / 6, ":": 0.01}
    uneven = FOUND._replace(points=[point("gru", 50, QUICK, SLOW)])
    (line, *_) = make_figure(uneven).axes[0].lines
    assert line.get_xydata().tolist() == [
        [50, pytest.approx(0.3)],
        [100, pytest.approx(0.0525)],
        [150, pytest.approx(0.003)],
    ]


def test_a_box_is_filled_where_all_seeds_solved_it_and_says_so_where_they_did_not():
    panel = make_figure(FOUND).axes[2]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["SimpleRNN", "LSTM"]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["50", "100", "200"]
    filled = {(round(box.get_x()), round(box.get_y())) for box in panel.patches if box.get_fill()}
    assert filled == {(0, 1), (1, 1)}  # LSTM at 50 and 100
    assert len({box.get_width() for box in panel.patches}) == 1  # no stubs
    assert {(int(text.get_position()[0]), int(text.get_position()[1])): text.get_text() for text in panel.texts} == {
        (0, 0): "1 of 2\nseeds only",
        (1, 0): "not solved\nloss 0.200",
        (0, 1): "125",
        (1, 1): "100",
        (2, 1): "not solved\nloss 0.200",
    }


def test_the_key_says_what_lines_bands_and_marks_are():
    figure = make_figure(FOUND)
    (key,) = figure.subfigs[0].legends
    assert [text.get_text() for text in key.texts] == [
        "SimpleRNN",
        "LSTM",
        "line: mean of 2 seeds",
        "band: lowest to highest of 2 seeds",
        "large mark: solved by all seeds",
        "memoryless baseline: 0.167",
        "solved below: 0.01",
    ]
    at_100 = figure.axes[0]
    (band,) = [band for band in at_100.collections if band.get_facecolor()[0, 2] > 0.5]  # LSTM's, in blue
    assert band.get_datalim(at_100.transData).intervaly.tolist() == [pytest.approx(0.005), pytest.approx(0.4)]
    alone = FOUND._replace(points=[point("gru", 50, STUCK)])
    (key,) = make_figure(alone).subfigs[0].legends
    assert [text.get_text() for text in key.texts] == ["GRU", "memoryless baseline: 0.167", "solved below: 0.01"]


def test_gradients_run_against_time_in_a_picture_before_and_one_after():
    before, after = make_figure(FOUND).axes[3:]
    hidden, memory = after.lines
    assert hidden.get_xydata().tolist() == [[10 - lag, pytest.approx(10 ** (-0.5 * lag))] for lag in range(10)]
    assert memory.get_xydata().tolist() == [[9 - lag, 1.0] for lag in range(9)]
    assert (hidden.get_linestyle(), memory.get_linestyle()) == ("-", "--")
    assert [text.get_text() for text in after.get_legend().texts] == ["LSTM, h: -0.5000, 0.6", "LSTM, c: +0.0000, none"]
    assert [text.get_text() for text in before.get_legend().texts] == ["LSTM, h: -0.2500, 1.2", "LSTM, c: -0.1250, 2.4"]
    assert after.get_yscale() == "log"


def test_the_footnote_names_settings_machine_date_and_time():
    assert footnote(FOUND) == (
        "width 32, batch 64, 2 seeds, up to 200 steps · A Processor, 2 cores, cpu · 2026-01-02 · "
        "61 s by the clock, 100 s of processor time"
    )


def test_the_same_results_draw_the_same_bytes(tmp_path):
    for name in ("one.svg", "other.svg"):
        draw(FOUND, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()


def test_one_point_alone_can_be_drawn(tmp_path):
    draw(FOUND._replace(points=FOUND.points[:1]), tmp_path / "one.png")
    assert (tmp_path / "one.png").stat().st_size > 10_000


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/memory/*.json")), ids=lambda path: path.stem)
def test_no_text_of_the_committed_results_lies_on_data_or_is_too_small(path):
    assert read(path).settings["task"] == path.stem
    assert path.with_suffix(".svg").exists()
    assert faults(make_figure(read(path))) == []


def test_no_text_of_uneven_results_lies_on_data():
    assert faults(make_figure(FOUND)) == []
