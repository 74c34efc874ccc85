import dataclasses
import json

import pytest

from experiments.memory.results import Flow, Point, Results, Run, begin, read, write
from experiments.memory.settings import Settings

ENVIRONMENT = {"versions": {"jax": "1"}, "processor": "A Processor", "cores": 2, "num_devices": 2, "device": "cpu"}


def point(cell="gru", length=50, solved_at=(100, None)):
    runs = [Run(seed, steps, 1.5, [0.5, 0.25, 0.01][: steps and 2]) for seed, steps in enumerate(solved_at)]
    flow = Flow([0.0, -0.5, None], -0.5, 0.6)
    endless = Flow([None, 0.0, 0.0], 0.0, None)
    return Point(cell, length, "2026-01-02", 1 / 6, 0.01, runs, {"hidden": flow}, {"hidden": endless})


def test_a_new_measurement_has_its_settings_and_no_points(tmp_path):
    settings = Settings(steps=7)
    found = begin(tmp_path / "adding.json", settings, 50, ENVIRONMENT)
    assert found.settings == {
        name: value for name, value in dataclasses.asdict(settings).items() if name not in ("cells", "lengths")
    }
    assert (found.points, found.seconds, found.environment) == ([], 0, ENVIRONMENT)


def test_it_goes_on_from_what_was_written_with_other_lengths_and_cells_too(tmp_path):
    path = tmp_path / "new" / "adding.json"
    found = begin(path, Settings(), 50, ENVIRONMENT)._replace(points=[point(), point("lstm", 400)], cpu_seconds=3.5)
    write(found, path)
    assert read(path) == found
    more = Settings(lengths=(1000,), cells=("layer_norm_gru",))
    again = begin(path, more, 50, ENVIRONMENT | {"cores": 64, "num_devices": 64})
    assert again == found
    assert again.find("lstm", 400) == point("lstm", 400)
    assert again.find("lstm", 50) is None
    assert list(path.parent.iterdir()) == [path]


def test_a_point_is_a_line_of_the_file(tmp_path):
    write(begin(tmp_path / "a", Settings(), 50, ENVIRONMENT)._replace(points=[point(), point("lstm")]), tmp_path / "a")
    lines = (tmp_path / "a").read_text().splitlines()
    assert [json.loads(line.rstrip(","))["cell"] for line in lines if line.startswith('{"cell"')] == ["gru", "lstm"]


def test_other_settings_are_refused_with_what_differs(tmp_path):
    path = tmp_path / "adding.json"
    write(begin(path, Settings(), 50, ENVIRONMENT), path)
    with pytest.raises(ValueError, match=r"settings.seeds: 2 there, 3 now; settings.width: 32 there, 16 now"):
        begin(path, Settings(width=16, seeds=3), 50, ENVIRONMENT)
    with pytest.raises(ValueError, match=r"environment.versions.jax: 1 there, 2 now. Use another --output"):
        begin(path, Settings(), 50, ENVIRONMENT | {"versions": {"jax": "2"}})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"points": [{}]}', '{"points": 3}', "\x00"])
def test_a_file_that_is_something_else_is_refused(text, tmp_path):
    path = tmp_path / "adding.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"adding.json is not a file of results of .*scripts/memory"):
        begin(path, Settings(), 50, ENVIRONMENT)


@pytest.mark.parametrize("solved_at, is_solved", [((100, 50), True), ((100, None), False), ((None, None), False)])
def test_a_point_is_solved_if_every_seed_has_solved_it(solved_at, is_solved):
    assert point(solved_at=solved_at).is_solved is is_solved
    assert isinstance(Results({}, {}, 50, 0.0, 0.0, [point()]).find("gru", 50), Point)
