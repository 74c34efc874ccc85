"""What `explain` says is what happens."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

import recurrent
import recurrent.native
from recurrent.backends import choose, plain
from recurrent.backends.fused import plan
from recurrent.call.call import make_call

PARAMS = recurrent.lstm.init(jax.random.key(0), 3, 4)
FASTEST = "native" if recurrent.native.why_not() is None else "fused"


def test_the_fast_path_covers_what_other_libraries_leave_it_for():
    mask = jnp.ones((2, 1, 4))
    arguments = {
        "a mask": {"is_token": jnp.ones((2, 9), bool)},
        "starts": {"is_start": jnp.ones((2, 9), bool)},
        "recurrent dropout": {"recurrent_mask": mask},
        "all of it backwards": {"is_token": jnp.ones((2, 9), bool), "recurrent_mask": mask, "reverse": True},
    }
    backends = {
        name: recurrent.explain(recurrent.lstm, PARAMS, jnp.ones((2, 9, 3)), **each).backend
        for name, each in arguments.items()
    }
    assert backends == dict.fromkeys(arguments, FASTEST)


@pytest.mark.parametrize(
    "name, before, inside",
    [("simple_rnn", 1, 1), ("lstm", 1, 1), ("gru", 1, 1), ("gru_reset_before", 1, 2), ("layer_norm_lstm", 1, 1)],
)
def test_matmuls_are_counted(name, before, inside):
    cell = recurrent.CELLS[name]
    explanation = recurrent.explain(cell, cell.init(jax.random.key(0), 3, 4), jnp.ones((2, 9, 3)))
    assert (explanation.matmuls_before_loop, explanation.matmuls_in_loop) == (before, inside)


def test_a_slow_path_is_named_with_its_reason():
    cell = recurrent.gru_reset_before
    explanation = recurrent.explain(cell, cell.init(jax.random.key(0), 3, 4), jnp.ones((2, 9, 3)))
    assert explanation.backend == "plain"
    assert "multiplies matrices in `update`" in explanation.refusals["fused"]
    assert "not fused: the cell multiplies" in str(explanation)


@pytest.mark.cpu
@pytest.mark.parametrize("backend", sorted({"fused", FASTEST}))
def test_idle_rows_and_prefixes_are_told_apart(backend):
    inputs, explain = jnp.ones((2, 9, 3)), partial(recurrent.explain, recurrent.lstm, PARAMS, backend=backend)
    masked = explain(inputs, is_token=jnp.ones((2, 9), bool))
    prefix = recurrent.Prefix(jnp.ones(3), jnp.array([3, 0]))
    shared = explain(inputs, prefix=prefix, keeps_outputs=False)
    with_outputs = explain(inputs, prefix=prefix)
    assert (masked.skips_idle_rows, masked.shares_prefix) == (True, False)
    assert (shared.skips_idle_rows, shared.shares_prefix) == (True, True)
    assert (with_outputs.skips_idle_rows, with_outputs.shares_prefix) == (False, False)


def test_memory_of_a_long_sequence_grows_with_its_root():
    def gradient_bytes(num_steps: int, backend: str) -> int:
        tokens = jnp.zeros((8, num_steps), jnp.int32)
        arguments = {"keeps_outputs": False, "make_inputs": lambda tokens: jnp.ones((*tokens.shape, 3))}
        return recurrent.explain(recurrent.lstm, PARAMS, tokens, backend=backend, **arguments).gradient_bytes

    short, long = gradient_bytes(1_000, "fused"), gradient_bytes(16_000, "fused")
    assert long < 5 * short
    assert long < gradient_bytes(16_000, "plain") / 9


def test_it_computes_nothing():
    shapes = jax.ShapeDtypeStruct((64, 100_000, 3), jnp.float32)
    params = jax.eval_shape(lambda: PARAMS)
    assert recurrent.explain(recurrent.lstm, params, shapes).backend == FASTEST


def test_a_platform_that_does_not_tell_its_memory(monkeypatch):
    monkeypatch.setattr(jax.stages.Compiled, "memory_analysis", lambda self: None)
    explanation = recurrent.explain(recurrent.lstm, PARAMS, jnp.ones((2, 5, 3)))
    assert (explanation.forward_bytes, explanation.gradient_bytes) == (None, None)
    assert "temporary memory: unknown forward, unknown with gradients" in str(explanation)


def test_a_cell_of_the_catalogue_is_examined_once_for_each_shape():
    def examine(batch, hidden_size):
        before = plan._why_not_module.cache_info().misses
        params = recurrent.simple_rnn.init(jax.random.key(0), 3, hidden_size)
        recurrent.run(recurrent.simple_rnn, params, jnp.ones((batch, 5, 3)), backend="fused")
        return plan._why_not_module.cache_info().misses - before

    assert [examine(2, 7), examine(2, 7), examine(4, 7), examine(2, 8)] == [1, 0, 0, 1]


def test_on_a_gpu_auto_keeps_the_residuals_of_all_steps_while_they_are_small(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    small = make_call(recurrent.lstm, PARAMS, jnp.ones((2, 9, 3)))
    assert plain.residual_bytes(small) == 2 * 9 * 4 * (16 + 16 + 2 * 8)  # projected, recurrent, two states
    params = jax.eval_shape(lambda: PARAMS)
    large = make_call(recurrent.lstm, params, jax.ShapeDtypeStruct((64, 100_000, 3), jnp.float32))
    in_segments = make_call(recurrent.lstm, PARAMS, jnp.ones((2, 9, 3)), segment_size=3)
    assert [choose(call, "auto") for call in (small, large, in_segments)] == ["plain", "fused", "fused"]
