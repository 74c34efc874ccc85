"""The native backend: its accuracy against float64, its bits in any grouping, and what JAX does to a function."""

import os
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, PartitionSpec

import recurrent
import recurrent.native
from recurrent.backends.native import long, plan
from recurrent.backends.native.library import TARGETS, load
from recurrent.call.call import make_call
from recurrent.cells.with_state import WithState

pytestmark = pytest.mark.skipif(bool(why := recurrent.native.why_not()), reason=str(why))

CELLS = {name: recurrent.CELLS[name] for name in ("simple_rnn", "lstm", "gru")}
ROWS, TIME, INPUT, HIDDEN = 7, 13, 5, 19  # more than a vector of units, and not a whole number of them


def draw(cell, rows=ROWS, dtype=jnp.float32, hidden=HIDDEN):
    generator = np.random.default_rng(3)
    params = jax.tree.map(
        lambda leaf: leaf + jnp.asarray(0.1 * generator.normal(size=leaf.shape), dtype),
        cell.init(jax.random.key(3), INPUT, hidden, dtype=dtype),
    )
    inputs = jnp.asarray(generator.normal(size=(rows, TIME, INPUT)), dtype)
    return params, inputs, jnp.asarray(generator.random((rows, TIME)) < 0.6)


def results(cell, backend, params, inputs, is_token, **options):
    """Returns outputs, the final state, and the gradients of a sum that weighs all of their numbers."""

    def total(params, inputs):
        given = recurrent.run(cell, params, inputs, is_token=is_token, backend=backend, **options)
        leaves = jax.tree.leaves(given)
        return sum(jnp.sum(jnp.cos(jnp.arange(leaf.size, dtype=leaf.dtype)) * leaf.ravel()) for leaf in leaves), given

    (_, given), gradients = jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))(params, inputs)
    return given, gradients


def distance(ours, exact):
    """Returns the largest distance of an array from the exact one, relative to the exact one's norm."""
    leaves = (map(partial(np.asarray, dtype=np.float64), jax.tree.leaves(tree)) for tree in (ours, exact))
    return max(np.linalg.norm(one - other) / np.linalg.norm(other) for one, other in zip(*leaves, strict=True))


@pytest.mark.parametrize("name", CELLS)
def test_float32_is_within_1e_6_of_float64(name):
    cell = CELLS[name]
    params, inputs, is_token = draw(cell)
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda leaf: np.float64(leaf), (params, inputs))
        expected = results(cell, "plain", *jax.tree.map(jnp.asarray, exact), is_token)
    assert distance(results(cell, "native", params, inputs, is_token), expected) < 1e-6


@pytest.mark.parametrize(
    "options", [{"truncate_every": 3}, {"reverse": True, "segment_size": 4}], ids=["truncated", "reverse"]
)
@pytest.mark.parametrize("name", CELLS)
def test_the_states_of_all_steps_are_those_of_the_reference(name, options):
    """Of masked steps and of those after a start too, with their gradients; packed rows take the ends of sequences."""
    cell = WithState(CELLS[name])
    params, inputs, is_token = draw(cell)
    options = {**options, "is_start": jnp.asarray(np.random.default_rng(4).random((ROWS, TIME)) < 0.2)}
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda leaf: jnp.asarray(np.float64(leaf)), (params, inputs))
        expected = results(cell, "plain", *exact, is_token, **options)
    assert distance(results(cell, "native", params, inputs, is_token, **options), expected) < 1e-6


@pytest.mark.parametrize("name", CELLS)
def test_float64_is_within_1e_12_of_the_reference(name):
    with jax.enable_x64(True):
        arguments = draw(CELLS[name], dtype=jnp.float64)
        expected = results(CELLS[name], "plain", *arguments)
        ours = results(CELLS[name], "native", *arguments)
    assert jax.tree.leaves(ours)[0].dtype == jnp.float64
    assert distance(ours, expected) < 1e-12


def units_in_the_last_place(ours, exact):
    return np.max(np.abs(np.float64(ours) - exact) / np.spacing(np.abs(np.float32(exact))))


