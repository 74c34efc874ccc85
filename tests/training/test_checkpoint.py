import shutil

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from recurrent.training.checkpoint import Checkpoints, restore_params


def at_step(state, step):
    return state._replace(
        step=jax.device_put(jnp.int32(step), state.step.sharding),
        params=jax.tree.map(lambda leaf: leaf + step, state.params),
    )


def test_a_state_comes_back_bit_for_bit(experiment, tmp_path):
    state = at_step(experiment().start, 7)
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(state)
    restored = checkpoints.restore(experiment().start, 7)
    assert type(restored) is type(state)
    jax.tree.map(np.testing.assert_array_equal, restored, state)
    params, step = restore_params(tmp_path, state.params)
    assert step == 7
    jax.tree.map(np.testing.assert_array_equal, params, state.params)


def test_the_latest_are_kept_and_later_ones_can_be_dropped(experiment, tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 3):
        checkpoints.save(at_step(experiment().start, step))
    assert checkpoints.steps() == [2, 3]
    checkpoints.drop_after(2)
    assert checkpoints.steps() == [2]
    checkpoints.save(at_step(experiment().start, 3))
    assert checkpoints.steps() == [2, 3]


def test_what_a_killed_save_left_behind_is_cleared_away(experiment, tmp_path):
    Checkpoints(tmp_path, keep=2).save(at_step(experiment().start, 1))
    unfinished = tmp_path / f"2{ocp.utils.TMP_DIR_SUFFIX}"
    shutil.copytree(tmp_path / "1", unfinished)
    assert Checkpoints(tmp_path, keep=2).steps() == [1]
    assert not unfinished.exists()


def test_a_checkpoint_restores_on_another_number_of_devices(experiment, tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(at_step(experiment(num_devices=2).start, 1))
    restored = checkpoints.restore(experiment(num_devices=1).start, 1)
    assert restored.step.sharding.num_devices == 1
    np.testing.assert_array_equal(restored.params["weights"], np.ones(3))


def test_what_does_not_fit_is_refused(experiment, tmp_path):
    start = experiment().start
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(at_step(start, 1))
    with pytest.raises(ValueError, match="can't be restored"):
        checkpoints.restore(start._replace(params={"weights": jnp.zeros(4)}), 1)
    with pytest.raises(FileNotFoundError, match="no checkpoint yet"):
        restore_params(tmp_path / "elsewhere", start.params)
