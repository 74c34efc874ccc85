"""`check_cell` passes cells that keep the rules, and says of each other one what is wrong and what to do."""

import subprocess
import sys
from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent.cells import precision
from recurrent.testing import check_cell
from tests.layers.own_cells import Own


class Params(NamedTuple):
    kernel: jax.Array
    recurrent: jax.Array
    bias: jax.Array


class State(NamedTuple):
    hidden: jax.Array


@dataclass(frozen=True)
class Right:
    """h' = tanh(x W + h U + b)."""

    def init(self, key, input_size, hidden_size):
        both = 0.5 * jax.random.normal(key, (input_size + hidden_size, hidden_size))
        return Params(both[:input_size], both[input_size:], jnp.zeros(hidden_size))

    def zero_state(self, params):
        return State(jnp.zeros(params.bias.shape, precision.carry_dtype(params.bias.dtype)))

    def project(self, params, x):
        projected = precision.matmul(x, params.kernel)
        return projected + params.bias.astype(projected.dtype)

    def recur(self, params, state):
        return precision.matmul(state.hidden, params.recurrent)

    def update(self, params, state, projected, recurrent):
        hidden = jnp.tanh(projected + recurrent)
        return State(hidden), hidden


@pytest.mark.parametrize("name", recurrent.CELLS)
def test_cells_of_the_catalogue_pass(name):
    # Precision has tests of its own for each of them.
    check_cell(recurrent.CELLS[name], dtypes=["float32"])


def test_a_cell_of_ones_own_passes_in_every_dtype_and_size_and_leaves_settings_alone():
    settings = ("jax_enable_x64", "jax_numpy_dtype_promotion", "jax_numpy_rank_promotion")
    before = [getattr(jax.config, name) for name in settings]
    check_cell(Right(), input_size=5, hidden_size=1, key=jax.random.key(7))
    assert [getattr(jax.config, name) for name in settings] == before
    assert jnp.ones(2).dtype == jnp.float32


@pytest.mark.parametrize("kind", ["dict", "integers"])
def test_params_may_have_any_structure(kind):
    check_cell(Own(kind), dtypes=["float32"])


@dataclass(frozen=True)
class WithoutRecur:
    init, zero_state, project, update = Right.init, Right.zero_state, Right.project, Right.update


@dataclass(frozen=True)
class Unhashable(Right):
    options: list = field(default_factory=list)


@dataclass(frozen=True)
class OptionInParams(Right):
    def init(self, key, input_size, hidden_size):
        return {"rate": 0.5, "arrays": super().init(key, input_size, hidden_size)}


@dataclass(frozen=True)
class SharedArray(Right):
    def init(self, key, input_size, hidden_size):
        params = super().init(key, input_size, hidden_size)
        return {"one": params, "other": params.bias}


@dataclass(frozen=True)
class DrawsByNumPy(Right):
    def init(self, key, input_size, hidden_size):
        params = super().init(key, input_size, hidden_size)
        return params._replace(bias=jnp.asarray(np.random.default_rng().normal(size=hidden_size), jnp.float32))


@dataclass(frozen=True)
class InfiniteParams(Right):
    def init(self, key, input_size, hidden_size):
        return super().init(key, input_size, hidden_size)._replace(bias=jnp.full(hidden_size, jnp.inf))


@dataclass(frozen=True)
class AlwaysFloat32(Right):
    def zero_state(self, params):
        return State(jnp.zeros(params.bias.shape, jnp.float32))

    def update(self, params, state, projected, recurrent):
        hidden = jnp.tanh(projected + recurrent).astype(jnp.float32)
        return State(hidden), hidden


@dataclass(frozen=True)
class NarrowState(Right):
    def zero_state(self, params):
        return State(jnp.zeros(params.bias.shape, params.bias.dtype))

    def update(self, params, state, projected, recurrent):
        hidden = jnp.tanh(projected + recurrent).astype(params.bias.dtype)
        return State(hidden), hidden


@dataclass(frozen=True)
class MixedDtypes(Right):
    def recur(self, params, state):
        return state.hidden @ params.recurrent


@dataclass(frozen=True)
class BatchInProject(Right):
    def project(self, params, x):
        return jnp.einsum("bi,ih->bh", x, params.kernel)


@dataclass(frozen=True)
class MixedRanks(Right):
    def update(self, params, state, projected, recurrent):
        hidden = jnp.tanh(projected[None] + recurrent)[0]
        return State(hidden), hidden


@dataclass(frozen=True)
class GrowingState(Right):
    def update(self, params, state, projected, recurrent):
        hidden = jnp.tanh(projected + recurrent)
        return State(jnp.concatenate([hidden, hidden])), hidden


@dataclass(frozen=True)
class StateInAnotherDtype(Right):
    def update(self, params, state, projected, recurrent):
        hidden = jnp.tanh(projected + recurrent)
        return State(hidden.astype(jnp.bfloat16)), hidden


@dataclass(frozen=True)
class OutputFirst(Right):
    def update(self, params, state, projected, recurrent):
        state, output = super().update(params, state, projected, recurrent)
        return output, state


@dataclass(frozen=True)
class StateAlone(Right):
    def update(self, params, state, projected, recurrent):
        return super().update(params, state, projected, recurrent)[0]


