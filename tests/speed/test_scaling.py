"""The suite `scaling`: a tiny measurement, the fit against times that the model made, and the words around them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.speed.process import ContestantError
from experiments.speed.scaling import measure as measuring
from experiments.speed.scaling.document import constants, measured_table, planned_table
from experiments.speed.scaling.figure import make_figure
from experiments.speed.scaling.measure import measure
from experiments.speed.scaling.model import Rates, columns, fit, predict, residuals
from experiments.speed.scaling.plan import CLUSTERS, PARAM_BYTES, WAYS, step_parts, sum_parts, texts_needed
from experiments.speed.scaling.points import Point, caveat, cores_of, points
from experiments.speed.scaling.results import Measured, Scaling, read, write
from experiments.speed.scaling.terminal import footnotes, row, table
from experiments.speed.task import Task
from tests.figures.geometry import faults

ROOT = Path(__file__).parents[2]
TINY = Task(batch=4, time=6, width=3, vocabulary=20, steps=2)
RATES = Rates(shard=2e-3, example=1e-4, memory_byte=2e-10, near_latency=4e-4, far_latency=1e-3, link_byte=5e-10)


def ignore(what: str) -> None:
    pass


def made(rates: Rates, num_cores: int = 2) -> Scaling:
    """Returns the points with the times of the model, which has no noise."""
    found = []
    for point in points(128):
        seconds = sum(predict(rates, point, PARAM_BYTES, num_cores))
        gathered = {"kind": "all-gather", "num_bytes": 1, "num_devices": point.devices, "loops": [None]}
        gathered["sent_bytes"] = point.shards * PARAM_BYTES * (point.devices - 1) // point.devices
        found.append(
            Measured(point, seconds, 0.9 * seconds, 1.2 * seconds, 5, "native", PARAM_BYTES, [gathered], [0.5])
        )
    machine = {"processor": "A Processor", "cores": num_cores}
    return Scaling("2026-01-02", machine, "1.0", caveat(num_cores), Task(), found)


@pytest.fixture(scope="module")
def measured() -> list[Measured]:
    """Devices of one process and processes of one device, with two shards and with four."""
    pairs = [Point(2, 1, 2, 4), Point(2, 2, 2, 4), Point(4, 1, 4, 4), Point(2, 2, 4, 4)]
    return measure(pairs, TINY, 2, ignore, limit_seconds=200)


def test_processes_and_devices_compute_the_same_bits_in_the_same_collectives(measured):
    for devices, processes in (measured[:2], measured[2:]):
        assert devices.losses == processes.losses
        assert len(devices.losses) == 1 + devices.turns == 3
    params = 4 * (20 * 3 + (3 + 3 + 1) * 4 * 3 + 3 + 1)
    sums = params + 3 * 4  # and those of loss, weight and accuracy
    for each in measured:
        assert 0 < each.low_seconds <= each.seconds <= each.high_seconds
        assert each.param_bytes == params
        own_shards = each.point.shards // each.point.devices
        found = [(one["kind"], one["num_devices"], one["num_bytes"]) for one in each.collectives]
        if each.point.shards == 2:
            assert found == [("all-gather", 2, 2 * sums)]
            assert each.received_bytes == sums
        else:
            even = sums + -sums % (4 * each.point.devices)
            slices = ("all-to-all", each.point.devices, own_shards * even)
            assert sorted(found) == [("all-gather", each.point.devices, even), slices]


def test_results_are_read_as_they_were_written(measured, tmp_path):
    found = made(RATES)._replace(points=measured, task=TINY)
    write(found, tmp_path / "scaling.json")
    again = read(tmp_path / "scaling.json")
    assert again._replace(points=[]) == found._replace(points=[])
    for one, other in zip(again.points, measured, strict=True):
        assert one._replace(collectives=[]) == other._replace(collectives=[])
        assert one.received_bytes == other.received_bytes
    (tmp_path / "other.json").write_text('{"suite": "imdb"}')
    with pytest.raises(ValueError, match=r"other\.json is not a file of .*speed --suite scaling"):
        read(tmp_path / "other.json")


def test_a_process_that_fails_is_named_and_the_others_end():
    with pytest.raises(ContestantError, match=r"(?s)process 0 of 2 processes, 3 shards.*must be a multiple of the 2"):
        measure([Point(2, 2, 3, 6)], TINY, 1, ignore, limit_seconds=200)


def test_points_with_other_losses_have_no_times(monkeypatch):
    asked = []

    class Crew:
        def __init__(self, point, *arguments):
            self.point, self.introduction = point, {"backend": "native", "param_bytes": 1, "collectives": []}

        def introduce(self):
            pass

        def train(self, turn):
            asked.append((self.point.devices, turn))
            return {"seconds": 1.0, "loss": 0.25 if self.point.devices == 4 and turn == 2 else 0.5}

        def stop(self, is_failed=False):
            asked.append("stop")

    monkeypatch.setattr(measuring, "Crew", Crew)
    pair = [Point(1, 1, 8, 8), Point(2, 1, 8, 8)]
    assert [each.losses for each in measure(pair, TINY, 2, ignore, 9)] == [[0.5] * 3] * 2
    assert asked == [(1, 0), (2, 0), (2, 1), (1, 1), (1, 2), (2, 2), "stop", "stop"]
    measure([*pair, Point(4, 1, 4, 8)], TINY, 2, ignore, 9)  # of other shards, so of other bits
    with pytest.raises(ContestantError, match="4 devices, 8 shards, batch 8 and 1 device, 8 shards, batch 8 do not"):
        measure([*pair, Point(4, 1, 8, 8)], TINY, 2, ignore, 9)


def test_each_device_has_a_core_as_far_as_there_are_cores():
    assert cores_of(Point(4, 1, 8, 8), 0, list(range(16))) == [0, 1, 2, 3]
    assert cores_of(Point(8, 1, 8, 8), 0, [5, 7]) == [5, 7]
    assert [cores_of(Point(4, 4, 8, 8), index, [5, 7, 9]) for index in range(4)] == [[5], [7], [9], [5]]


def test_the_columns_of_a_point_have_a_closed_form():
    point = Point(devices=4, processes=4, shards=8, batch=128)
    # Two collectives of two hops. Moved: a slice of 2 shards twice, the sums, and 5 times the params by the optimizer.
    assert columns(point, 100, num_cores=2) == (4, 64, 2 * (4 + 1 + 5) * 100, 0, 4, 2 * 3 / 4 * 300)
    assert columns(point, 100, num_cores=16) == (2, 32, 1000, 0, 4, 3 / 4 * 300)
    pair = point._replace(devices=2, processes=1, shards=2)  # slices would bring no fewer bytes
    assert columns(pair, 100, num_cores=2) == (1, 64, 900, 1, 0, 0)
    alone = point._replace(devices=1, processes=1)
    assert columns(alone, 100, num_cores=2) == (8, 128, 2100, 0, 0, 0)


@pytest.mark.parametrize("num_cores", [1, 2, 16])
def test_the_fit_finds_the_constants_that_made_the_times(num_cores):
    found = made(RATES, num_cores)
    assert fit(found) == pytest.approx(RATES, rel=1e-6)
    assert residuals(found, fit(found)) == pytest.approx([0] * len(found.points), abs=1e-9)
    assert min(fit(made(RATES._replace(shard=0.0, far_latency=0.0), num_cores))) >= 0


def test_the_sums_over_many_gpus_have_closed_forms():
    infiniband, ethernet = CLUSTERS
    assert PARAM_BYTES == 1_313_412
    moved, seconds = sum_parts(ethernet, 512, "gather")
    assert moved == 2 * 512 * PARAM_BYTES
    assert seconds == pytest.approx(448 * 3.4e-6 + 63 * 9.6e-6 + 511 * PARAM_BYTES / 12.5e9)
    _, seconds = sum_parts(ethernet, 512, "tree")
    rings = 7 / 8 * PARAM_BYTES / 450e9 + 63 / 64 * PARAM_BYTES / 12.5e9
    assert seconds == pytest.approx(2 * (3 * 3.4e-6 + 6 * 9.6e-6 + rings))
    assert all(sum_parts(infiniband, 1, way)[1] == 0 for way in WAYS)
    for cluster in CLUSTERS:
        assert sum(step_parts(cluster, 512, "tree")) < sum(step_parts(cluster, 512, "gather"))
    with pytest.raises(ValueError, match="12 GPUs are not whole hosts of 8"):
        sum_parts(ethernet, 12, "gather")


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/speed/scaling*.json")), ids=lambda path: path.stem)
def test_the_page_has_the_committed_figures(path):
    """`python -m experiments.speed.scaling.document FILE` writes the tables of the page."""
    found, page = read(path), (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
    rates = fit(found)
    for lines in (measured_table(found, rates), constants(rates)):
        assert "\n".join(lines) in page
    worst = max(map(abs, residuals(found, rates)))
    assert f"errs by at most {worst:.0%}".replace("%", " %") in page
    assert found.caveat in " ".join(page.split())
    assert faults(make_figure(found)) == []


def test_the_page_has_what_the_model_says_of_gpus():
    page = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
    assert "\n".join(planned_table()) in page
    assert f"{round(texts_needed(CLUSTERS[0]), -3):,.0f} texts" in page
    assert f"{sum_parts(CLUSTERS[0], 512, 'gather')[0] / 2e6:.0f} MB" in page
    assert f"{2 * (7 * CLUSTERS[0].near_latency + 63 * CLUSTERS[0].far_latency) * 1e3:.1f} ms of latency" in page


def test_a_row_has_sizes_times_the_models_error_and_what_is_received():
    found = made(RATES)
    alone, _, _, eight, *_ = found.points
    assert row(alone._replace(seconds=0.02, low_seconds=0.0195, high_seconds=0.021), -0.041) == (
        *("1", "1", "8", "128", "20.0", "19.5–21.0", "−4 %", "0"),
    )
    assert row(eight, 0.004)[-2:] == ("0 %", "1 x 9.19")
    assert table(found, RATES).row_count == len(found.points)
    words = list(footnotes(found, RATES))
    assert "a shard 2.00 ms" in words[1]
    assert "memory of a core 5.0 GB/s" in words[1]
    assert words[2] == caveat(2)
    assert words[3].startswith(
        "A Processor, 2 cores, jax 1.0, 2026-01-02, backend native; medians of 5 interleaved turns"
    )


def test_no_text_of_the_figure_lies_on_data_or_is_too_small():
    for num_cores in (2, 16):
        assert faults(make_figure(made(RATES, num_cores))) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--batch", "12"), "--batch must be a multiple of the 8 shards, not 12."),
        (("--values", "3"), "--suite scaling has our LSTM and its own points: no --contestants and --values."),
    ],
)
def test_what_the_suite_cannot_do_is_one_line(arguments, words):
    command = [sys.executable, "-m", "experiments.speed", "--suite", "scaling", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "120"})
    assert (done.returncode, done.stderr) == (1, f"scripts/speed: {words}\n")
