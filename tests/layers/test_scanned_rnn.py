"""`ScannedRNN` beside the class that codebases of recurrent PPO copy from each other."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from recurrent.layers.linen import ScannedRNN
from tests import reference

TIME, ROWS, SIZE = 6, 3, 4
INPUTS = jnp.asarray(np.random.default_rng(0).normal(size=(TIME, ROWS, SIZE)), jnp.float32)
ENDS = np.zeros((TIME, ROWS), bool)
ENDS[2, 0] = ENDS[4, 1] = True
"""The environments' `done`: the first row's episode ends at step 2."""

RESETS = np.concatenate([np.zeros((1, ROWS), bool), ENDS[:-1]])


class Copied(nn.Module):
    """The class as it is copied, with its cell as an option."""

    cell: type = nn.GRUCell

    @partial(nn.scan, variable_broadcast="params", in_axes=0, out_axes=0, split_rngs={"params": False})
    @nn.compact
    def __call__(self, carry, x):
        inputs, resets = x
        zero = ScannedRNN.initialize_carry(inputs.shape[0], inputs.shape[1], self.cell)
        carry = jax.tree.map(lambda start, leaf: jnp.where(resets[:, np.newaxis], start, leaf), zero, carry)
        return self.cell(features=inputs.shape[1])(carry, inputs)


def filled(variables):
    generator = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: jnp.asarray(generator.normal(size=leaf.shape) / 2, jnp.float32), variables)


@pytest.mark.parametrize("cell", [nn.GRUCell, nn.SimpleCell, nn.LSTMCell, nn.OptimizedLSTMCell])
def test_it_equals_the_copied_class(cell):
    ours, theirs, carry = ScannedRNN(cell), Copied(cell), ScannedRNN.initialize_carry(ROWS, SIZE, cell)
    drawn = theirs.init(jax.random.key(0), carry, (INPUTS, RESETS))
    reference.check_bitwise(ours.init(jax.random.key(0), carry, (INPUTS, RESETS)), drawn)
    variables, carry = filled(drawn), filled(carry)

    def solve(layer, resets, variables, carry):
        def loss(variables, carry, inputs):
            carry, outputs = layer.apply(variables, carry, (inputs, resets))
            return (outputs**2).sum() + sum((leaf**2).sum() for leaf in jax.tree.leaves(carry)), (carry, outputs)

        return jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(variables, carry, INPUTS)

    for resets in (RESETS, np.ones_like(RESETS), np.zeros_like(RESETS), RESETS.astype(np.float32)):
        reference.check(*(solve(layer, resets, variables, carry) for layer in (ours, theirs)), 1e-5)


def test_copies_that_make_one_cell_have_another_name_in_their_params():
    carry = ScannedRNN.initialize_carry(ROWS, SIZE)
    layers = ScannedRNN(), ScannedRNN(cell_name="GRUCell_0")
    variables = [layer.init(jax.random.key(0), carry, (INPUTS, RESETS)) for layer in layers]
    assert [list(each["params"]) for each in variables] == [["GRUCell_1"], ["GRUCell_0"]]
    renamed = {"params": {"GRUCell_0": variables[0]["params"]["GRUCell_1"]}}
    results = (
        layer.apply(each, carry, (INPUTS, RESETS)) for layer, each in zip(layers, (variables[0], renamed), strict=True)
    )
    reference.check_bitwise(*results)


def test_a_rollout_of_single_steps_equals_the_whole():
    layer, carry = ScannedRNN(), ScannedRNN.initialize_carry(ROWS, SIZE)
    variables = filled(layer.init(jax.random.key(0), carry, (INPUTS, RESETS)))
    expected = layer.apply(variables, carry, (INPUTS, RESETS))
    step, outputs = jax.jit(layer.apply), []
    for t in range(TIME):
        carry, output = step(variables, carry, (INPUTS[None, t], RESETS[None, t]))
        outputs.append(output[0])
    reference.check((carry, jnp.stack(outputs)), expected, 1e-6)


def test_the_done_of_the_step_itself_is_the_wrong_reset():
    """An episode alone equals the rollout with `done` shifted by a step; with `done` itself, its last step is wrong."""
    layer, carry = ScannedRNN(), ScannedRNN.initialize_carry(ROWS, SIZE)
    variables = filled(layer.init(jax.random.key(0), carry, (INPUTS, RESETS)))

    def run(inputs, resets, carry):
        return np.asarray(layer.apply(variables, carry, (inputs, resets))[1])

    first = run(INPUTS[:3, :1], np.zeros((3, 1), bool), carry[:1])[:, 0]
    second = run(INPUTS[3:, :1], np.zeros((3, 1), bool), carry[:1])[:, 0]
    right, wrong = run(INPUTS, RESETS, carry)[:, 0], run(INPUTS, ENDS, carry)[:, 0]
    np.testing.assert_allclose(right, [*first, *second], atol=1e-6)
    assert np.abs(wrong[2] - first[2]).max() > 0.01
    assert np.abs(wrong[3:] - second).max() > 0.01


def test_no_gradient_passes_a_reset():
    layer, carry = ScannedRNN(), ScannedRNN.initialize_carry(ROWS, SIZE)
    variables = filled(layer.init(jax.random.key(0), carry, (INPUTS, RESETS)))
    gradient = jax.grad(lambda inputs: layer.apply(variables, carry, (inputs, RESETS))[1][3:, 0].sum())(INPUTS)
    assert not np.any(gradient[:3, 0])
    assert np.all(np.any(gradient[3:, 0] != 0, axis=-1))


def test_what_does_not_fit_is_refused():
    carry = ScannedRNN.initialize_carry(ROWS, SIZE)
    with pytest.raises(ValueError, match=r"one bool for each step and row, \(6, 3\), not \(3, 6\): .* time-major"):
        ScannedRNN().init(jax.random.key(0), carry, (INPUTS, RESETS.T))
    with pytest.raises(ValueError, match="MGUCell is none of"):
        ScannedRNN(nn.MGUCell).init(jax.random.key(0), carry, (INPUTS, RESETS))
