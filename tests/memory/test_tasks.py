"""Tasks against NumPy: where marks and signals lie, what solves them, and what whoever remembers nothing can reach."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.memory.tasks import TASKS, Adding, CopyMemory, DelayedRecall, TemporalOrder, draw_batch
from experiments.memory.tasks.task import cross_entropy

NUM_SEQUENCES = 4000
LENGTHS = {"adding": 31, "copy": 17, "recall": 23, "order": 37}
CERTAIN = 1e4


compiled = jax.jit(draw_batch, static_argnums=(0, 3))


def draw(task, size=NUM_SEQUENCES, seed=0, step=0):
    return jax.tree.map(np.asarray, compiled(task, jax.random.key(seed), step, size))


def sure(classes, num_classes):
    """Logits of someone who is certain."""
    return CERTAIN * np.eye(num_classes, dtype=np.float32)[classes]


def shown(examples):
    """The symbols of one-hot inputs."""
    np.testing.assert_array_equal(examples.inputs.sum(-1), 1)
    return examples.inputs.argmax(-1)


def is_near(share, expected, count):
    """Whether a share lies within five standard errors of what it should be."""
    return abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / count)


@pytest.mark.parametrize("length", [2, 31])
def test_adding_marks_a_step_in_each_half_and_asks_for_the_sum_of_their_numbers(length):
    task = Adding(length)
    inputs, targets = draw(task)
    values, marks = inputs[..., 0], inputs[..., 1]
    assert inputs.shape == (NUM_SEQUENCES, length, 2)
    assert task.num_steps == length
    assert set(np.unique(marks)) <= {0, 1}
    np.testing.assert_array_equal(marks[:, : length // 2].sum(1), 1)
    np.testing.assert_array_equal(marks[:, length // 2 :].sum(1), 1)
    assert (marks.sum(0) > 0).all()  # a mark may be at any step
    assert values.min() >= 0
    assert values.max() < 1
    solution = (values * marks).sum(1, keepdims=True)
    assert float(task.loss(solution[..., None], targets)) < 1e-12
    assert task.lag == length - np.zeros(length).argmax()


def test_always_one_is_a_sixth_off_in_adding():
    task = Adding(31)
    targets = draw(task).targets
    errors = (targets - 1.0) ** 2
    assert abs(errors.mean() - task.baseline) < 4 * errors.std() / math.sqrt(errors.size)
    found = task.loss(np.ones((NUM_SEQUENCES, 1, 1), np.float32), targets)
    assert float(found) == pytest.approx(errors.mean(), rel=1e-5)
    for constant in (0.9, 1.1):  # nothing else is better
        assert ((targets - constant) ** 2).mean() > errors.mean()


@pytest.mark.parametrize("length", [1, 17])
def test_copy_shows_ten_symbols_blanks_a_sign_and_asks_for_the_symbols(length):
    task = CopyMemory(length)
    examples = draw(task)
    symbols = shown(examples)
    assert symbols.shape == (NUM_SEQUENCES, length + 20)
    assert task.num_steps == length + 20
    assert set(np.unique(symbols[:, :10])) == set(range(8))
    assert (symbols[:, 10 : length + 9] == 8).all()
    assert (symbols[:, length + 9] == 9).all()
    assert (symbols[:, length + 10 :] == 8).all()
    for place in range(10):
        counts = np.bincount(symbols[:, place], minlength=8)
        assert all(is_near(count / NUM_SEQUENCES, 1 / 8, NUM_SEQUENCES) for count in counts)
    solution = np.full_like(symbols, 8)
    solution[:, -10:] = symbols[:, :10]
    assert float(task.loss(sure(solution, 9), examples.targets)) == 0
    assert task.lag == length + 10


@pytest.mark.parametrize("length, expected", [(100, 0.1733), (500, 0.0400), (1000, 0.0204)])
def test_who_remembers_nothing_copies_blanks_and_guesses_ten_times(length, expected):
    task = CopyMemory(length)
    logits = np.zeros((4, length + 20, 9), np.float32)
    logits[:, :-10, 8] = CERTAIN
    logits[:, -10:, 8] = -CERTAIN
    assert float(task.loss(logits, draw(task, 4).targets)) == pytest.approx(task.baseline, rel=1e-5)
    assert task.baseline == pytest.approx(expected, abs=5e-5)


def test_recall_asks_for_the_first_symbol_and_the_others_say_nothing():
    task = DelayedRecall(23)
    examples = draw(task)
    symbols = shown(examples)
    assert symbols.shape == (NUM_SEQUENCES, 24)
    assert task.num_steps == 24
    assert symbols[:, 0].max() == 7
    assert symbols[:, 1:].min() == 8
    assert symbols[:, 1:].max() == 15
    assert float(task.loss(sure(symbols[:, :1], 8), examples.targets)) == 0
    for symbol in range(8):
        assert is_near((examples.targets == symbol).mean(), 1 / 8, NUM_SEQUENCES)
        after = examples.targets[symbols[:, -1] == 8 + symbol]  # whatever came last
        assert is_near((after == 3).mean(), 1 / 8, len(after))
    guess = np.zeros((NUM_SEQUENCES, 1, 8), np.float32)
    assert float(task.loss(guess, examples.targets)) == pytest.approx(task.baseline, rel=1e-6)
    assert task.lag == 23


@pytest.mark.parametrize("length", [10, 37])
def test_order_hides_two_signals_in_noise_and_asks_for_both(length):
    task = TemporalOrder(length)
    examples = draw(task)
    symbols = shown(examples)
    places = np.argsort(symbols < 4, axis=1, kind="stable")[:, :2]
    np.testing.assert_array_equal((symbols >= 4).sum(1), 2)
    first, second = places.T
    assert first.min() == length // 10
    assert first.max() == length * 2 // 10 - 1
    assert second.min() == length * 5 // 10
    assert second.max() == length * 6 // 10 - 1
    signals = np.take_along_axis(symbols, places, 1) - 4
    assert float(task.loss(sure(2 * signals[:, :1] + signals[:, 1:], 4), examples.targets)) == 0
    for answer in range(4):
        assert is_near((examples.targets == answer).mean(), 1 / 4, NUM_SEQUENCES)
    guess = np.zeros((NUM_SEQUENCES, 1, 4), np.float32)
    assert float(task.loss(guess, examples.targets)) == pytest.approx(task.baseline, rel=1e-6)
    half = np.where(np.arange(4) % 2 == signals[:, 1:], 0, -CERTAIN).astype(np.float32)[:, None]
    assert float(task.loss(half, examples.targets)) == pytest.approx(math.log(2), rel=1e-6)
    assert task.lag == length - first.min()


def test_cross_entropy_is_that_of_a_loop():
    numbers = np.random.default_rng(0)
    logits, targets = numbers.normal(size=(3, 2, 5)).astype(np.float32), numbers.integers(0, 5, (3, 2))
    losses = [
        math.log(sum(math.exp(each) for each in logits[row, step])) - logits[row, step, targets[row, step]]
        for row in range(3)
        for step in range(2)
    ]
    assert float(cross_entropy(jnp.asarray(logits), jnp.asarray(targets))) == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_an_example_depends_on_key_step_and_its_number_alone(name):
    task = TASKS[name](LENGTHS[name])
    few, many = draw(task, 3), draw(task)
    for some, more in zip(few, many, strict=True):
        np.testing.assert_array_equal(some, more[:3])
    for other in (draw(task, seed=1), draw(task, step=1)):
        assert (many.inputs[:3] != other.inputs[:3]).any()
    assert len({each.tobytes() for each in many.inputs}) == NUM_SEQUENCES
    assert few.inputs.shape == (3, task.num_steps, task.INPUT_SIZE)
    assert few.inputs.dtype == np.float32
    assert few.targets.shape == (3, task.num_answers)


@pytest.mark.parametrize("name, shortest", [("adding", 2), ("copy", 1), ("recall", 1), ("order", 10)])
def test_a_length_that_is_too_short_is_refused(name, shortest):
    TASKS[name](shortest)
    for length in (shortest - 1, -5):
        with pytest.raises(ValueError, match=f"at least {shortest}, not {length}"):
            TASKS[name](length)
