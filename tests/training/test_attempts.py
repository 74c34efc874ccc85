"""Steps that overwrite their state, against a loop in Python that keeps the state before each step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from recurrent.training import init_state
from recurrent.training.attempts import Advanced, take_steps
from tests.training.test_loop import with_nan
from tests.training.test_step import train

NUM_STEPS = 9


def take(bad, skips, best=0.0):
    """Adds each step's number to a param; bad steps leave NaN behind."""
    is_bad = jnp.isin(jnp.arange(NUM_STEPS), jnp.array(sorted(bad) or [-1]))

    def advance(state, had_finite):
        poisoned = jnp.where(is_bad[state.step], jnp.nan, state.params + state.step.astype(jnp.float32))
        return Advanced(state._replace(params=poisoned, step=state.step + 1), had_finite, ~is_bad[state.step])

    def pass_over(state):
        return state._replace(step=state.step + 1, skipped=state.skipped + 1)

    state = init_state(jnp.float32(0), optax.sgd(0.1), metrics=[])
    state = jax.jit(lambda state: take_steps(advance, pass_over if skips else None, state, jnp.int32(NUM_STEPS)))(state)
    return float(state.params), int(state.step), int(state.skipped)


@pytest.mark.parametrize("bad", [set(), {0}, {8}, {4}, {3, 4}, {0, 1, 5, 8}, set(range(NUM_STEPS))])
def test_bad_steps_are_passed_over_or_end_the_call(bad):
    good = [step for step in range(NUM_STEPS) if step not in bad]
    assert take(bad, skips=True) == (sum(good), NUM_STEPS, len(bad))
    first = min(bad, default=NUM_STEPS)
    assert take(bad, skips=False) == (sum(range(first)), first, 0)


def test_the_state_before_a_bad_step_has_the_bits_of_fewer_steps(experiment):
    stopped = train(with_nan(experiment()), [5])
    assert 0 < stopped.step < 5
    expected = train(experiment(), [int(stopped.step)])
    jax.tree.map(np.testing.assert_array_equal, expected, stopped)