SAMPLE = np.concatenate([np.geomspace(1e-20, 80, 40_000), -np.geomspace(1e-20, 80, 40_000)]).astype(np.float32)


def test_tanh_is_accurate_to_two_units_in_the_last_place():
    params = recurrent.simple_rnn.Params(jnp.eye(16), jnp.zeros((16, 16)), jnp.zeros(16))
    final = recurrent.run_final(recurrent.simple_rnn, params, SAMPLE.reshape(-1, 1, 16), backend="native")
    assert units_in_the_last_place(final.hidden.ravel(), np.tanh(np.float64(SAMPLE))) < 2


def test_a_sigmoid_is_accurate_to_two_units_in_the_last_place():
    """The state of a GRU that begins at 1 and has the candidate 0 is its update gate."""
    kernel = jnp.concatenate([jnp.eye(16), jnp.zeros((16, 32))], axis=1)
    params = recurrent.gru.Params(kernel, jnp.zeros((16, 48)), jnp.zeros((2, 48)))
    inputs = SAMPLE.reshape(-1, 1, 16)
    initial = recurrent.gru.State(jnp.ones((len(inputs), 16)))
    final = recurrent.run_final(recurrent.gru, params, inputs, initial=initial, backend="native")
    assert units_in_the_last_place(final.hidden.ravel(), 1 / (1 + np.exp(-np.float64(SAMPLE)))) < 2


def test_a_gate_times_a_tanh_is_accurate_with_its_derivatives():
    """The memory of an LSTM that begins at 0 is its input gate times its candidate."""
    gate, none = jnp.eye(32)[:, :16], jnp.zeros((32, 16))
    candidate = jnp.eye(32)[:, 16:]
    params = recurrent.lstm.Params(
        jnp.concatenate([gate, none, candidate, none], axis=1), jnp.zeros((16, 64)), jnp.zeros(64)
    )
    pairs = np.stack([SAMPLE, np.random.default_rng(3).permutation(SAMPLE / 4)]).reshape(2, -1, 16)

    def memory(pairs):
        inputs = jnp.concatenate(list(pairs), axis=-1)[:, None]
        return recurrent.run_final(recurrent.lstm, params, inputs, backend="native").memory

    value, pull = jax.vjp(memory, pairs)
    by_gate, by_tanh = pull(jnp.ones_like(value))[0]
    x, y = np.float64(pairs)
    share, decay = 1 / (1 + np.exp(-x)), np.exp(-2 * np.abs(y))
    slopes = share / (1 + np.exp(x)), 4 * decay / (1 + decay) ** 2
    exact = share * np.tanh(y), slopes[0] * np.tanh(y), share * slopes[1]
    for ours, expected, most in zip((value, by_gate, by_tanh), exact, (4.4, 7.5, 7.5), strict=True):
        is_normal = np.abs(expected) > 1e-36
        assert units_in_the_last_place(ours[is_normal], expected[is_normal]) < most


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("width", [16, 17])
def test_infinity_reaches_the_gradients_that_it_reaches_in_the_reference(name, width):
    cell = CELLS[name]
    params = cell.init(jax.random.key(0), 3, width)
    table = jnp.ones((5, 3)).at[2, 0].set(jnp.inf)
    tokens = jnp.asarray([[0, 1, 2, 3], [4, 4, 3, 0]])

    def of_inputs(params, inputs, backend):
        return jnp.sum(recurrent.run_final(cell, params, inputs, backend=backend).hidden)

    def of_table(params, table, backend):
        made = recurrent.run_final(cell, params, tokens, make_inputs=lambda at: table[at], backend=backend)
        return jnp.sum(made.hidden)

    for total, array in ((of_inputs, table[tokens]), (of_table, table)):
        slopes = jax.grad(total, argnums=(0, 1))
        native, plain = (jax.tree.map(np.isnan, slopes(params, array, backend)) for backend in ("native", "plain"))
        jax.tree.map(np.testing.assert_array_equal, native, plain)