@dataclass(frozen=True)
class IntegerOutput(Right):
    def update(self, params, state, projected, recurrent):
        state, output = super().update(params, state, projected, recurrent)
        return state, output > 0


@dataclass(frozen=True)
class DecidesInPython(Right):
    def update(self, params, state, projected, recurrent):
        if jnp.sum(recurrent) > 0:
            return State(projected), projected
        return super().update(params, state, projected, recurrent)


@dataclass(frozen=True)
class ComputesInNumPy(Right):
    def update(self, params, state, projected, recurrent):
        hidden = jnp.asarray(np.tanh(np.asarray(projected + recurrent)))
        return State(hidden), hidden


@dataclass(frozen=True)
class WrongGates(Right):
    def gates(self, params, state):
        return state


@dataclass(frozen=True)
class Counts(Right):
    calls: list = field(default_factory=list, hash=False)

    def update(self, params, state, projected, recurrent):
        self.calls.append(1)
        hidden = jnp.tanh(projected + recurrent) / len(self.calls)
        return State(hidden), hidden


@dataclass(frozen=True)
class KeepsSizes(Right):
    sizes: dict = field(default_factory=dict, hash=False)

    def init(self, key, input_size, hidden_size):
        self.sizes["hidden"] = hidden_size
        return super().init(key, input_size, hidden_size)

    def zero_state(self, params):
        return State(jnp.zeros(self.sizes["hidden"], precision.carry_dtype(params.bias.dtype)))


@dataclass(frozen=True)
class FixedSize(Right):
    def zero_state(self, params):
        return State(jnp.zeros(4, precision.carry_dtype(params.bias.dtype)))


@dataclass(frozen=True)
class InfiniteDerivative(Right):
    def update(self, params, state, projected, recurrent):
        hidden = jnp.tanh(projected + recurrent) + jnp.sqrt(jnp.abs(state.hidden))
        return State(hidden), hidden


@dataclass(frozen=True)
class NotFinite(Right):
    def update(self, params, state, projected, recurrent):
        hidden = jnp.log(projected - projected) - jnp.log(recurrent - recurrent)
        return State(hidden), hidden


@dataclass(frozen=True)
class WrongInBatches(Right):
    def project(self, params, x):
        return super().project(params, x) * (2 if "Batch" in type(x).__name__ else 1)


@pytest.mark.parametrize(
    "cell, message",
    [
        (Right, "Right is a class: pass an instance, such as Right()"),
        (WithoutRecur(), "WithoutRecur lacks recur: recurrent.Cell describes them"),
        (Unhashable(), "has no hash .*write @dataclass\\(frozen=True\\)"),
        (OptionInParams(), "params that are no arrays of JAX .*'rate'.* float.*fields of the cell"),
        (SharedArray(), "one array in two places of its params"),
        (DrawsByNumPy(), "draws other params for the same key"),
        (InfiniteParams(), "draws params that are not finite"),
        (AlwaysFloat32(), "carries its state in float32 for params in float64.*carry_dtype"),
        (NarrowState(), "carries its state in bfloat16 for params in bfloat16, not in float32"),
        (MixedDtypes(), r"fails in recur\(params, state\) with TypePromotionError .*cast with .astype"),
        (BatchInProject(), r"fails in project\(params, x\) with ValueError .*one example at one step"),
        (MixedRanks(), r"fails in update\(.*\) with ValueError .*without broadcasting of ranks"),
        (GrowingState(), r"changes its state from .*hidden float32\[4\] to .*hidden float32\[8\]: shapes and dtypes"),
        (StateInAnotherDtype(), r"changes its state from .*float32\[4\] to .*bfloat16\[4\].*astype"),
        (OutputFirst(), r"returns a state of another structure .*update returns \(state, output\)"),
        (StateAlone(), "returns State from update: return the next state and the output"),
        (IntegerOutput(), r"has the output bool\[4\]: .*floating-point outputs"),
        (DecidesInPython(), r"fails in update\(.*TracerBoolConversionError .*use jnp.where, not `if`"),
        (ComputesInNumPy(), r"fails in update\(.*TracerArrayConversionError .*use jax.numpy in place of NumPy"),
        (WrongGates(), r"fails in gates\(params, state, projected, recurrent\) with TypeError"),
        (Counts(), "returns different results for the same arguments: its functions are pure"),
        (KeepsSizes(), "(works in one size only|has other shapes after init).*sizes are read off the params"),
        (FixedSize(), "works in one size only .*sizes are read off the params"),
        (InfiniteDerivative(), "computes gradients of the initial state that are not finite: .*sqrt at 0"),
        (NotFinite(), "computes outputs that are not finite"),
        (WrongInBatches(), r"differ from a loop over recurrent.step by .* in float32: .*pure functions"),
    ],
    ids=lambda each: type(each).__name__ if not isinstance(each, str) else "",
)
def test_a_broken_cell_is_told_what_is_wrong(cell, message):
    with pytest.raises(AssertionError, match=message) as error:
        check_cell(cell)
    assert "\n" not in str(error.value)


def test_a_cell_for_one_dtype_is_checked_in_that_one():
    check_cell(AlwaysFloat32(), dtypes=[jnp.float32])


def test_no_test_runner_is_imported():
    program = "import recurrent.testing, sys; print({'pytest', 'hypothesis', 'flax', 'optax'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "set()\n"
