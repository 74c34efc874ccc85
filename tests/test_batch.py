"""A batch: `run` is a loop of `scan_cell` over its rows, whatever stands in front of time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from tests import reference

TIME = reference.TIME
every_cell = pytest.mark.parametrize("name", reference.CELLS)


@pytest.mark.parametrize(
    "name, batch, options",
    [
        *((name, (3,), {}) for name in reference.CELLS),
        ("lstm", (), {}),
        ("lstm", (2, 3), {}),
        ("lstm", (3,), {"reverse": True, "segment_size": 3}),
    ],
    ids=str,
)
def test_run_is_a_loop_of_scan_cell(name, batch, options, float64):
    cell = recurrent.CELLS[name]
    problem = reference.draw(name, batch=batch)
    numbers = np.random.default_rng(0)
    is_token, is_start = (numbers.random((*batch, TIME)) < share for share in (0.6, 0.3))
    (outputs, final), (d_params, d_inputs, d_initial) = reference.solve(
        recurrent.run,
        cell,
        reference.to_library(cell, problem, np.float64),
        is_token=is_token,
        is_start=is_start,
        **options,
    )
    d_params_of_rows = []
    for index in np.ndindex(batch):
        masks = {"is_token": is_token[index], "is_start": is_start[index]}
        ours = reference.to_library(cell, problem.row(index), np.float64)
        expected, (d_params_of_row, *d_rest) = reference.solve(recurrent.scan_cell, cell, ours, **masks, **options)
        row = jax.tree.map(lambda leaf, index=index: leaf[index], (outputs, final, d_inputs, d_initial))
        reference.check(row, (*expected, *d_rest), 1e-12)
        d_params_of_rows.append(d_params_of_row)
    reference.check(d_params, jax.tree.map(lambda *rows: sum(rows), *d_params_of_rows), 1e-12)


@every_cell
@pytest.mark.parametrize("batch, masked", [((0,), False), ((2, 0), True)], ids=["(0,)", "(2, 0) masked"])
def test_an_empty_batch_has_empty_results_and_no_gradient(name, batch, masked):
    cell = recurrent.CELLS[name]
    problem = reference.to_library(cell, reference.draw(name, batch=batch))
    options = {"is_token": np.ones((*batch, TIME), bool)} if masked else {}
    (outputs, final), (d_params, _, _) = reference.solve(recurrent.run, cell, problem, **options)
    assert outputs.shape == (*batch, TIME, reference.HIDDEN)
    assert {leaf.shape for leaf in final} == {(*batch, reference.HIDDEN)}
    reference.check_bitwise(d_params, jax.tree.map(np.zeros_like, problem.params))


@every_cell
def test_rows_do_not_see_each_other(name):
    cell = recurrent.CELLS[name]
    problem = reference.to_library(cell, reference.draw(name, batch=(3,)))
    spoilt = np.array(problem.inputs)
    spoilt[1] = np.nan
    run = jax.jit(recurrent.run, static_argnums=0)
    (outputs, _), (expected, _) = (
        jax.tree.map(np.asarray, run(cell, problem.params, inputs)) for inputs in (spoilt, problem.inputs)
    )
    assert np.isnan(outputs[1]).all()
    reference.check_bitwise(outputs[[0, 2]], expected[[0, 2]])


def test_the_outputs_dtype_is_passed_on():
    params = recurrent.lstm.init(jax.random.key(0), 3, 4)
    outputs, final = recurrent.run(recurrent.lstm, params, jnp.ones((2, TIME, 3)), dtype=jnp.bfloat16)
    assert outputs.dtype == jnp.bfloat16
    assert final.memory.dtype == jnp.float32


REFUSED = {
    "one step": ({"inputs": jnp.ones(3)}, r"must be \[\*batch, time, input\], not of shape \[\(3,\)\]"),
    "token ids": ({"inputs": jnp.ones((2, TIME, 3), jnp.int32)}, "floating point, not int32: embed or cast"),
    "one mask for all rows": ({"is_token": jnp.ones(TIME, bool)}, r"is_token must be bool\[2, 7\], not bool\[7\]"),
    "a mask of too few rows": (
        {"is_token": jnp.ones((1, TIME), bool)},
        r"is_token must be bool\[2, 7\], not bool\[1, 7\]",
    ),
    "a mask of numbers": ({"is_token": jnp.ones((2, TIME))}, r"is_token must be bool\[2, 7\], not float32\[2, 7\]"),
    "one start for all rows": ({"is_start": jnp.ones(TIME, bool)}, r"is_start must be bool\[2, 7\], not bool\[7\]"),
    "one state for all rows": (
        {"initial": recurrent.lstm.State(jnp.ones(4), jnp.ones(4))},
        r"an array of shape \(4,\), which must be \(2, 4\)",
    ),
    "states of too many rows": (
        {"initial": recurrent.lstm.State(jnp.ones((3, 4)), jnp.ones((3, 4)))},
        r"an array of shape \(3, 4\), which must be \(2, 4\)",
    ),
    "a larger state": (
        {"initial": recurrent.lstm.State(jnp.ones((2, 5)), jnp.ones((2, 5)))},
        r"an array of shape \(2, 5\), which must be \(2, 4\)",
    ),
    "no segment": ({"segment_size": 0}, "segment_size must be an integer of at least 1, not 0"),
}


@pytest.mark.parametrize("arguments, message", REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused(arguments, message):
    params = recurrent.lstm.init(jax.random.key(0), 3, 4)
    with pytest.raises(ValueError, match=message):
        recurrent.run(recurrent.lstm, params, **{"inputs": jnp.ones((2, TIME, 3)), **arguments})