@pytest.mark.parametrize("name", CELLS)
def test_infinity_saturates_and_nan_passes_through(name):
    params, inputs, _ = draw(CELLS[name])
    inputs = inputs.at[0, 3, 0].set(jnp.inf).at[1, 3, 0].set(-jnp.inf).at[2, 3, 0].set(jnp.nan)
    native, _ = recurrent.run(CELLS[name], params, inputs, backend="native")
    plain, _ = recurrent.run(CELLS[name], params, inputs, backend="plain")
    np.testing.assert_allclose(native, plain, rtol=1e-5, atol=1e-6)
    assert np.isnan(native[2, 3:]).all()
    assert np.isfinite(native[0]).all()


@pytest.mark.parametrize("name", CELLS)
def test_the_bits_of_a_row_do_not_depend_on_the_others(name):
    params, inputs, is_token = draw(CELLS[name], rows=37)
    together = recurrent.run(CELLS[name], params, inputs, is_token=is_token, backend="native")
    for rows in (slice(0, 1), slice(3, 5), slice(5, 18), slice(18, 37)):
        apart = recurrent.run(CELLS[name], params, inputs[rows], is_token=is_token[rows], backend="native")
        jax.tree.map(lambda one, all_: np.testing.assert_array_equal(one, all_[rows]), apart, together)  # noqa: B023


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, TIME), min_size=ROWS, max_size=ROWS), st.booleans())
def test_padding_anywhere_changes_no_bit(places, reverse):
    """A masked step with NaN is put in at another place of each row."""
    cell = recurrent.lstm
    params, inputs, _ = draw(cell)
    padded, is_token = np.full((ROWS, TIME + 1, INPUT), np.nan, np.float32), np.ones((ROWS, TIME + 1), bool)
    for row, place in enumerate(places):
        padded[row, np.arange(TIME + 1) != place] = inputs[row]
        is_token[row, place] = False
    whole = jnp.ones((ROWS, TIME), bool)

    def final_and_gradient(inputs, is_token):
        options = {"is_token": is_token, "reverse": reverse, "backend": "native"}
        total = lambda params: jnp.sum(recurrent.run_final(cell, params, inputs, **options).hidden ** 2)  # noqa: E731
        return recurrent.run_final(cell, params, inputs, **options), jax.grad(total)(params)

    ours, expected = final_and_gradient(padded, is_token), final_and_gradient(inputs, whole)
    jax.tree.map(np.testing.assert_array_equal, ours[0], expected[0])
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6), ours[1], expected[1])


PROGRAM = """
import hashlib, os, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(sys.argv[1])])
import jax, numpy as np, recurrent
from tests.backends.test_native import CELLS, draw, results
digest = hashlib.sha256()
for cell in CELLS.values():
    params, inputs, is_token = draw(cell, rows=40)
    table = jax.numpy.asarray(np.random.default_rng(0).normal(size=(2000, inputs.shape[-1])), inputs.dtype)
    words = jax.numpy.asarray(np.random.default_rng(1).integers(0, 2000, (100, 60)))
    given = [
        results(cell, "native", params, inputs, is_token, segment_size=5),
        results(cell, "native", params, inputs, is_token),
        jax.jit(jax.grad(lambda params, table: jax.numpy.sum(jax.numpy.sin(recurrent.run_final(
            cell, params, words, make_inputs=lambda at: table[at], backend="native").hidden)), (0, 1)))(params, table),
    ]
    for leaf in jax.tree.leaves(given):
        digest.update(np.asarray(leaf).tobytes())
print(digest.hexdigest())
"""


