"""Whatever a state may hold comes back equal in structure, dtype and bits, or is refused before it is saved."""

import sys
from collections import OrderedDict
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recurrent.training import RunDirectory
from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.checkpoints.leaves import describe
from tests import forked
from tests.training.conftest import ROOT


class Pair(NamedTuple):
    one: Any
    two: Any


@jax.tree_util.register_pytree_node_class
class Unnamed:
    """A node whose children have numbers alone."""

    def __init__(self, *children):
        self.children = children

    def tree_flatten(self):
        return self.children, None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)


@jax.tree_util.register_pytree_with_keys_class
class Named(Unnamed):
    def tree_flatten_with_keys(self):
        keys = [jax.tree_util.GetAttrKey(f"child.{number}") for number in range(len(self.children))]
        return list(zip(keys, self.children, strict=True)), None


WIDE = ("float64", "int64", "uint64", "complex128")
DTYPES = (
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "float16", "float32", "complex64"),
    *("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4"),
)
SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@st.composite
def arrays(draw, dtypes):
    dtype, shape = np.dtype(draw(st.sampled_from(dtypes))), draw(SHAPES)
    size = int(np.prod(shape))
    content = draw(st.binary(min_size=size * dtype.itemsize, max_size=size * dtype.itemsize))
    if dtype.kind == "b":
        content = bytes(byte & 1 for byte in content)
    elif dtype in (ml_dtypes.int4, ml_dtypes.uint4):
        content = bytes(byte & 7 for byte in content)
    array = np.frombuffer(content, dtype).reshape(shape)
    return np.where(np.isnan(array), np.zeros_like(array), array) if jnp.issubdtype(dtype, jnp.inexact) else array


def keys():
    implementations = st.sampled_from(["threefry2x32", "rbg", "unsafe_rbg"])
    return st.builds(
        lambda seed, impl, count: jax.random.split(jax.random.key(seed, impl=impl), count) if count != 1
        else jax.random.key(seed, impl=impl),
        st.integers(0, 99), implementations, st.integers(0, 2),
    )  # fmt: skip


LEAVES = st.one_of(
    arrays(DTYPES).map(jnp.asarray),
    arrays(DTYPES + WIDE),
    st.sampled_from(DTYPES[:10] + WIDE).map(lambda dtype: np.dtype(dtype).type(1)),
    st.sampled_from([1, 0.5, 1j]).map(jnp.asarray),  # of weak type
    keys(),
)
NAMES = st.text("ab./~'01", max_size=3) | st.text(max_size=3)


def containers(inner):
    several = st.lists(inner, max_size=3)
    return st.one_of(
        st.dictionaries(NAMES, inner, max_size=3),
        st.dictionaries(st.integers(-2, 9), inner, max_size=3),
        st.dictionaries(NAMES, inner, max_size=3).map(OrderedDict),
        several,
        several.map(tuple),
        several.map(lambda children: Unnamed(*children)),
        several.map(lambda children: Named(*children)),
        st.builds(Pair, inner, inner),
        st.none(),
    )


TREES = st.recursive(LEAVES, containers, max_leaves=8)


