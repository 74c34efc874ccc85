"""Settings that a recipe leaves open, decided for the devices and processes of a run."""

import dataclasses
import json

import pytest

import recurrent.native
from experiments.imdb.runs.start import settle
from experiments.imdb.training.recipes import Recipe


@pytest.mark.parametrize(
    ("batch_size", "num_accelerators", "num_processes", "num_shards"),
    [(128, 0, 1, 2), (127, 0, 1, 1), (128, 8, 1, 8), (128, 3, 1, 2), (128, 2, 2, 2), (129, 3, 3, 3), (120, 16, 4, 12)],
)
def test_shards_divide_the_batch_among_all_processes(tmp_path, batch_size, num_accelerators, num_processes, num_shards):
    recipe = settle(Recipe(batch_size=batch_size, backend="fused"), tmp_path, num_accelerators, num_processes)
    assert recipe.num_shards == num_shards


@pytest.mark.skipif(bool(why := recurrent.native.why_not()), reason=str(why))
def test_the_native_backend_takes_one_shard_on_all_cores_of_a_process(tmp_path):
    recipe = Recipe(backend="native")
    assert settle(recipe, tmp_path, 0).num_shards == 1
    assert settle(recipe, tmp_path, 0, 2).num_shards == 2


def test_a_batch_that_processes_can_not_share_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"--batch-size must be a multiple of the number of processes \(3\), not 128"):
        settle(Recipe(batch_size=128), tmp_path, 3, 3)


def test_a_run_keeps_the_segments_that_it_began_with(tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps(dataclasses.asdict(Recipe(num_shards=2, segment_size=25))))
    assert settle(Recipe(), tmp_path, 0).segment_size == 25
    assert settle(Recipe(segment_size=50), tmp_path, 0).segment_size == 50
    assert settle(Recipe(), tmp_path / "other", 0).segment_size is None