def test_bits_do_not_depend_on_threads_and_devices():
    digests = set()
    for cores, devices in ((1, 1), (os.cpu_count(), 1), (os.cpu_count(), 2)):
        environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)}
        command = [sys.executable, "-c", PROGRAM, str(cores)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        digests.add(done.stdout)
    assert len(digests) == 1


@pytest.mark.parametrize("name", CELLS)
def test_residuals_that_are_written_past_the_caches_are_the_same(name):
    """A large call writes past the caches, a small one does not, and a row has the same bits in both."""
    cell, num_rows, num_steps = recurrent.CELLS[name], 512, 160
    params = cell.init(jax.random.key(0), 4, 32)
    inputs = jax.random.normal(jax.random.key(1), (num_rows, num_steps, 4))
    assert num_rows * num_steps * plan.NUM_KEPT[cell] * 32 * 4 >= 2**24

    def total(params, inputs):
        return jnp.sum(jnp.sin(recurrent.run_final(cell, params, inputs, backend="native").hidden))

    slopes = jax.grad(total, argnums=(0, 1))
    d_params, d_inputs = slopes(params, inputs)
    parts = [slopes(params, part) for part in jnp.split(inputs, 16)]
    np.testing.assert_array_equal(d_inputs, jnp.concatenate([of_inputs for _, of_inputs in parts]))
    assert distance(d_params, jax.tree.map(lambda *each: sum(each), *(of_params for of_params, _ in parts))) < 1e-5


def test_segments_give_the_numbers_of_kept_residuals():
    params, inputs, is_token = draw(recurrent.lstm)
    kept = results(recurrent.lstm, "native", params, inputs, is_token)
    again = results(recurrent.lstm, "native", params, inputs, is_token, segment_size=4)
    assert distance(kept, again) < 1e-6


TABLE = jnp.asarray(np.random.default_rng(5).normal(size=(9, INPUT)), jnp.float32)
TOKENS = jnp.asarray(np.random.default_rng(6).integers(0, 9, (ROWS, TIME)))
IS_START = jnp.asarray(np.random.default_rng(7).random((ROWS, TIME)) < 0.2)


@pytest.mark.parametrize(
    "keeps_outputs, options",
    [(True, {"is_start": IS_START}), (True, {"reverse": True}), (False, {"is_token": ~IS_START, "is_start": IS_START})],
    ids=["starts", "backwards", "masked, the final state alone"],
)
def test_inputs_of_long_sequences_are_made_in_parts(monkeypatch, keeps_outputs, options):
    monkeypatch.setattr(long, "MOST_MADE_BYTES", 0)
    monkeypatch.setattr(long, "BYTES_OF_PART", ROWS * INPUT * 4 * 3)  # three steps
    params, _, _ = draw(recurrent.lstm)
    function = recurrent.run if keeps_outputs else recurrent.run_final

    def total(params, table, backend):
        given = function(recurrent.lstm, params, TOKENS, make_inputs=lambda at: table[at], backend=backend, **options)
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(given)), given

    compute = jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True), static_argnums=2)
    assert "while" in compute.lower(params, TABLE, "native").as_text()
    assert distance(compute(params, TABLE, "native"), compute(params, TABLE, "plain")) < 1e-5


LOOKUPS = {
    "indexed": (lambda table, at: table[at], True),
    "taken": (lambda table, at: jnp.take(table, at, axis=0), True),
    "scaled": (lambda table, at: 2 * table[at], False),
    "two rows": (lambda table, at: table[at] + table[jnp.zeros_like(at)], False),
}


@pytest.mark.parametrize("name", LOOKUPS)
def test_rows_of_a_table_are_read_where_they_are_needed(name):
    make, is_lookup = LOOKUPS[name]
    params, _, is_token = draw(recurrent.gru)
    prefix = recurrent.Prefix(jnp.asarray(3), jnp.arange(ROWS))
    for options in ({"is_token": is_token, "segment_size": 4}, {"prefix": prefix}):

        def total(params, table, backend, options=options):
            options = {"make_inputs": lambda at: make(table, at), "backend": backend, **options}
            final = recurrent.run_final(recurrent.gru, params, TOKENS, **options)
            return jnp.sum(jnp.sin(final.hidden)), final

        compute = jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True), static_argnums=2)
        assert distance(compute(params, TABLE, "native"), compute(params, TABLE, "plain")) < 1e-5
        table = f"tensor<1x{len(TABLE)}x{INPUT}xf32>"
        assert (table in compute.lower(params, TABLE, "native").as_text()) == is_lookup


WORDS = {
    "all steps": lambda is_token: {},
    "masked backwards": lambda is_token: {"is_token": is_token, "reverse": True},
    "segments": lambda is_token: {"is_token": is_token, "segment_size": 4},
    "a prefix": lambda is_token: {"prefix": recurrent.Prefix(jnp.asarray(3), jnp.arange(ROWS) % TIME)},
}


