"""The training program against Keras: the same weights, batches and optimizer give the same loss at every step.

Reviews are short here, because a SimpleRNN's gradients over long ones explode now and then: at 500 words the float32
losses of Keras and of this library both leave the float64 ones by up to 10 % within 50 steps, and so each other.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from experiments.imdb.reviews.examples import Examples
from experiments.imdb.training.model import init_params, make_forward
from experiments.imdb.training.objective import make_objective
from experiments.imdb.training.optimizer import make_optimizer
from experiments.imdb.training.recipes import RECIPES
from recurrent.training import init_state, make_mesh, make_train_steps, replicate
from recurrent.training.mesh import shard
from recurrent.training.objective import zero_sums
from recurrent.training.order import Batches

PUBLISHED = ("lstm", "gru", "simple-rnn")
BATCH, TIME, STEPS = 128, 30, 50
BATCHES = np.stack(
    [draw.choice(BATCH * 10, BATCH, replace=False) for draw in [np.random.default_rng(1)] for _ in range(STEPS)]
).astype(np.int32)


@pytest.fixture(scope="module")
def examples():
    """Reviews that can be learnt: words of one half of the vocabulary are more frequent where the label is 1."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, BATCH * 10).astype(np.float32)
    words = draw.integers(4, 5000, (len(labels), TIME)) + 4990 * (
        draw.random((len(labels), TIME)) < 0.3 + 0.4 * labels[:, None]
    )
    length = draw.integers(5, TIME + 1, len(labels))
    return Examples(np.where(np.arange(TIME) >= TIME - length[:, None], words, 0).astype(np.uint16), labels)


def our_losses(recipe, examples, batches):
    """Takes the steps one by one; the epoch's running sums give each step's loss."""
    optimizer, mesh = make_optimizer(recipe, len(batches)), make_mesh(2)
    steps = make_train_steps(make_objective(make_forward(recipe), recipe), optimizer, mesh)
    state = replicate(init_state(init_params(recipe), optimizer), mesh)
    data, key = replicate(jax.tree.map(jnp.asarray, examples), mesh), replicate(jax.random.key(0), mesh)
    order = shard(
        Batches(batches.reshape(len(batches), 2, -1), np.ones((len(batches), 2, BATCH // 2), np.float32)), mesh, 1
    )
    losses = []
    for _ in range(len(batches)):
        zeroed = state._replace(sums=replicate(zero_sums(["acc"]), mesh))
        state = steps(zeroed, data, order, key, jnp.int32(1))
        losses.append(float(state.sums.loss) / float(state.sums.weight))
    return losses


def keras_losses(recipe, examples, batches):
    import keras

    cells = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "simple_rnn": keras.layers.SimpleRNN}
    model = keras.Sequential(
        [
            keras.layers.Input((TIME,), dtype="int32"),
            keras.layers.Embedding(recipe.vocabulary_size, recipe.embedding_size),
            # Keras' own tanh, which is the default, makes float32 of float64.
            cells[recipe.cell](recipe.hidden_size, activation=jnp.tanh),
            keras.layers.Dense(1),
        ]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.RMSprop(1e-3), loss=loss)
    params = init_params(recipe)
    head = params["head"]
    cell = recurrent.CELLS[recipe.cell].Params(**params["recurrent"])
    model.set_weights([params["embedding"]["embedding"], *cell, head["kernel"], head["bias"]])
    losses = []
    for rows in batches:
        model.reset_metrics()
        labels = examples.labels[rows][:, None]
        losses.append(float(model.train_on_batch(examples.tokens[rows].astype(np.int32), labels)))
    return losses


@pytest.fixture
def keras_in_float64(float64):
    import keras

    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("keras_in_float64")
@pytest.mark.parametrize("name", PUBLISHED)
def test_each_rmsprop_step_has_the_loss_of_keras(name, examples, relaxed):
    """In float64, where no rounding grows with the steps: an error in an equation or in the optimizer would show."""
    recipe = dataclasses.replace(RECIPES[name](), dtype="float64")
    ours = our_losses(recipe, examples, BATCHES)
    with relaxed():
        theirs = keras_losses(recipe, examples, BATCHES)
    # Both report a loss that was added up in float32.
    assert np.abs(np.array(ours) / np.array(theirs) - 1).max() < 2e-7
    assert theirs[-1] < theirs[0] - 0.01  # they have learnt something, so the steps have gone somewhere


@pytest.mark.parametrize("name", PUBLISHED)
def test_float32_steps_have_the_loss_of_keras(name, examples, relaxed):
    """As long as rounding has not grown: a SimpleRNN's grows fastest, and at another rate on each kind of processor."""
    recipe, batches = RECIPES[name](), BATCHES[:10]
    ours = our_losses(recipe, examples, batches)
    with relaxed():
        theirs = keras_losses(recipe, examples, batches)
    assert np.abs(np.array(ours) / np.array(theirs) - 1).max() < 1e-5
