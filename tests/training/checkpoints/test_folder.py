import shutil

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from recurrent.training import RunDirectory
from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.checkpoints.hashes import Corrupt, hash_files
from recurrent.training.checkpoints.leaves import describe_format_1
from recurrent.training.checkpoints.restore import restore_weights
from recurrent.training.checkpoints.seal import Seal, write_seal


def plus(state, number):
    return state._replace(params=jax.tree.map(lambda leaf: leaf + number, state.params))


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "latest", keep=2)


def test_a_state_comes_back_bit_for_bit(experiment, checkpoints):
    state = plus(experiment().start, 1 / 3)
    checkpoints.save(7, state, {"why": "a test"})
    assert checkpoints.check(7).about == {"why": "a test"}
    restored = checkpoints.restore(7, experiment().start)
    assert type(restored) is type(state)
    jax.tree.map(np.testing.assert_array_equal, restored, state)
    params, manifest = restore_weights(checkpoints, state.params)
    assert manifest.step == 7
    jax.tree.map(np.testing.assert_array_equal, params, state.params)


def test_any_tree_of_arrays_can_be_saved(checkpoints):
    state = {"a": [jnp.arange(3), jnp.ones((2, 2), jnp.bfloat16)], "step": np.array(3)}
    checkpoints.save(1, state)
    restored = checkpoints.restore(1, jax.tree.map(jnp.zeros_like, {"a": state["a"]}) | {"step": np.array(0)})
    np.testing.assert_array_equal(restored["a"][0], [0, 1, 2])
    assert restored["a"][1].dtype == jnp.bfloat16
    assert restored["step"] == 3


def test_the_latest_are_kept(experiment, checkpoints):
    for step in (1, 2, 3):
        checkpoints.save(step, plus(experiment().start, step))
    assert checkpoints.steps() == [2, 3]
    assert sorted(path.name for path in checkpoints.seals.iterdir()) == ["2.json", "3.json"]
    checkpoints.delete(3)
    assert checkpoints.steps() == [2]
    assert checkpoints.leftovers() == []


def test_a_step_that_is_there_stays(experiment, checkpoints):
    checkpoints.save(1, experiment().start)
    checkpoints.save(1, plus(experiment().start, 1))
    np.testing.assert_array_equal(checkpoints.restore(1, experiment().start).params["weights"], np.zeros(3))


def test_a_copy_is_whole_and_takes_the_place_of_the_one_before(experiment, checkpoints, tmp_path):
    best = Checkpoints(tmp_path / "best", keep=1)
    for step in (1, 2):
        checkpoints.save(step, plus(experiment().start, step))
        best.copy_from(checkpoints, step, {"epoch": step})
    assert best.steps() == [2]
    assert best.check(2).about == {"epoch": 2}
    np.testing.assert_array_equal(best.restore(2, experiment().start).params["weights"], np.full(3, 2))


def test_a_damaged_step_is_not_copied(experiment, checkpoints, tmp_path):
    best = Checkpoints(tmp_path / "best", keep=1)
    checkpoints.save(1, experiment().start)
    (checkpoints.path(1) / "manifest.ocdbt").write_bytes(b"")
    with pytest.raises(Corrupt, match=r"manifest\.ocdbt was changed"):
        best.copy_from(checkpoints, 1, {})
    assert best.steps() == []


def test_what_kills_left_behind_is_cleared_away(experiment, checkpoints):
    checkpoints.save(1, experiment().start)
    for name in (f"2{ocp.utils.TMP_DIR_SUFFIX}3", "3.copied.tmp", "4.deleted.tmp"):
        shutil.copytree(checkpoints.path(1), checkpoints.folder / name)
    shutil.copy(checkpoints.seal_path(1), checkpoints.seal_path(4))
    (checkpoints.seals / ".5.json.77.tmp").write_text("{")
    assert checkpoints.steps() == [1]
    assert len(checkpoints.leftovers()) == 4
    checkpoints.clear_leftovers()
    assert [path.name for path in checkpoints.folder.iterdir()] == ["1"]
    assert [path.name for path in checkpoints.seals.iterdir()] == ["1.json"]


def test_a_checkpoint_restores_on_another_number_of_devices(experiment, checkpoints):
    checkpoints.save(1, plus(experiment(num_devices=2).start, 1))
    restored = checkpoints.restore(1, experiment(num_devices=1).start)
    assert restored.step.sharding.num_devices == 1
    np.testing.assert_array_equal(restored.params["weights"], np.ones(3))


def test_what_does_not_fit_is_refused_and_each_difference_listed(experiment, checkpoints, tmp_path):
    start = experiment().start
    checkpoints.save(1, start)
    other = start._replace(params={"weights": jnp.zeros(4), "bias": start.params["bias"].astype(jnp.bfloat16)})
    with pytest.raises(
        ValueError, match=r"params/bias: float32\[\] there, bfloat16\[\] now; params/weights: float32\[3\]"
    ):
        checkpoints.restore(1, other)
    with pytest.raises(ValueError, match=r"params/bias: float32\[\] there, absent now"):
        restore_weights(checkpoints, {"weights": jnp.zeros(3)})
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        restore_weights(Checkpoints(tmp_path / "elsewhere"), start.params)


