import jax
import jax.numpy as jnp
import numpy as np

from recurrent.training import make_mesh, replicate
from recurrent.training.mesh import put


def test_arrays_that_lie_there_already_are_not_put_again():
    tree = replicate({"kernel": jnp.ones(3), "key": jax.random.key(0)}, make_mesh(2))
    again = replicate(tree, make_mesh(2))
    assert again["kernel"] is tree["kernel"]
    assert again["key"] is tree["key"]


def test_what_is_put_is_committed():
    """A free array would follow `jax.default_device`."""
    for free in (jnp.ones(3), jax.random.key(0), np.ones(3)):
        assert put(free, jnp.ones(3).sharding).committed


def test_traced_arrays_can_be_replicated():
    mesh = make_mesh(2)
    replicated = jax.jit(lambda x: replicate({"x": 2 * x}, mesh))(jnp.ones(3))
    assert replicated["x"].sharding.is_fully_replicated
    np.testing.assert_array_equal(replicated["x"], 2)