@pytest.mark.parametrize(
    "way, vocabulary, hidden",
    [*((way, 6, HIDDEN) for way in WORDS), ("all steps", 1000, HIDDEN), ("a prefix", 6, 260), ("segments", 1000, 260)],
)
@pytest.mark.parametrize("name", CELLS)
def test_words_that_recur_have_the_numbers_of_their_embeddings(name, way, vocabulary, hidden):
    """Few words are projected once each: outputs keep the bits that embeddings of all steps give."""
    cell, generator = CELLS[name], np.random.default_rng(5)
    params, _, is_token = draw(cell, hidden=hidden)
    params = jax.tree.map(lambda leaf: leaf * (HIDDEN / hidden) ** 0.5, params)  # else rounding grows from step to step
    tokens = jnp.asarray(generator.integers(0, vocabulary, (ROWS, TIME)))
    table = jnp.asarray(generator.normal(size=(vocabulary, INPUT)), jnp.float32)
    options = WORDS[way](is_token)

    def total(params, table, backend, has_words):
        if has_words:
            given, made = tokens, {"make_inputs": lambda at: table[at]}
        else:
            given, made = table[tokens], {}
            if prefix := options.get("prefix"):
                made["prefix"] = recurrent.Prefix(table[prefix.input], prefix.length)
        results = recurrent.run(cell, params, given, backend=backend, **(options | made))
        leaves = jax.tree.leaves(results)
        return sum(jnp.sum(jnp.cos(jnp.arange(leaf.size, dtype=leaf.dtype)) * leaf.ravel()) for leaf in leaves), results

    compute = jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True), static_argnums=(2, 3))
    (_, ours), gradients = compute(params, table, "native", True)
    (_, of_embeddings), _ = compute(params, table, "native", False)
    jax.tree.map(np.testing.assert_array_equal, ours, of_embeddings)
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda leaf: jnp.asarray(np.float64(leaf)), (params, table))
        (_, _), expected = compute(*exact, "plain", False)
        (_, _), double = compute(*exact, "native", True)
    assert distance(gradients, expected) < 1e-6
    assert distance(double, expected) < 1e-12


@pytest.mark.parametrize("has_words", [False, True])
def test_a_gradient_may_be_pulled_back_more_than_once(has_words):
    """The backward pass writes over what the forward pass kept."""
    params, inputs, _ = draw(recurrent.lstm)
    given, options = (TOKENS, {"make_inputs": lambda at: TABLE[at]}) if has_words else (inputs, {})

    def final(params):
        return recurrent.run_final(recurrent.lstm, params, given, backend="native", **options).hidden

    def twice(params):
        hidden, pull = jax.vjp(final, params)
        return pull(jnp.ones_like(hidden)), pull(jnp.ones_like(hidden)), pull(2 * jnp.ones_like(hidden))

    for first, second, doubled in (twice(params), jax.jit(twice)(params)):
        jax.tree.map(np.testing.assert_array_equal, first, second)
        jax.tree.map(np.testing.assert_array_equal, jax.tree.map(lambda leaf: 2 * leaf, first), doubled)


@pytest.mark.parametrize("row, mode", [(3, None), (-1, None), (99, "clip"), (99, None), (-14, None), (-99, None)])
def test_the_gradient_of_a_prefix_that_is_a_row_of_the_table_is_added_to_that_row(row, mode):
    params, _, _ = draw(recurrent.lstm)
    prefix = recurrent.Prefix(jnp.asarray(row), jnp.arange(ROWS) % TIME)

    def total(table, backend):
        def make(at):
            return table.at[at].get(mode=mode)

        final = recurrent.run_final(recurrent.lstm, params, TOKENS, make_inputs=make, prefix=prefix, backend=backend)
        return jnp.sum(jnp.sin(final.hidden))

    def slopes(backend):
        first = jax.grad(total)
        second = jax.grad(lambda table: jnp.sum(first(table, backend) ** 2))
        many = jax.vmap(lambda table: first(table, backend))(jnp.stack([TABLE, 2 * TABLE]))
        return first(TABLE, backend), second(TABLE), many

    assert distance(slopes("native"), slopes("plain")) < 1e-5


