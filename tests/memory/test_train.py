"""Training against a loop in Python that takes the same steps one by one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import recurrent
from experiments.memory import train as training
from experiments.memory.contestants import CONTESTANTS
from experiments.memory.model import init_params
from experiments.memory.settings import Settings
from experiments.memory.tasks import TASKS, Adding, draw_batch
from experiments.memory.train import WINDOW, keys, train
from experiments.names import look_up
from recurrent.training.signals import Stopped


@pytest.fixture(autouse=True)
def standard_promotion():
    """Optax' Adam raises a number to the power of an integer."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def loop(settings, cell, length, seed, num_steps):
    """The same training with the plain backend, the whole sequence's outputs and a loss of its own."""
    task, drawn = TASKS[settings.task](length), keys(seed)
    params = init_params(drawn.params, CONTESTANTS[cell], task, settings.width)
    adam = optax.adam(settings.learning_rate)
    state, losses = adam.init(params), []

    def objective(params, inputs, targets):
        outputs, _ = recurrent.run(recurrent.CELLS[CONTESTANTS[cell].cell], params.cell, inputs, backend="plain")
        answers = jnp.einsum("bth,ho->bto", outputs, params.kernel) + params.bias[None, None]
        answers = answers[:, -targets.shape[1] :]
        if settings.task == "adding":
            return jnp.mean((answers[..., 0] - targets) ** 2)
        right = jax.nn.one_hot(targets, answers.shape[-1])
        return -jnp.mean(jnp.sum(right * jax.nn.log_softmax(answers), axis=-1))

    differentiate = jax.jit(jax.value_and_grad(objective))
    for step in range(num_steps):
        loss, gradient = differentiate(params, *draw_batch(task, drawn.examples, step, settings.batch))
        norm = np.sqrt(sum(float(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(gradient)))
        scale = np.float32(min(1, settings.clip_norm / norm))
        gradient = jax.tree.map(partial(jnp.multiply, scale), gradient)
        updates, state = adam.update(gradient, state)
        params = optax.apply_updates(params, updates)
        losses.append(float(loss))
    return params, losses


@pytest.mark.slow
@pytest.mark.parametrize("task, cell, length", [("adding", "lstm_chrono", 9), ("copy", "simple_rnn", 5)])
def test_a_window_is_the_steps_of_a_loop(task, cell, length, monkeypatch):
    monkeypatch.setattr(training, "WINDOW", 2)
    settings = Settings(task=task, steps=3, clip_norm=0.1, learning_rate=0.01, width=8, batch=4)
    found = train(settings, cell, length, seed=2)
    params, losses = loop(settings, cell, length, 2, 3)
    np.testing.assert_allclose(found.losses, [np.mean(losses[:2]), losses[2]], rtol=1e-5)
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4), found.after, params
    )
    assert found.solved_at is None


RECALL = Settings(task="recall", width=16, batch=32, steps=2000)


@pytest.mark.slow
def test_training_ends_with_the_first_window_that_solves_the_task_on_every_device_with_the_same_bits():
    told = []
    one, other = (_on(device, lambda *at: told.append(at)) for device in jax.devices())
    *earlier, last = one.losses
    assert last < TASKS["recall"](3).solved_below <= min(earlier)
    assert one.solved_at == WINDOW * len(one.losses) < RECALL.steps
    assert told == 2 * [(WINDOW * (index + 1), loss) for index, loss in enumerate(one.losses)]
    assert (one.before.kernel != one.after.kernel).any()
    assert one.losses == other.losses
    jax.tree.map(np.testing.assert_array_equal, one.after, other.after)


def _on(device, on_window, **hooks):
    with jax.default_device(device):
        return train(RECALL, "simple_rnn", 3, 0, on_window=on_window, **hooks)


def test_no_setting_of_jax_changes_what_is_drawn():
    settings = Settings(task="recall", width=4, batch=4, steps=2)
    expected = train(settings, "simple_rnn", 3, seed=0)
    with jax.default_prng_impl("rbg"), jax.threefry_partitionable(False):
        found = train(settings, "simple_rnn", 3, seed=0)
    assert found.losses == expected.losses
    jax.tree.map(np.testing.assert_array_equal, found.before, expected.before)


def test_chrono_spreads_the_gates_over_the_tasks_lag():
    params = init_params(jax.random.key(0), CONTESTANTS["lstm_chrono"], Adding(200), 64)
    _, forget, _, _ = np.split(np.asarray(params.cell.bias), 4)
    assert 1 <= np.exp(forget).min() < 40
    assert 160 < np.exp(forget).max() <= 199
    params = init_params(jax.random.key(0), CONTESTANTS["gru_chrono"], Adding(200), 64)
    assert 160 < np.exp(params.cell.bias[0, :64]).max() <= 199
    params = init_params(jax.random.key(0), CONTESTANTS["lstm"], Adding(200), 64)
    np.testing.assert_array_equal(params.cell.bias[64:128], 1)


def test_training_stops_between_windows_when_it_is_asked_to():
    answers, told = iter([False, True]), []
    with pytest.raises(Stopped):
        _on(jax.devices()[0], lambda *at: told.append(at), should_stop=lambda: next(answers))
    assert [step for step, _ in told] == [WINDOW]


def test_a_loss_that_is_no_number_ends_the_training(monkeypatch):
    monkeypatch.setattr(training, "_make_advance", lambda *settings: lambda carry, *steps: (carry, float("nan")))
    with pytest.raises(FloatingPointError, match="simple_rnn at length 3: the loss is nan after 50 steps"):
        train(RECALL, "simple_rnn", 3, 0)


def test_every_cell_of_the_library_may_take_part():
    assert {contestant.cell for contestant in CONTESTANTS.values()} == set(recurrent.CELLS)


@pytest.mark.parametrize("name", ["simple_rnn", "SimpleRNN", "simple-rnn"])
def test_a_cell_is_found_however_it_is_written(name):
    assert look_up("cell", name, CONTESTANTS) == "simple_rnn"


@pytest.mark.parametrize("name, meant", [("lsmt", "lstm"), ("gru-crono", "gru_chrono"), ("rnn", "simple_rnn")])
def test_a_name_that_is_not_known_is_told_with_the_one_that_may_be_meant(name, meant):
    with pytest.raises(ValueError, match=f"there is no cell '{name}'. Did you mean '{meant}'"):
        look_up("cell", name, CONTESTANTS)
