import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from recurrent.training import (
    Sums,
    binary_cross_entropy,
    epoch_batches,
    exponential_average,
    init_state,
    make_train_steps,
    replicate,
)
from recurrent.training.batch_loss import _total
from recurrent.training.mesh import AXIS, make_mesh, shard


def train(experiment, counts):
    trainer, plan = experiment.trainer, experiment.plan
    batches = shard(epoch_batches(plan.seed, 0, 90, plan.batch_size, plan.num_shards), trainer.mesh, axis=1)
    examples = replicate(jax.tree.map(jnp.asarray, trainer.examples), trainer.mesh)
    key = replicate(jax.random.key(0), trainer.mesh)
    state = experiment.start
    for count in counts:
        state = trainer.steps(state, examples, batches, key, jnp.int32(count))
    return jax.device_get(state)


def reference(experiment, num_steps, skip=None):
    """Logistic regression with Keras' RMSprop in float64, the last batch on the mean of its own ten."""
    x, labels = (array.astype(np.float64) for array in experiment.examples)
    order = epoch_batches(experiment.plan.seed, 0, 90, 20, 1)
    weights, bias, square_w, square_b, loss_sum = np.zeros(3), 0.0, np.zeros(3), 0.0, 0.0
    for step, (rows, weight) in enumerate(zip(order.rows[:num_steps, 0], order.weight[:num_steps, 0], strict=True)):
        if step == skip:
            continue
        rows = rows[weight == 1]
        logits = x[rows] @ weights + bias
        loss_sum += np.logaddexp(0, -logits * (2 * labels[rows] - 1)).sum()
        error = 1 / (1 + np.exp(-logits)) - labels[rows]
        slope_w, slope_b = x[rows].T @ error / len(rows), error.mean()
        square_w, square_b = 0.9 * square_w + 0.1 * slope_w**2, 0.9 * square_b + 0.1 * slope_b**2
        weights -= 1e-2 * slope_w / np.sqrt(square_w + 1e-7)
        bias -= 1e-2 * slope_b / np.sqrt(square_b + 1e-7)
    return weights, bias, loss_sum


def test_steps_equal_the_reference_also_on_the_short_last_batch(experiment):
    state = train(experiment(), [5])
    weights, bias, loss_sum = reference(experiment(), 5)
    np.testing.assert_allclose(state.params["weights"], weights, rtol=1e-5)
    np.testing.assert_allclose(state.params["bias"], bias, rtol=1e-5)
    np.testing.assert_allclose(state.sums.loss, loss_sum, rtol=1e-6)
    assert (state.sums.weight, state.step) == (90, 5)


@pytest.mark.parametrize("counts", [[1, 1, 1, 1, 1], [2, 3], [0, 5]])
@pytest.mark.parametrize("num_devices", [1, 2])
def test_bits_depend_neither_on_dispatches_nor_on_devices(experiment, counts, num_devices):
    expected, found = train(experiment(), [5]), train(experiment(num_devices), counts)
    jax.tree.map(np.testing.assert_array_equal, expected, found)


@pytest.mark.parametrize("num_shards", [4, 10])
def test_bits_do_not_depend_on_whether_devices_add_all_shards_or_slices_of_them(experiment, num_shards):
    expected, found = (train(experiment(count, num_shards=num_shards), [5]) for count in (1, 2))
    jax.tree.map(np.testing.assert_array_equal, expected, found)
    assert found.sums.weight == 90


def test_devices_add_empty_arrays_of_a_dtype_of_their_own():
    local = {"ones": jnp.ones((4, 3)), "none": jnp.zeros((4, 0), jnp.complex64)}
    add = jax.shard_map(_total, mesh=make_mesh(2), in_specs=P(AXIS), out_specs=P(), check_vma=False)
    total = jax.jit(add)(local)
    assert (total["ones"].tolist(), total["none"].shape) == ([4.0] * 3, (0,))


def test_sums_start_anew_with_each_epoch(experiment):
    assert train(experiment(), [5, 1]).sums.weight == 20


@pytest.mark.fault(18)
def test_labels_of_another_shape_are_refused_rather_than_broadcast():
    with pytest.raises(ValueError, match=r"\(4, 1\)"):
        binary_cross_entropy(jnp.zeros((4, 1)), jnp.zeros(4), jnp.ones(4))


@pytest.mark.parametrize("num_devices", [1, 2])
def test_a_state_that_was_overwritten_is_refused(num_devices):
    """JAX would end the process with two devices."""
    mesh, optimizer = make_mesh(2, jax.devices()[:num_devices]), optax.sgd(0.1)
    steps = make_train_steps(
        lambda params, batch, key: Sums(batch.weight @ batch.examples * params, weight=1.0), optimizer, mesh
    )
    state = replicate(init_state(jnp.ones(()), optimizer, metrics=[]), mesh)
    batches = shard(epoch_batches(0, 0, 4, 4, num_shards=2), mesh, axis=1)
    arguments = replicate(jnp.ones(4), mesh), batches, jax.random.key(0), jnp.int32(1)
    assert int(steps(state, *arguments).step) == 1
    with pytest.raises(ValueError, match="was overwritten"):
        steps(state, *arguments)


def test_a_state_without_an_average_is_refused_where_steps_need_one():
    mesh, optimizer = make_mesh(1), optax.sgd(0.1)
    steps = make_train_steps(lambda *_: None, optimizer, mesh, average=exponential_average(0.9))
    with pytest.raises(ValueError, match="has_average=True"):
        steps(replicate(init_state(jnp.ones(()), optimizer), mesh), None, None, None, None)


def test_params_that_share_an_array_can_be_trained():
    one = jnp.ones(3)
    state = init_state({"a": one, "b": one}, optax.sgd(1e-2))
    jax.jit(lambda state: state._replace(step=state.step + 1), donate_argnums=0)(state)