def test_a_row_beyond_the_table_is_what_the_function_says():
    tokens, (params, _, _) = TOKENS.at[0, 3].set(99), draw(recurrent.gru)
    for make in (
        lambda at: jnp.take(TABLE, at, axis=0),
        lambda at: TABLE.at[at].get(mode="clip"),
        lambda at: TABLE[at],
        lambda at: TABLE.at[at].get(mode="fill", fill_value=0.5),
    ):
        native, plain = (
            recurrent.run(recurrent.gru, params, tokens, make_inputs=make, backend=backend)[0]
            for backend in ("native", "plain")
        )
        np.testing.assert_allclose(native, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("index", [99, -14, -99])  # -14 added to 9 rows twice would be a row
@pytest.mark.parametrize("segment_size", [None, 4])
@pytest.mark.parametrize("mode", ["clip", "fill", None])
def test_a_row_beyond_the_table_gets_the_gradient_that_the_function_says(mode, segment_size, index):
    """With fill, the row of NaN reaches its own sequence alone, and the table gets no gradient from it."""
    tokens, (params, _, _) = TOKENS.at[0, 3].set(index), draw(recurrent.gru)

    def total(table, backend):
        def make(at):
            return table[at] if mode is None else table.at[at].get(mode=mode)

        options = {"make_inputs": make, "segment_size": segment_size, "backend": backend}
        final = recurrent.run_final(recurrent.gru, params, tokens, **options)
        return jnp.sum(jnp.sin(final.hidden[1:])) + (0 if mode == "fill" else jnp.sum(jnp.sin(final.hidden[0])))

    slopes = {backend: jax.grad(total)(TABLE, backend) for backend in ("native", "plain")}
    is_finite = np.isfinite(slopes["plain"])
    np.testing.assert_array_equal(np.isfinite(slopes["native"]), is_finite)
    np.testing.assert_allclose(slopes["native"][is_finite], slopes["plain"][is_finite], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("index", [2, -1, 3, -4])
def test_a_state_beyond_the_table_of_resets_gets_no_gradient(index):
    params, inputs, _ = draw(recurrent.lstm)
    table = jax.tree.map(lambda leaf: jnp.ones((3, *leaf.shape)), recurrent.lstm.zero_state(params))
    options = {"is_start": IS_START, "reset_index": jnp.full((ROWS, TIME), index)}

    def total(table, backend):
        final = recurrent.run_final(recurrent.lstm, params, inputs, reset_to=table, backend=backend, **options)
        return jnp.sum(jnp.sin(final.hidden))

    plain = jax.grad(total)(table, "plain")
    assert bool(jnp.any(plain.hidden)) == (index in (2, -1))
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-6), jax.grad(total)(table, "native"), plain)


@pytest.mark.parametrize("name", CELLS)
def test_many_words_in_many_tasks_get_their_gradients(name):
    cell, generator = CELLS[name], np.random.default_rng(8)
    params, _, _ = draw(cell)
    table = jnp.asarray(generator.normal(size=(2000, INPUT)), jnp.float32)
    words = jnp.asarray(generator.integers(0, 2000, (100, 60)))
    prefix = recurrent.Prefix(jnp.asarray(7), jnp.arange(100) % 30)

    def total(params, table, backend):
        options = {"make_inputs": lambda at: table[at], "prefix": prefix, "backend": backend}
        return jnp.sum(jnp.sin(recurrent.run_final(cell, params, words, **options).hidden))

    compute = jax.jit(jax.grad(total, argnums=(0, 1)), static_argnums=2)
    assert distance(compute(params, table, "native"), compute(params, table, "plain")) < 1e-5


