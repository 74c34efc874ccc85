"""Wide cells over a model axis: values and gradients on 2 x 4 devices, and the collectives of a step."""

import json
import sys

import jax
import numpy as np
import pytest

import recurrent
from recurrent.collectives import read_collectives
from recurrent.sharding import Split, join_units, split_units
from tests import forked
from tests.split_cells import BATCH, CELLS, HIDDEN, PARTS, TIME

LOCAL_BATCH = BATCH // 2


@pytest.fixture(scope="module")
def examined(tmp_path_factory):
    code = "import jax; jax.config.update('jax_num_cpu_devices', 8); from tests.split_cells import main; main()"
    done = forked.run([sys.executable, "-c", code], cwd=tmp_path_factory.mktemp("split"))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_split_units_train_as_one_device_does(examined, name):
    assert examined[name]["split"] < 1e-5
    assert examined[name]["d_x"] < 1e-5
    assert examined[name]["parts"] == [recurrent.sharding.NUM_GATES[recurrent.CELLS[name]] * HIDDEN // PARTS]


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_xla_splits_kernels_in_the_cells_own_order(examined, name):
    assert examined[name]["by_xla"] < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_a_step_exchanges_the_hidden_state_alone(examined, name):
    of_all, own = 4 * LOCAL_BATCH * HIDDEN, 4 * LOCAL_BATCH * HIDDEN // PARTS
    expected = [["all-gather", of_all], ["all-gather", of_all], ["reduce-scatter", own]]
    assert sorted(examined[name]["in_steps"]) == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_the_native_backend_is_left_where_params_are_split(examined, name):
    assert "split over devices" in examined[name]["native"]


@pytest.mark.slow
def test_explain_names_the_collectives_of_a_step(examined):
    own, of_all = 4 * LOCAL_BATCH * HIDDEN // PARTS, 4 * LOCAL_BATCH * HIDDEN
    found = [tuple(each) for each in examined["lstm"]["explained"]]
    assert found.count(("collective-permute", own, 2, [TIME])) == 4 * (PARTS - 1)  # gates change their devices
    assert found.count(("all-gather", of_all, PARTS, [TIME])) == 1
    words = f"forward: 12 x collective-permute of {own} bytes among 2 devices, in a loop: {TIME} times"
    assert words in examined["lstm"]["in_words"]


@pytest.mark.parametrize("name", CELLS)
def test_columns_come_back(name):
    cell = recurrent.CELLS[name]
    params = cell.init(jax.random.key(0), 3, 8)
    split = split_units(cell, params, 4)
    jax.tree.map(np.testing.assert_array_equal, join_units(cell, split, 4), params)
    blocks = np.split(np.asarray(params.recurrent_kernel), recurrent.sharding.NUM_GATES[cell], axis=1)
    first = np.concatenate([block[:, :2] for block in blocks], axis=1)
    np.testing.assert_array_equal(split.recurrent_kernel[:, : first.shape[1]], first)


def test_what_cannot_be_split_is_refused():
    params = recurrent.lstm.init(jax.random.key(0), 3, 8)
    with pytest.raises(ValueError, match=r"hidden size \(8\) must be a multiple of num_parts \(3\)"):
        split_units(recurrent.lstm, params, 3)
    with pytest.raises(ValueError, match="and not of other cells"):
        Split(recurrent.layer_norm_lstm, "model")


PROGRAM = """HloModule jit_f
%add (x: f32[], y: f32[]) -> f32[] {
  ROOT %add.1 = f32[] add(%x, %y)
}
%inner (p: f32[4,8]) -> f32[4,32] {
  %start = (f32[4,8]{1,0}, f32[4,32]{1,0}) all-gather-start(%p), replica_groups=[2,4]<=[8], dimensions={1}
  ROOT %done = f32[4,32]{1,0} all-gather-done(%start)
}
%outer (p: f32[4,8]) -> f32[4,8] {
  %loop = f32[4,8] while(%p), condition=%add, body=%inner, backend_config={"known_trip_count":{"n":"25"}}
  %sent = bf16[4,8]{1,0} collective-permute(%p), source_target_pairs={{0,1}}
}
ENTRY %main (p: f32[4,8]) -> f32[4,8] {
  %steps = f32[4,8] while(%p), condition=%add, body=%outer
  %sums = (f32[16]{0}, f32[]) all-reduce(%p, %p), replica_groups={{0,1},{2,3}}, to_apply=%add
}
"""


def test_a_programs_text_is_counted():
    gathered, sent, summed = read_collectives(PROGRAM)
    assert (gathered.kind, gathered.num_bytes, gathered.num_devices) == ("all-gather", 512, 4)
    assert (gathered.loops, gathered.times, gathered.sent_bytes) == ((None, 25), None, 384)
    assert (sent.num_bytes, sent.loops, sent.sent_bytes) == (64, (None,), 64)
    assert (summed.num_bytes, summed.num_devices, summed.times, summed.sent_bytes) == (68, 2, 1, 68)
    assert str(summed) == "all-reduce of 68 bytes among 2 devices, once"
