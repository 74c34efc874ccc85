import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from recurrent.training import (
    Sums,
    binary_cross_entropy,
    epoch_batches,
    init_state,
    make_mesh,
    make_train_steps,
    stream,
)
from recurrent.training.objective import add


def numbers(sums):
    return [sums.loss, sums.correct, sums.weight]


def as_sums(three):
    loss, correct, weight = three
    return Sums(loss, correct, weight)


def reference(logits, labels, weight):
    """Row by row in float64."""
    logits, labels, weight = (np.asarray(each, np.float64) for each in (logits, labels, weight))
    is_counted = weight != 0
    logits, labels, weight = logits[is_counted], labels[is_counted], weight[is_counted]
    loss = np.logaddexp(0, logits) - labels * logits
    return np.sum(loss * weight), np.sum(((logits > 0) == (labels > 0.5)) * weight), np.sum(weight)


@pytest.mark.parametrize("dtype, size", [("bfloat16", 257), ("float16", 3001), ("float16", 70_000), ("float32", 1001)])
def test_sums_are_in_at_least_float32(dtype, size):
    draw = np.random.default_rng(0)
    logits, labels = jnp.asarray(draw.normal(size=size), dtype), jnp.asarray(draw.integers(0, 2, size), dtype)
    sums = binary_cross_entropy(logits, labels, jnp.ones(size))
    assert {leaf.dtype for leaf in jax.tree.leaves(sums)} == {jnp.dtype("float32")}
    loss, correct, weight = reference(logits, labels, np.ones(size))
    np.testing.assert_allclose(sums.loss, loss, rtol=1e-5)
    assert (sums.correct, sums.weight) == (correct, weight)


def test_arrays_of_numpy_and_lists_will_do():
    logits, labels, weight = [0.5, -1.0], [True, True], [1, 2]
    expected = reference(logits, labels, weight)
    np.testing.assert_allclose(numbers(binary_cross_entropy(logits, labels, weight)), expected, rtol=1e-6)
    numpy = (np.asarray(logits), np.asarray(labels), np.asarray(weight, np.int64))
    np.testing.assert_allclose(numbers(binary_cross_entropy(*numpy)), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="logits must be floating point, not int32"):
        binary_cross_entropy(jnp.ones(2, jnp.int32), jnp.ones(2), jnp.ones(2))


def test_sums_stay_in_float64(float64):
    sums = binary_cross_entropy(jnp.ones(3), jnp.ones(3, jnp.float32), jnp.ones(3, jnp.float32))
    assert {leaf.dtype for leaf in jax.tree.leaves(sums)} == {jnp.dtype("float64")}


def test_a_row_of_weight_0_adds_nothing_whatever_it_holds():
    logits = jnp.array([0.5, jnp.nan, -2.0, jnp.inf, -jnp.inf])
    labels = jnp.array([1.0, 0.0, jnp.nan, jnp.nan, 1.0])
    weight = jnp.array([1.0, 0.0, 0.0, 0.0, 0.0])
    (loss, sums), gradient = jax.value_and_grad(
        lambda logits: (lambda sums: (sums.loss, sums))(binary_cross_entropy(logits, labels, weight)), has_aux=True
    )(logits)
    np.testing.assert_allclose(numbers(sums), reference(logits, labels, weight), rtol=1e-6)
    np.testing.assert_allclose(gradient, [1 / (1 + np.exp(-0.5)) - 1, 0, 0, 0, 0], rtol=1e-6)
    assert loss == sums.loss


def test_running_sums_count_beyond_two_to_the_24_and_lose_no_digits():
    draw = np.random.default_rng(0)
    more = np.stack([draw.lognormal(3, 2, 4000), draw.integers(0, 129, 4000), np.full(4000, 129)]).astype(np.float32)
    start = as_sums(map(jnp.float32, (3e7, 2**24 - 1, 2**24)))

    @jax.jit
    def accumulate(more):
        carry = (start, jax.tree.map(jnp.zeros_like, start))
        return jax.lax.scan(lambda carry, new: (add(*carry, as_sums(new)), None), carry, more.T)[0]

    sums, residue = accumulate(more)
    start, sums, residue = (np.array(jax.tree.leaves(each), np.float64) for each in (start, sums, residue))
    exact = start + more.astype(np.float64).sum(axis=1)
    both = sums + residue
    assert both[1:].tolist() == exact[1:].tolist()
    np.testing.assert_allclose(both[0], exact[0], rtol=1e-12)
    np.testing.assert_array_equal(sums.astype(np.float32), exact.astype(np.float32))


@pytest.mark.parametrize(
    "answer, problem",
    [
        (lambda sums: sums.loss, r"Sums of numbers, not float32\[\]"),
        (lambda sums: tuple(sums), "of numbers, not a tuple"),
        (lambda sums: sums._replace(loss=jnp.ones(3)), r"of numbers, but loss is float32\[3\]: add up"),
        (lambda sums: sums._replace(metrics={"f": None}), "of numbers, but f is a NoneType"),
        (lambda sums: sums._replace(weight=None), "but weight is missing"),
        (lambda sums: sums._replace(metrics=sums.loss), r"but metrics is float32\[\], not a dict"),
        (lambda sums: sums._replace(metrics={"loss": sums.loss}), "can't be named 'loss'"),
        (lambda sums: sums._replace(metrics={"val_acc": sums.loss}), "can't be named 'val_acc'"),
        (lambda sums: sums._replace(correct=None), r"returns the metrics \[\], and the state was made for \['acc'\]"),
        (
            lambda sums: sums._replace(weight=jax.lax.complex(sums.weight, sums.loss)),
            r"numbers, but weight is complex64\[\]",
        ),
    ],
    ids=[
        "loss alone",
        "tuple",
        "no sum",
        "nothing",
        "no weight",
        "no dict",
        "loss",
        "val_",
        "other metrics",
        "complex",
    ],
)
def test_an_objective_that_returns_no_sums_is_refused_in_words(answer, problem):
    def objective(params, batch, key):
        return answer(binary_cross_entropy(batch.examples * params, jnp.ones(4), batch.weight))

    steps = make_train_steps(objective, optax.sgd(0.1), make_mesh(1))
    state, batches = init_state(jnp.zeros(()), optax.sgd(0.1)), epoch_batches(0, 0, 4, 4, 1)
    with pytest.raises(ValueError, match=problem):
        steps(state, jnp.ones(4), batches, stream(0, "noise"), jnp.int32(1))
