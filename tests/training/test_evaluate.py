import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recurrent.training import make_mesh, make_predict


@pytest.mark.parametrize("num_rows", [0, 1, 3, 16, 37])
def test_predictions_cover_any_number_of_rows_in_order(num_rows):
    mesh = make_mesh(2)
    predict = make_predict(lambda params, x: params * x.sum(axis=1), mesh, chunk_size=8)
    x = np.random.default_rng(0).normal(size=(num_rows, 4)).astype(np.float32)
    np.testing.assert_allclose(predict(jnp.float32(2), x), 2 * x.sum(axis=1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_rows", [4, 5])
def test_arrays_of_another_byte_order_are_read(num_rows):
    x = np.arange(num_rows, dtype=">f4")
    assert make_predict(lambda params, x: params * x, make_mesh(1), chunk_size=4)(2.0, x).tolist() == list(2 * x)


class _Short(np.ndarray):
    """Hands out one row less than it is asked for."""

    def __getitem__(self, rows):
        return np.asarray(self)[rows][:-1]


def test_rows_that_do_not_come_are_refused():
    predict = make_predict(lambda params, x: params * x, make_mesh(1), chunk_size=4)
    with pytest.raises(ValueError, match=r"inputs\[0:4\] has 3 rows, not 4"):
        predict(2.0, np.ones(4, np.float32).view(_Short))


@pytest.mark.parametrize(
    "forward, found", [(lambda x: x.sum(), r"\[\]"), (lambda x: x[:2], r"\[2\]"), (lambda x: {"y": x}, "dict")]
)
def test_an_output_without_a_row_for_each_row_is_refused(forward, found):
    with pytest.raises(ValueError, match=found):
        make_predict(lambda params, x: forward(x), make_mesh(1), chunk_size=4)(2.0, np.ones(4, np.float32))


def test_one_and_two_devices_predict_the_same_bits():
    x = np.random.default_rng(0).normal(size=(37, 40)).astype(np.float32)
    kernel = jax.random.normal(jax.random.key(0), (40, 7))
    meshes = (make_mesh(2, jax.devices()[:count]) for count in (1, 2))
    one, two = (make_predict(lambda kernel, x: jnp.tanh(x @ kernel), mesh, chunk_size=8)(kernel, x) for mesh in meshes)
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("num_rows", [3, 17])
def test_what_fills_up_the_last_chunk_is_a_row_that_was_given(num_rows):
    """Rows of zeros would raise here, though nobody asked for them."""
    predict = make_predict(lambda params, x: params / x.sum(axis=1), make_mesh(2), chunk_size=8)
    x = np.random.default_rng(0).uniform(1, 2, (num_rows, 4)).astype(np.float32)
    with jax.debug_infs(True):
        np.testing.assert_allclose(predict(jnp.float32(1), x), 1 / x.sum(axis=1), rtol=1e-6)