def test_what_is_kept_counts_whole_vectors():
    params = recurrent.simple_rnn.init(jax.random.key(0), 1, 1)
    most_rows = plan.MOST_KEPT_BYTES["narrow"] // (2 * load().vector_bytes)  # a step keeps two vectors
    for num_rows, size in ((most_rows, None), (most_rows + 1, plan.SEGMENT_SIZE)):
        call = make_call(recurrent.simple_rnn, params, jax.ShapeDtypeStruct((num_rows, 1, 1), jnp.float32))
        assert plan.segment_size(call) == size


@pytest.mark.parametrize("cell", [recurrent.lstm, WithState(recurrent.lstm)], ids=["", "with states"])
def test_functions_of_jax_apply(cell):
    params, inputs, is_token = draw(cell)
    many = jax.vmap(lambda key: cell.init(key, INPUT, HIDDEN))(jax.random.split(jax.random.key(0), 3))

    def squares(backend, params, inputs):
        outputs, _ = recurrent.run(cell, params, inputs, is_token=is_token, backend=backend)
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(outputs))

    def penalty(backend, params):
        return jnp.sum(jax.grad(squares, argnums=2)(backend, params, inputs) ** 2)

    def gradient(backend, params, inputs):
        return jax.grad(squares, argnums=1)(backend, params, inputs)

    for transformed in (
        lambda backend: jax.vmap(partial(gradient, backend), in_axes=(0, None))(many, inputs),
        lambda backend: jax.vmap(partial(gradient, backend, params))(jnp.stack([inputs, -inputs])),
        lambda backend: jax.jit(jax.grad(partial(penalty, backend)))(params),
        lambda backend: jax.jit(jax.jvp, static_argnums=0)(
            lambda params: gradient(backend, params, inputs), (params,), (params,)
        ),
    ):
        assert distance(transformed("native"), transformed("plain")) < 1e-4


def test_inputs_without_a_gradient_cost_none():
    params, inputs, is_token = draw(recurrent.lstm)

    def lowered(argnums):
        def total(params, inputs):
            return jnp.sum(
                recurrent.run_final(recurrent.lstm, params, inputs, is_token=is_token, backend="native").hidden
            )

        return jax.jit(jax.grad(total, argnums=argnums)).lower(params, inputs).as_text()

    cotangent = f"tensor<{ROWS}x{TIME}x{INPUT}xf32>"
    assert lowered((0, 1)).count(cotangent) > lowered(0).count(cotangent)
    assert f"tensor<0x{TIME}x{INPUT}xf32>" in lowered(0)


@pytest.mark.parametrize("again", [jax.checkpoint, lambda function: partial(_scanned, function)], ids=["remat", "scan"])
def test_gradients_of_one_function_in_several_ways_do_not_disturb_each_other(again):
    """JAX traces a jitted function once, and its forward pass once for each choice of arguments with a gradient."""
    params, inputs, is_token = draw(recurrent.lstm)

    def total(params, inputs):
        run = partial(recurrent.run_final, recurrent.lstm, is_token=is_token, backend="native")
        return jnp.sum(run(params, inputs).hidden)

    both, _ = jax.grad(total, argnums=(0, 1))(params, inputs), jax.grad(total)(params, inputs)
    assert distance(jax.grad(again(total), argnums=(0, 1))(params, inputs), both) < 1e-6


def _scanned(function, *arguments):
    return jax.lax.scan(lambda sum_, _: (sum_ + function(*arguments), None), 0.0, length=1)[0]


@pytest.mark.parametrize("axis_type", [AxisType.Auto, AxisType.Explicit])
def test_rows_may_be_sharded(axis_type):
    mesh = jax.make_mesh((1,), ("data",), axis_types=(axis_type,))
    params, inputs, is_token = draw(recurrent.lstm)
    sharding = jax.sharding.NamedSharding(mesh, PartitionSpec("data"))
    expected = results(recurrent.lstm, "plain", params, inputs, is_token)
    with jax.set_mesh(mesh):
        ours = results(
            recurrent.lstm, "native", params, jax.device_put(inputs, sharding), jax.device_put(is_token, sharding)
        )
    assert distance(ours, expected) < 1e-5


