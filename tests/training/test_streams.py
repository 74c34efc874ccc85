"""Streams of keys: apart from each other, and the same under every global setting of JAX."""

import contextlib
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import recurrent
from recurrent.training import (
    Batch,
    RunDirectory,
    Sums,
    draw_weights,
    epoch_batches,
    fit,
    init_state,
    make_mesh,
    make_train_steps,
    replicate,
    stream,
)
from recurrent.training.mesh import shard
from tests.training.conftest import make_experiment

SEEDS = (0, 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**40, 2**63, 2**64 - 1)


def data(key):
    return tuple(np.asarray(jax.random.key_data(key)).tolist())


def test_no_two_uses_share_a_key():
    """The keys of 500 epochs' orders, 500 steps' noise and the weights, for each seed and between seeds."""
    keys = []
    for seed, name in itertools.product(SEEDS, ("order", "noise")):
        of_use = stream(seed, name)
        keys += map(
            tuple,
            np.asarray(
                jax.random.key_data(jax.vmap(lambda n, k=of_use: jax.random.fold_in(k, n))(jnp.arange(500)))
            ).tolist(),
        )
    for seed in SEEDS:
        keys += [data(stream(seed, name)) for name in ("order", "noise", "weights", "anything else")]
        keys.append(data(stream(seed, "order", version=1)))
    assert len(set(keys)) == len(keys) == len(SEEDS) * 1005


def test_all_64_bits_of_a_seed_count():
    orders = {epoch_batches(seed, 0, 50, 10, 1).rows.tobytes() for seed in SEEDS}
    assert len(orders) == len(SEEDS)
    np.testing.assert_array_equal(
        epoch_batches(np.uint64(2**63), 0, 50, 10, 1).rows, epoch_batches(2**63, 0, 50, 10, 1).rows
    )


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, True, np.bool_(True), "1", None])
def test_a_seed_that_can_not_be_honoured_is_refused(seed):
    for use in (lambda: stream(seed, "noise"), lambda: epoch_batches(seed, 0, 50, 10, 1)):
        with pytest.raises(ValueError, match=r"seed must be an integer from 0 to .*, not"):
            use()


def test_version_1_is_the_one_key_that_earlier_runs_used():
    assert data(stream(7, "order", version=1)) == data(jax.random.key(7)) == data(stream(7, "noise", version=1))
    expected = jax.random.permutation(jax.random.fold_in(jax.random.key(7), 3), 50)
    np.testing.assert_array_equal(epoch_batches(7, 3, 50, 10, 1, streams=1).rows.reshape(-1), expected)


@contextlib.contextmanager
def configured(name, value):
    before = getattr(jax.config, name)
    jax.config.update(name, value)
    try:
        yield
    finally:
        jax.config.update(name, before)


SETTINGS = {
    "another generator": [lambda: jax.default_prng_impl("rbg"), lambda: configured("jax_random_seed_offset", 5)],
    "not partitionable": [lambda: jax.threefry_partitionable(False), lambda: jax.legacy_prng_key("error")],
    "64 bits": [lambda: jax.enable_x64(True), lambda: jax.default_device(jax.devices()[-1])],
    "what JAX is lenient with": [
        lambda: jax.numpy_dtype_promotion("standard"),
        lambda: jax.numpy_rank_promotion("allow"),
        lambda: jax.debug_key_reuse(False),
    ],
}


@contextlib.contextmanager
def under(setting):
    with contextlib.ExitStack() as stack:
        for each in SETTINGS[setting]:
            stack.enter_context(each())
        yield


def drawn():
    """Everything that a seed decides: an order, the noise of three steps, initial weights of a cell."""
    mesh = make_mesh(2)

    def objective(params, batch: Batch, key):
        def noise(number):
            one, two, three = jax.random.split(jax.random.fold_in(key, number), 3)
            drawn = jax.random.uniform(one, (4,), jnp.float32) + jax.random.normal(two, (4,), jnp.float32)
            return jnp.where(jax.random.bernoulli(three, jnp.float32(0.5), (4,)), drawn, -drawn)

        total = jnp.sum((jax.vmap(noise)(batch.number) @ params["w"]) * batch.weight)
        return Sums(total, jnp.zeros((), jnp.float32), jnp.sum(batch.weight))

    optimizer = optax.sgd(1.0)
    batches = epoch_batches(3, 1, 11, 4, 2)
    steps = make_train_steps(objective, optimizer, mesh)
    state = replicate(init_state({"w": jnp.zeros(4, jnp.float32)}, optimizer), mesh)
    examples = replicate(jnp.zeros(11, jnp.float32), mesh)
    state = steps(state, examples, shard(batches, mesh, 1), replicate(stream(3, "noise"), mesh), jnp.int32(3))
    weights = draw_weights(3, lambda key: recurrent.lstm.init(key, 3, 4, chrono_steps=9))
    return jax.tree.map(np.asarray, (batches, state.params, weights))


@pytest.fixture(scope="module")
def expected():
    return drawn()


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_global_setting_changes_order_noise_or_weights(expected, setting):
    with under(setting):
        found = drawn()
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert np.all(expected[1]["w"])  # there was noise


@pytest.mark.parametrize("setting", ["another generator", "not partitionable"])
def test_a_run_that_stops_in_mid_epoch_resumes_with_the_same_bits_under_another_generator(tmp_path, setting):
    def go(path, stop_at=None):
        made = make_experiment(epochs=1)
        with RunDirectory(path) as run:
            resumed = run.resume(made.start)
            seen = []
            for event in fit(made.trainer, resumed.state, made.plan, run, lambda: len(seen) == stop_at):
                seen.append(event)
            return resumed.step, jax.device_get(run.latest.restore(run.latest.steps()[-1], made.start))

    whole = go(tmp_path / "whole")[1]
    go(tmp_path / "torn", stop_at=2)
    with under(setting):
        step, torn = go(tmp_path / "torn")
    assert 0 < step < 5
    jax.tree.map(np.testing.assert_array_equal, torn, whole)


def test_an_older_run_keeps_the_order_that_it_began_with(tmp_path):
    """Its checkpoint doesn't name a version of streams."""
    made = make_experiment(epochs=1)
    with RunDirectory(tmp_path) as run:
        run._files.streams = 1
        events = fit(made.trainer, made.start, made.plan, run)
        list(itertools.islice(events, 2))
        (step,) = run.latest.steps()
        about = run.latest.check(step).about
        del about["streams"]
        run.latest.reseal(step, about)
    read = []
    steps = made.trainer.steps

    def spy(state, examples, batches, key, count):
        read.append((batches.rows, key))
        return steps(state, examples, batches, key, count)

    with RunDirectory(tmp_path) as run:
        list(fit(made.trainer._replace(steps=spy), run.resume(made.start).state, made.plan, run))
        assert run.latest.check(5).about["streams"] == 1
    rows, key = read[0]
    np.testing.assert_array_equal(rows, epoch_batches(0, 0, 90, 20, 2, streams=1).rows)
    assert data(key) == data(jax.random.key(0))


def test_a_setting_that_changes_noise_is_refused_on_resume(tmp_path):
    with RunDirectory(tmp_path) as run:
        run.begin({})
    refusal = pytest.raises(ValueError, match=r"settings\.jax_enable_x64: False there, True now")
    with jax.enable_x64(True), RunDirectory(tmp_path) as run, refusal:
        run.begin({})
    with jax.default_matmul_precision("highest"), RunDirectory(tmp_path) as run:
        (warning,) = run.begin({})
    assert "jax_default_matmul_precision: None before, highest now" in warning