def test_nan_is_not_saved(checkpoints):
    with pytest.raises(FloatingPointError, match="Step 1: \\['a'\\] holds NaN"):
        checkpoints.save(1, {"a": jnp.array([1.0, jnp.nan])})
    checkpoints.save(1, {"a": jnp.array([1.0, jnp.inf])})  # as in optimizers that look for a minimum


def save_format_1(checkpoints, step, state):
    """Saves as earlier revisions did: Orbax got the state's own tree."""
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
        checkpointer.save(checkpoints.path(step), args=ocp.args.StandardSave(jax.device_get(state)))
    seal = Seal(step, hash_files(checkpoints.path(step)), describe_format_1(state), {"why": "old"}, {}, format=1)
    write_seal(checkpoints.seal_path(step), seal)


def _is_params(node):
    return isinstance(node, dict) and "weights" in node


def renamed(state):
    """The params, and the optimizer's state for them, as one dict more deeply nested."""
    return jax.tree.map(
        lambda node: {"layer": {"w": node["weights"], "b": node["bias"]}} if _is_params(node) else node,
        state,
        is_leaf=_is_params,
    )


def former(path):
    return path.replace("layer/w", "weights").replace("layer/b", "bias")


@pytest.mark.parametrize("save", [Checkpoints.save, save_format_1])
def test_leaves_that_a_program_has_renamed_come_from_where_they_were(experiment, checkpoints, save):
    state = plus(experiment().start, 1 / 3)
    state = state._replace(optimizer_state=jax.tree.map(lambda leaf: leaf + 1, state.optimizer_state))
    save(checkpoints, 7, state)
    like = renamed(experiment().start)
    restored = checkpoints.restore(checkpoints.check(7).step, like, former)
    assert jax.tree.structure(restored) == jax.tree.structure(like)
    jax.tree.map(np.testing.assert_array_equal, restored, renamed(state))
    params, _ = restore_weights(checkpoints, like.params, former=former)
    jax.tree.map(np.testing.assert_array_equal, params, restored.params)
    with pytest.raises(
        ValueError, match=r"params/layer/b: absent there, float32\[\] now; .*params/weights: .* absent now"
    ):
        checkpoints.restore(7, like)
    checkpoints.save(8, restored)  # from now on they have the new names, which the function for the old ones leaves be
    jax.tree.map(np.testing.assert_array_equal, checkpoints.restore(8, like, former), restored)


def test_a_part_may_have_had_another_place(checkpoints):
    checkpoints.save(1, {"model": {"w": jnp.ones(2)}, "step": jnp.int32(1)})
    params, _ = restore_weights(checkpoints, {"w": jnp.zeros(2)}, former=lambda path: path.replace("params/", "model/"))
    np.testing.assert_array_equal(params["w"], [1, 1])


def test_a_leaf_that_earlier_states_did_not_have_keeps_its_value(checkpoints):
    checkpoints.save(1, {"old": jnp.ones(2)})
    like = {"old": jnp.zeros(2), "new": jnp.full(3, 7.0)}
    restored = checkpoints.restore(1, like, lambda path: None if path == "new" else path)
    jax.tree.map(np.testing.assert_array_equal, restored, {"old": np.ones(2), "new": np.full(3, 7.0)})


def test_a_run_whose_leaves_were_renamed_goes_on(tmp_path):
    with RunDirectory(tmp_path) as run:
        run.save(1, {"w": jnp.ones(2)})
    with RunDirectory(tmp_path) as run:
        resumed = run.resume({"layer": {"w": jnp.zeros(2)}}, former=lambda path: path.removeprefix("layer/"))
    np.testing.assert_array_equal(resumed.state["layer"]["w"], [1, 1])


def test_a_checkpoint_of_format_1_keeps_its_format_when_it_is_copied_and_sealed_anew(checkpoints, tmp_path):
    state, best = {"a": [jnp.arange(3), jnp.ones((2, 2), jnp.bfloat16)], "b": None}, Checkpoints(tmp_path / "best")
    save_format_1(checkpoints, 3, state)
    best.copy_from(checkpoints, 3, {"epoch": 1})
    best.reseal(3, {"epoch": 2})
    assert best.check(3).about == {"epoch": 2}
    restored = best.restore(3, jax.tree.map(jnp.zeros_like, state))
    assert restored["a"][1].dtype == jnp.bfloat16
    jax.tree.map(np.testing.assert_array_equal, restored, state)


def test_a_checkpoint_of_format_1_that_mixed_up_its_leaves_is_refused(checkpoints):
    save_format_1(checkpoints, 1, {"a.b": jnp.ones(2), "a": {"b": jnp.zeros(2)}})
    like = {"a.b": jnp.ones(2), "a": {"b": jnp.zeros(2)}}
    with pytest.raises(ValueError, match="leaves that Orbax wrote under one name"):
        checkpoints.restore(checkpoints.check(1).step, like)