def blank(leaf):
    """A leaf of the same kind with other content."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.ones_like(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
    if isinstance(leaf, jax.Array):
        return leaf * 0 if leaf.weak_type else jnp.zeros_like(leaf)
    return type(leaf)(0) if isinstance(leaf, np.generic) else np.zeros_like(leaf)


def bits(leaf):
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return str(jax.random.key_impl(leaf)), bits(jax.random.key_data(leaf))
    return leaf.dtype, leaf.shape, getattr(leaf, "weak_type", False), np.asarray(leaf).tobytes()


def kind(leaf):
    return jax.Array if isinstance(leaf, jax.Array) else type(leaf)


def assert_equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert kind(one) is kind(other)
        assert bits(one) == bits(other)


def come_back(state, folder):
    Checkpoints(folder / "latest").save(1, state)
    fresh = Checkpoints(folder / "latest")
    fresh.check(1)
    return fresh.restore(1, jax.tree.map(blank, state))


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(state=TREES)
def test_any_tree_comes_back_equal(tmp_path_factory, state):
    assert_equal(come_back(state, tmp_path_factory.mktemp("tree")), state)


def tree():
    """One of each kind of leaf and node."""
    nodes = {"a.b": jnp.ones(2), "a": {"b": jnp.zeros(2)}, "c/d": jnp.ones(()), "c": {"d": jnp.zeros(())}, "": None}
    numbers = {0: jnp.arange(3, dtype=jnp.int4), 7: jnp.ones((2, 0), jnp.bfloat16), 11: np.float64(1 / 3)}
    strings = OrderedDict({"0": jnp.int32(4), "~1": np.array(5), "e": {}, "f": ()})
    strings[0] = jnp.int32(6)
    noise = optax.noisy_sgd(1e-2, key=jax.random.key(3)).init({"w": jnp.ones(2)})
    return Pair([nodes, numbers], (strings, Unnamed(jnp.float16(0.1)), Named(jax.random.key(5, impl="rbg")), noise))


def test_names_that_look_alike_stay_apart(tmp_path):
    assert_equal(come_back(tree(), tmp_path), tree())
    assert len(describe(tree())) == len(jax.tree.leaves(tree()))
    assert {"one/0/a.b", "one/0/a/b", "one/0/c~1d", "two/0/'0'", "two/0/0", "two/0/~01"} <= set(describe(tree()))


def test_the_state_of_flax_generators_comes_back(tmp_path):
    rngs = nnx.Rngs(params=0, dropout=1)
    rngs.dropout()
    state = nnx.state(rngs)
    fresh = nnx.state(nnx.Rngs(params=5, dropout=6))
    Checkpoints(tmp_path / "latest").save(1, state)
    assert_equal(Checkpoints(tmp_path / "latest").restore(1, fresh), state)


class Colour:
    def __lt__(self, other):
        return id(self) < id(other)


REFUSED = {
    "number": ({"rate": 0.5}, r"\['rate'\] is a float; a state's leaves must be arrays"),
    "truth": ([True], r"\[0\] is a bool"),
    "text": ({"name": "lstm"}, r"\['name'\] is a str"),
    "object": ({"a": np.array([None])}, "dtype object"),
    "date": ({"a": np.zeros(2, "M8[s]")}, r"datetime64\[s\]"),
    "byte order": ({"a": np.zeros(2, ">f4")}, "dtype >f4"),
    "wide": ({"a": np.zeros(2, np.longdouble)}, "dtype float128, which a checkpoint can't hold"),
    "structure": ({"a": np.zeros(2, [("x", "f4")])}, "can't hold"),
    "mask": ({"a": np.ma.masked_array([1.0], [True])}, "MaskedArray, and only its numbers would be saved"),
    "key": ({Colour(): jnp.ones(1)}, "a Colour as a key has no stable name"),
}


@pytest.mark.parametrize("state, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_would_not_come_back_is_refused_with_its_path_before_anything_is_written(tmp_path, state, message):
    with RunDirectory(tmp_path) as run:
        for refuse in (lambda: run.save(1, state), lambda: run.resume(state)):
            with pytest.raises(ValueError, match=message):
                refuse()
        assert not (tmp_path / "checkpoints").exists()


def test_two_leaves_of_one_path_are_refused(tmp_path):
    @jax.tree_util.register_pytree_with_keys_class
    class Twice(Unnamed):
        def tree_flatten_with_keys(self):
            return [(jax.tree_util.GetAttrKey("x"), child) for child in self.children], None

    with pytest.raises(ValueError, match="has the path of another leaf, x: rename"):
        Checkpoints(tmp_path / "latest").save(1, Twice(jnp.ones(1), jnp.ones(1)))


ADVANCE = """
import sys, pathlib
import jax, numpy as np
from recurrent.training import RunDirectory
from tests.training.child import crash_within
from tests.training.checkpoints.test_leaves import tree
path = pathlib.Path(sys.argv[1])

def advance(leaf):
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.split(leaf)[0]
    return (leaf + np.ones((), leaf.dtype)).astype(leaf.dtype)

if int(sys.argv[2]):
    crash_within(path, int(sys.argv[2]), "")
with RunDirectory(path) as run:
    run.begin({})
    state, step, _ = run.resume(tree())
    while step < 4:
        state, step = jax.tree.map(advance, state), step + 1
        run.save(step, state)
"""


@pytest.mark.fault(1)
def test_such_a_tree_survives_kills_while_it_is_saved(tmp_path, child_environment):
    def run(name, crash_after):
        command = [sys.executable, "-c", ADVANCE, str(tmp_path / name), str(crash_after)]
        done = forked.run(command, env=child_environment, cwd=ROOT)
        assert done.returncode in (0, -9), done.stderr
        return done.returncode

    assert run("whole", 0) == 0
    kills = [run("killed", crash_after) for crash_after in (9, 17, 25, 33, 41)]
    assert kills.count(-9) >= 3
    assert run("killed", 0) == 0
    states = [RunDirectory(tmp_path / name).latest.restore(4, tree()) for name in ("whole", "killed")]
    assert_equal(*states)
    assert not any(
        bits(one) == bits(other)
        for one, other in zip(*map(jax.tree.leaves, (states[0], tree())), strict=True)
        if one.size
    )


def test_64_bits_come_back_where_jax_is_set_to_32(tmp_path):
    with jax.enable_x64(True):
        state = {"count": jnp.asarray(2**40 + 5), "rate": jnp.asarray(1 + 2.0**-40)}
    checkpoints = Checkpoints(tmp_path / "latest")
    checkpoints.save(1, state)
    back = checkpoints.restore(1, state)
    assert {name: leaf.dtype for name, leaf in back.items()} == {"count": np.int64, "rate": np.float64}
    assert (int(np.asarray(back["count"])), float(np.asarray(back["rate"]))) == (2**40 + 5, 1 + 2.0**-40)
