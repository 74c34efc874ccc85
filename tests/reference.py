"""The cells in NumPy float64 loops, forwards and, differentiated by hand, backwards: what all other code is held to.

Params are (W, U, b) and states tuples of arrays whose first one is the output. `run` and `gradients` take one sequence;
`solve` puts the same problem to the library.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
State = tuple[Floats, ...]
Params = tuple[Floats, Floats, Floats]

TIME, INPUT, HIDDEN = 7, 3, 4  # all different, so that no swapped axis goes unnoticed


def simple_rnn(params: Params, state: State, x: Floats) -> State:
    W, U, b = params
    return (np.tanh(x @ W + state[0] @ U + b),)


def simple_rnn_backward(params: Params, state: State, x: Floats, d_next: State) -> tuple[Params, State, Floats]:
    W, U, _ = params
    (h,), (h_next,) = state, simple_rnn(params, state, x)
    da = d_next[0] * (1 - h_next**2)
    return (np.outer(x, da), np.outer(h, da), da), (U @ da,), W @ da


def lstm(params: Params, state: State, x: Floats) -> State:
    return _lstm(params, state, x)[-1]


def _lstm(params: Params, state: State, x: Floats) -> tuple[Floats, Floats, Floats, Floats, State]:
    W, U, b = params
    h, c = state
    i, f, g, o = np.split(x @ W + h @ U + b, 4)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c_next = f * c + i * g
    return i, f, g, o, (o * np.tanh(c_next), c_next)


def lstm_backward(params: Params, state: State, x: Floats, d_next: State) -> tuple[Params, State, Floats]:
    W, U, _ = params
    (h, c), (dh, dc) = state, d_next
    i, f, g, o, (_, c_next) = _lstm(params, state, x)
    squashed = np.tanh(c_next)
    dc = dc + dh * o * (1 - squashed**2)
    da = np.concatenate([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * squashed * o * (1 - o)])
    return (np.outer(x, da), np.outer(h, da), da), (U @ da, dc * f), W @ da


def gru(params: Params, state: State, x: Floats) -> State:
    return _gru(params, state, x)[-1]


def _gru(params: Params, state: State, x: Floats) -> tuple[Floats, Floats, Floats, Floats, State]:
    W, U, b = params
    (h,) = state
    xz, xr, xn = np.split(x @ W + b[0], 3)
    hz, hr, hn = np.split(h @ U + b[1], 3)
    z, r = sigmoid(xz + hz), sigmoid(xr + hr)
    n = np.tanh(xn + r * hn)
    return z, r, n, hn, (z * h + (1 - z) * n,)


def gru_backward(params: Params, state: State, x: Floats, d_next: State) -> tuple[Params, State, Floats]:
    W, U, _ = params
    (h,), (dh,) = state, d_next
    z, r, n, hn, _ = _gru(params, state, x)
    dz, dn = dh * (h - n) * z * (1 - z), dh * (1 - z) * (1 - n**2)
    dr = dn * hn * r * (1 - r)
    dx, dhu = np.concatenate([dz, dr, dn]), np.concatenate([dz, dr, dn * r])
    return (np.outer(x, dx), np.outer(h, dhu), np.stack([dx, dhu])), (z * dh + U @ dhu,), W @ dx


def gru_reset_before(params: Params, state: State, x: Floats) -> State:
    return _gru_reset_before(params, state, x)[-1]


def _gru_reset_before(params: Params, state: State, x: Floats) -> tuple[Floats, Floats, Floats, State]:
    W, U, b = params
    (h,) = state
    Uz, Ur, Un = np.split(U, 3, axis=1)
    xz, xr, xn = np.split(x @ W + b, 3)
    z, r = sigmoid(xz + h @ Uz), sigmoid(xr + h @ Ur)
    n = np.tanh(xn + (r * h) @ Un)
    return z, r, n, (z * h + (1 - z) * n,)


def gru_reset_before_backward(params: Params, state: State, x: Floats, d_next: State) -> tuple[Params, State, Floats]:
    W, U, _ = params
    (h,), (dh,) = state, d_next
    Uz, Ur, Un = np.split(U, 3, axis=1)
    z, r, n, _ = _gru_reset_before(params, state, x)
    dz, dn = dh * (h - n) * z * (1 - z), dh * (1 - z) * (1 - n**2)
    d_reset = Un @ dn
    dr = d_reset * h * r * (1 - r)
    da = np.concatenate([dz, dr, dn])
    dU = np.concatenate([np.outer(h, dz), np.outer(h, dr), np.outer(r * h, dn)], axis=1)
    return (np.outer(x, da), dU, da), (z * dh + r * d_reset + Uz @ dz + Ur @ dr,), W @ da


def sigmoid(a: Floats) -> Floats:
    return 1 / (1 + np.exp(-a))


class Equations(NamedTuple):
    """A cell: its step, the step's derivative, and what `draw` has to know."""

    step: Callable[[Params, State, Floats], State]
    backward: Callable[[Params, State, Floats, State], tuple[Params, State, Floats]]
    num_gates: int
    num_states: int
    num_biases: int = 1


