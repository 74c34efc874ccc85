"""Optimizers that want more than the gradient: they see the mean loss of the whole batch, on every device the same."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from recurrent.training import (
    Batch,
    Sums,
    epoch_batches,
    init_state,
    make_mesh,
    make_train_steps,
    replicate,
    stream,
)
from recurrent.training.mesh import shard
from tests.training.conftest import forward, make_examples, objective

OPTIMIZERS = {
    "reduce_on_plateau": lambda: optax.chain(
        optax.sgd(0.5), optax.contrib.reduce_on_plateau(factor=0.5, patience=1, rtol=0.1)
    ),
    "lbfgs": lambda: optax.lbfgs(linesearch=optax.scale_by_zoom_linesearch(max_linesearch_steps=8)),
    "backtracking": lambda: optax.chain(
        optax.sgd(1.0), optax.scale_by_backtracking_linesearch(max_backtracking_steps=8, store_grad=True)
    ),
    "polyak": lambda: optax.polyak_sgd(max_learning_rate=0.5),
    "noisy": lambda: optax.noisy_sgd(0.1, key=jax.random.key(3)),
    "by hand": lambda: optax.inject_hyperparams(optax.adam)(0.1),
}


@pytest.fixture(autouse=True)
def standard_promotion(relaxed):
    """Optax does not survive the strict flags."""
    with relaxed():
        yield


def steps_of(optimizer, num_devices, num_steps=5, of=objective):
    mesh = make_mesh(2, jax.devices()[:num_devices])
    steps = make_train_steps(of, optimizer, mesh)
    state = replicate(init_state({"weights": jnp.zeros(3), "bias": jnp.zeros(())}, optimizer), mesh)
    examples = replicate(jax.tree.map(jnp.asarray, make_examples()), mesh)
    batches = shard(epoch_batches(0, 0, 90, 20, 2), mesh, axis=1)
    return jax.device_get(steps(state, examples, batches, replicate(stream(0, "noise"), mesh), jnp.int32(num_steps)))


def loop(optimizer, num_steps=5):
    """Optax' own way to use it, on one batch at a time."""
    examples, batches = make_examples(), epoch_batches(0, 0, 90, 20, 1)
    params = {"weights": jnp.zeros(3), "bias": jnp.zeros(())}
    optimizer = optax.with_extra_args_support(optimizer)
    state = optimizer.init(params)

    @jax.jit
    def step(params, state, x, labels):
        def mean(params):
            return jnp.mean(optax.sigmoid_binary_cross_entropy(forward(params, x), labels))

        value, grad = jax.value_and_grad(mean)(params)
        updates, state = optimizer.update(grad, state, params, value=value, grad=grad, value_fn=mean)
        return optax.apply_updates(params, updates), state

    for rows, weight in zip(batches.rows[:num_steps, 0], batches.weight[:num_steps, 0], strict=True):
        rows = rows[weight > 0]  # the last batch is a short one
        params, state = step(params, state, examples.x[rows], examples.labels[rows])
    return params


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_takes_the_steps_of_a_plain_loop_with_the_same_bits_on_one_and_two_devices(name):
    one, two = (steps_of(OPTIMIZERS[name](), num_devices) for num_devices in (1, 2))
    assert one.step == 5
    jax.tree.map(np.testing.assert_array_equal, *(each._replace(optimizer_state=None) for each in (one, two)))
    jax.tree.map(
        lambda *each: np.testing.assert_allclose(*each, rtol=1e-4, atol=1e-5), one.params, loop(OPTIMIZERS[name]())
    )


def test_value_fn_draws_the_noise_of_the_step_again():
    """The value at the params of the step is the loss that the step has: a line search compares like with like."""

    def noisy(params, batch: Batch, key):
        noise = jax.vmap(lambda number: jax.random.normal(jax.random.fold_in(key, number)))(batch.number)
        total = jnp.sum((params["weights"].sum() - noise) ** 2 * batch.weight)
        return Sums(total, jnp.zeros(()), jnp.sum(batch.weight))

    def init(params):
        return {"value": jnp.zeros(()), "again": jnp.zeros(()), "slope": jnp.zeros(3), "grad": jnp.zeros(3)}

    def update(updates, state, params=None, *, value, grad, value_fn):
        again, slope = jax.value_and_grad(value_fn)(params)
        seen = {"value": value, "again": again, "slope": slope["weights"], "grad": grad["weights"]}
        return jax.tree.map(lambda leaf: -0.1 * leaf, updates), seen

    states = [
        steps_of(optax.GradientTransformationExtraArgs(init, update), num_devices, 3, noisy).optimizer_state
        for num_devices in (1, 2)
    ]
    for seen in states:
        assert seen["value"] == seen["again"] > 0
        np.testing.assert_array_equal(seen["slope"], seen["grad"])
    jax.tree.map(np.testing.assert_array_equal, *states)


def test_what_training_does_not_have_is_named():
    def update(updates, state, params=None, *, temperature, **others):
        return updates, state

    optimizer = optax.chain(optax.sgd(0.1), optax.GradientTransformationExtraArgs(lambda params: (), update))
    with pytest.raises(
        ValueError, match="optimizer needs 'temperature', which training can't pass to it; it passes value"
    ):
        steps_of(optimizer, 1)


def test_a_mean_over_many_examples_is_taken_in_float32_also_for_narrow_params():
    """70,000 is beyond float16, whose gradient would become zero."""
    count = 70_000

    def narrow(params, batch: Batch, key):
        total = jnp.sum(params["w"] * jnp.float16(2**-10) * batch.weight.astype(jnp.float16))
        return Sums(total, jnp.zeros(()), jnp.sum(batch.weight))

    mesh = make_mesh(2)
    optimizer = optax.sgd(1.0)
    state = replicate(init_state({"w": jnp.zeros((), jnp.float16)}, optimizer), mesh)
    batches = shard(epoch_batches(0, 0, count, count, 2), mesh, axis=1)
    steps = make_train_steps(narrow, optimizer, mesh)
    state = steps(state, replicate(jnp.zeros(count), mesh), batches, replicate(stream(0, "noise"), mesh), jnp.int32(1))
    np.testing.assert_allclose(state.params["w"], -(2.0**-10), rtol=1e-2)
    assert state.params["w"].dtype == jnp.float16