def test_an_export_is_refused_and_the_message_names_the_way_out():
    params, inputs, _ = draw(recurrent.lstm)
    run = jax.jit(lambda inputs: recurrent.run(recurrent.lstm, params, inputs, backend="native")[0])
    with pytest.raises(ValueError, match="backend='fused' can be exported"):
        jax.export.export(run)(inputs).serialize()


@pytest.mark.parametrize(
    "change, message",
    [
        ({1: (INPUT + 1, 4 * HIDDEN)}, r"array 1 has shape \[6, 76\], not \[5, 76\]"),
        ({6: (ROWS, TIME + 1)}, "array 6 has shape"),
        ({0: (ROWS, TIME)}, "too few axes"),
        ({4: (ROWS, HIDDEN)}, "one of two initial states is missing"),
        ({14: (ROWS, TIME)}, r"array 0 has shape \[7, 13, 5\], not \[1, 13, 5\]"),
        ({15: (1,)}, "the prefix is a row of no table"),
        ({("result", 0): (ROWS, TIME, HIDDEN), ("result", 4): (ROWS, TIME, 1)}, r"array 4 has shape \[7, 13, 1\]"),
    ],
)
def test_shapes_are_checked_in_cpp_too(change, message):
    dtypes = {6: jnp.bool_, 7: jnp.bool_, 8: jnp.int32, 13: jnp.int32, 14: jnp.int32, 15: jnp.int32}
    shapes = [
        (ROWS, TIME, INPUT), (INPUT, 4 * HIDDEN), (HIDDEN, 4 * HIDDEN), (1, 4 * HIDDEN), (0, HIDDEN), (0, HIDDEN),
        (0, 0), (0, 0), (0, 0), (0, HIDDEN), (0, HIDDEN), (0, 1, HIDDEN), (0,), (0,), (0, 0), (0,),
    ]  # fmt: skip
    arrays = [jnp.zeros(change.get(at, shape), dtypes.get(at, jnp.float32)) for at, shape in enumerate(shapes)]
    like = [
        jax.ShapeDtypeStruct(change.get(("result", at), shape), jnp.float32)
        for at, shape in enumerate(((0, TIME, HIDDEN), (ROWS, HIDDEN), (ROWS, HIDDEN), (0,), (0, TIME, HIDDEN)))
    ]
    options = {"cell": 1, "reverse": 0, "truncate_every": 0, "segment_size": 0, "rounds": 0, "mode": 0}
    with pytest.raises(Exception, match=message):
        jax.block_until_ready(jax.ffi.ffi_call(TARGETS["forward"], like)(*arrays, **options))


@pytest.mark.parametrize(
    "refused, reason",
    [
        ({"cell": recurrent.layer_norm_lstm}, "the cell is none of simple_rnn, lstm and gru"),
        ({"dtype": jnp.float16}, "the params are float16"),
    ],
)
def test_what_it_cannot_run_is_refused_with_the_reason(refused, reason):
    cell = refused.get("cell", recurrent.lstm)
    params = cell.init(jax.random.key(0), INPUT, HIDDEN, dtype=refused.get("dtype", jnp.float32))
    inputs = jnp.zeros((ROWS, TIME, INPUT))
    with pytest.raises(ValueError, match=reason):
        recurrent.run(cell, params, inputs, backend="native")
    assert "native" in recurrent.explain(cell, params, inputs).refusals


@pytest.mark.parametrize("has_lookup", [False, True])
@pytest.mark.parametrize("name", ["simple_rnn", "lstm", "gru"])
def test_inputs_of_another_size_are_refused_as_by_the_cells(name, has_lookup):
    cell = recurrent.CELLS[name]
    params = cell.init(jax.random.key(0), input_size=3, hidden_size=4)
    inputs, options = jnp.ones((2, 5, 4)), {}
    if has_lookup:
        table = jnp.ones((6, 4))
        inputs, options = jnp.zeros((2, 5), jnp.int32), {"make_inputs": lambda tokens: table[tokens]}
    for backend in ("native", "plain"):
        with pytest.raises(ValueError, match="x has 4 features, but the kernel takes 3"):
            recurrent.run(cell, params, inputs, backend=backend, **options)