CELLS = {
    "simple_rnn": Equations(simple_rnn, simple_rnn_backward, num_gates=1, num_states=1),
    "lstm": Equations(lstm, lstm_backward, num_gates=4, num_states=2),
    "gru": Equations(gru, gru_backward, num_gates=3, num_states=1, num_biases=2),
    "gru_reset_before": Equations(gru_reset_before, gru_reset_before_backward, num_gates=3, num_states=1),
}


class Problem(NamedTuple):
    """Sequences to run, and the cotangents of what comes out."""

    params: Params
    inputs: Floats
    initial: State
    d_outputs: Floats
    d_final: State

    def row(self, index: tuple[int, ...]) -> "Problem":
        """Takes one sequence out of a batch."""
        return jax.tree.map(lambda array: array[index], self._replace(params=()))._replace(params=self.params)


def draw(
    name: str,
    seed: int = 0,
    *,
    batch: tuple[int, ...] = (),
    time: int = TIME,
    input_size: int = INPUT,
    hidden_size: int = HIDDEN,
) -> Problem:
    """Draws a problem for a cell; no bias, state or cotangent is zero, and weights are large enough to matter."""
    numbers = np.random.default_rng(seed)
    cell = CELLS[name]
    columns = cell.num_gates * hidden_size
    bias_shape = (2, columns) if cell.num_biases == 2 else (columns,)
    shapes = ((input_size, columns), (hidden_size, columns), bias_shape)
    return Problem(
        params=tuple(0.7 * numbers.normal(size=shape) for shape in shapes),
        inputs=numbers.normal(size=(*batch, time, input_size)),
        initial=tuple(numbers.normal(size=(*batch, hidden_size)) for _ in range(cell.num_states)),
        d_outputs=numbers.normal(size=(*batch, time, hidden_size)),
        d_final=tuple(numbers.normal(size=(*batch, hidden_size)) for _ in range(cell.num_states)),
    )


class _Visit(NamedTuple):
    """What one step of a pass did."""

    at: int
    is_reset: bool
    is_token: bool
    before: State


def run(
    name: str,
    problem: Problem,
    *,
    is_token: Sequence[bool] | None = None,
    is_start: Sequence[bool] | None = None,
    reverse: bool = False,
) -> tuple[Floats, State]:
    """Returns outputs and final state."""
    outputs, final, _ = _run(name, problem, is_token, is_start, reverse)
    return outputs, final


def _run(
    name: str, problem: Problem, is_token: Any, is_start: Any, reverse: bool
) -> tuple[Floats, State, list[_Visit]]:
    time = len(problem.inputs)
    state = problem.initial
    held = np.zeros_like(state[0])
    outputs = np.zeros((time, len(held)))
    visits = []
    for t in reversed(range(time)) if reverse else range(time):
        is_reset = _is_reset(t, time, is_start, reverse)
        if is_reset:
            state = tuple(np.zeros_like(array) for array in state)
            held = np.zeros_like(held)
        counts = is_token is None or bool(is_token[t])
        visits.append(_Visit(t, is_reset, counts, state))
        if counts:
            state = CELLS[name].step(problem.params, state, problem.inputs[t])
            held = state[0]
        outputs[t] = held
    return outputs, state, visits


def _is_reset(t: int, time: int, is_start: Any, reverse: bool) -> bool:
    """Backwards, the step that follows a sequence's first one belongs to the sequence before."""
    if is_start is None:
        return False
    if reverse:
        return t + 1 < time and bool(is_start[t + 1])
    return bool(is_start[t])


def gradients(
    name: str,
    problem: Problem,
    *,
    is_token: Sequence[bool] | None = None,
    is_start: Sequence[bool] | None = None,
    reverse: bool = False,
) -> tuple[Params, Floats, State]:
    """Backpropagates the cotangents through time, by hand; returns those of params, inputs and initial state."""
    _, _, visits = _run(name, problem, is_token, is_start, reverse)
    d_params = tuple(np.zeros_like(array) for array in problem.params)
    d_inputs = np.zeros_like(problem.inputs)
    d_state = problem.d_final
    d_held = np.zeros_like(d_state[0])
    for visit in reversed(visits):
        d_held = d_held + problem.d_outputs[visit.at]
        if visit.is_token:
            d_state = (d_state[0] + d_held, *d_state[1:])
            d_held = np.zeros_like(d_held)
            x = problem.inputs[visit.at]
            d_step, d_state, d_inputs[visit.at] = CELLS[name].backward(problem.params, visit.before, x, d_state)
            d_params = tuple(total + more for total, more in zip(d_params, d_step, strict=True))
        if visit.is_reset:
            d_state = tuple(np.zeros_like(array) for array in d_state)
            d_held = np.zeros_like(d_held)
    return d_params, d_inputs, d_state


def to_library(cell: Any, problem: Problem, dtype: Any = np.float32) -> Problem:
    """Returns the same problem in the cell's own NamedTuples."""
    problem = jax.tree.map(lambda array: jnp.asarray(array, dtype), problem)
    params = cell.Params(*problem.params)
    return problem._replace(params=params, initial=cell.State(*problem.initial), d_final=cell.State(*problem.d_final))


def solve(run: Any, cell: Any, problem: Problem, **options: Any) -> tuple[Any, Any]:
    """Runs the library (`scan_cell`, `run`) on a problem; returns its results and its gradients, as NumPy arrays."""
    return jax.tree.map(np.asarray, differentiate(run, cell, problem, **options))


@partial(jax.jit, static_argnums=(0, 1), static_argnames=("reverse", "segment_size", "dtype"))
def differentiate(run: Any, cell: Any, problem: Problem, **options: Any) -> tuple[Any, Any]:
    """Does what `solve` does, and may itself be differentiated."""

    def forward(params: Any, inputs: Any, initial: Any) -> Any:
        return run(cell, params, inputs, initial=initial, **options)

    results, pullback = jax.vjp(forward, problem.params, problem.inputs, problem.initial)
    return results, pullback((problem.d_outputs, problem.d_final))


def check(actual: Any, expected: Any, tolerance: float) -> None:
    """Asserts that each array is as expected, to a tolerance relative to its norm."""
    errors = [relative_error(*pair) for pair in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)]
    assert all(error <= tolerance for error in errors), errors


def check_bitwise(actual: Any, expected: Any) -> None:
    """Asserts that all arrays have the same bits, and that they are numbers."""
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, other, strict=True)


def relative_error(actual: Any, expected: Any) -> float:
    """Returns the norm of the difference over the norm of what was expected; exact zeros must be met exactly."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    norm = np.linalg.norm(expected)
    difference = np.linalg.norm(actual - expected)
    return float(difference / norm) if norm > 0 else float("inf" if difference > 0 else 0)
