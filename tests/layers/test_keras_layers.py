"""`recurrent.layers.keras` beside Keras' own layers: values, training, saved files, and what is left to Keras."""

import itertools
import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from recurrent.layers import keras as layers
from recurrent.layers.keras.support import prefers_cudnn

ROWS, TIME, INPUT, HIDDEN, WORDS = 3, 6, 5, 4, 20
NAMES = ("SimpleRNN", "LSTM", "GRU")
every_layer = pytest.mark.parametrize("name", NAMES)
GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.normal(size=(ROWS, TIME, INPUT)).astype(np.float32)
MASK = np.array([[0, 0, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0], [1, 1, 0, 1, 0, 0]], bool)
TOKENS = GENERATOR.integers(1, WORDS, (40, TIME)) * (np.arange(TIME) >= GENERATOR.integers(0, TIME, (40, 1)))
LABELS = GENERATOR.integers(0, 2, 40)


@pytest.fixture(autouse=True)
def _default_flags(relaxed):
    with relaxed():
        yield


def draw(*shape):
    return GENERATOR.normal(size=shape).astype(np.float32) / 2


def pair(name, /, **options):
    """Returns our layer and Keras', with the same random weights."""
    ours, theirs = getattr(layers, name)(HIDDEN, **options), getattr(keras.layers, name)(HIDDEN, **options)
    for layer in (ours, theirs):
        layer.build((ROWS, TIME, INPUT))
    weights = [draw(*weight.shape) for weight in theirs.weights if weight.trainable]
    for layer in (ours, theirs):
        for variable, weight in zip(layer.trainable_weights, weights, strict=True):
            variable.assign(weight)
    return ours, theirs


def check(actual, expected, tolerance=1e-6):
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance)


def states_of(name):
    return [draw(ROWS, HIDDEN) for _ in range(2 if name == "LSTM" else 1)]


@pytest.mark.parametrize("kind", [{}, {"zero_output_for_mask": True}, {"unroll": True}], ids=str)
@pytest.mark.parametrize("sequences, backwards, states", [*itertools.product([False, True], repeat=3)])
@every_layer
def test_every_combination_of_returns_masks_and_states(name, sequences, backwards, states, kind):
    options = {"return_sequences": sequences, "go_backwards": backwards, "return_state": states, **kind}
    ours, theirs = pair(name, **options)
    for mask, initial in itertools.product([None, MASK], [None, states_of(name)]):
        arguments = {"mask": mask, "initial_state": initial}
        actual, expected = ours(INPUTS, **arguments), theirs(INPUTS, **arguments)
        assert type(actual) is type(expected)
        check(actual, expected)


@every_layer
def test_masks_in_keras_other_forms(name):
    ours, theirs = pair(name, return_sequences=True)
    in_list = [[MASK]] if name != "SimpleRNN" else []  # which Keras' SimpleRNN does not take
    for mask in (MASK.astype(np.float32), np.repeat(MASK[..., None], 2, axis=-1), *in_list):
        check(ours(INPUTS, mask=mask), theirs(INPUTS, mask=mask))


@pytest.mark.parametrize(
    "name, options", [*((name, {"use_bias": False}) for name in NAMES), ("GRU", {"reset_after": False})], ids=str
)
def test_weights_of_other_shapes(name, options):
    check(*(layer(INPUTS, mask=MASK) for layer in pair(name, return_sequences=True, **options)))


DROPOUTS = [{"dropout": 0.5}, {"recurrent_dropout": 0.5}, {"dropout": 0.3, "recurrent_dropout": 0.4}]
IN_PARTS = {"dropout": 0.5, "implementation": 1, "use_cudnn": False}


@pytest.mark.parametrize(
    "name, options", [*itertools.product(NAMES, DROPOUTS), ("LSTM", IN_PARTS), ("GRU", IN_PARTS)], ids=str
)
def test_dropout_draws_what_keras_draws(name, options):
    ours, theirs = pair(name, return_sequences=True, seed=7, **options)
    quiet = pair(name, return_sequences=True)[0]
    quiet.set_weights([np.asarray(weight) for weight in ours.trainable_weights])
    check(ours(INPUTS), quiet(INPUTS))
    theirs(INPUTS)
    actual, expected = (layer(INPUTS, training=True, mask=MASK) for layer in (ours, theirs))
    check(actual, expected)
    assert np.abs(actual - quiet(INPUTS, mask=MASK)).max() > 0.01
    check(*(model_of(layer).train_on_batch(INPUTS, INPUTS[..., :1]) for layer in (ours, theirs)))
    check(ours.get_weights()[:2], theirs.get_weights()[:2], 1e-5)


def model_of(layer):
    model = keras.Sequential([layer, keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    return model


def classifier(library, name, mask_zero=False, **options):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.layers.Embedding(WORDS, INPUT, mask_zero=mask_zero),
            getattr(library, name)(HIDDEN, **options),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def history(model):
    keras.utils.set_random_seed(5)
    fitted = model.fit(TOKENS, LABELS, epochs=3, batch_size=8, validation_split=0.2, verbose=0)
    return fitted.history


@pytest.mark.parametrize("mask_zero", [False, True])
@every_layer
def test_a_script_with_another_import_has_the_same_losses(name, mask_zero):
    ours, theirs = (history(classifier(library, name, mask_zero)) for library in (layers, keras.layers))
    check(ours, theirs, 1e-5)


def test_it_runs_eagerly():
    eager = classifier(layers, "LSTM", mask_zero=True)
    eager.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"], run_eagerly=True)
    check(history(eager), history(classifier(keras.layers, "LSTM", mask_zero=True)), 1e-5)


@pytest.mark.parametrize("policy, tolerance", [("mixed_bfloat16", 0.03), ("mixed_float16", 0.003)])
@every_layer
def test_mixed_precision_has_keras_dtypes_and_no_more_error(name, policy, tolerance):
    ours, theirs = pair(name, return_sequences=True, return_state=True, dtype=policy)
    exact = pair(name, return_sequences=True, return_state=True)[1]
    exact.set_weights([np.asarray(weight, np.float32) for weight in theirs.get_weights()])
    actual, expected = ours(INPUTS, mask=MASK), theirs(INPUTS, mask=MASK)
    assert [each.dtype for each in actual] == [each.dtype for each in expected]
    assert [weight.dtype for weight in ours.weights] == [weight.dtype for weight in theirs.weights]
    check([np.asarray(each, np.float32) for each in actual], exact(INPUTS, mask=MASK), tolerance)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_it_trains_in_mixed_precision(policy):
    ours, theirs = (history(classifier(library, "LSTM", dtype=policy)) for library in (layers, keras.layers))
    check(ours["loss"], theirs["loss"], 0.01)


@every_layer
def test_stateful_layers_carry_their_states_and_reset_them(name):
    ours, theirs = pair(name, stateful=True, return_sequences=True)
    first = ours(INPUTS)
    check(first, theirs(INPUTS))
    second = ours(INPUTS, mask=MASK)
    check(second, theirs(INPUTS, mask=MASK))
    assert np.abs(second - first).max() > 0.01
    check(ours.states, theirs.states)
    ours.reset_state()
    check(ours(INPUTS), first)
    with pytest.raises(ValueError, match="the batch size of the input sequences must be the same"):
        ours(INPUTS[:2])


@pytest.mark.parametrize("merge_mode", ["concat", "sum", None])
@every_layer
def test_bidirectional_takes_it(name, merge_mode):
    options = {"return_sequences": True, "return_state": True}
    ours, theirs = (
        keras.layers.Bidirectional(getattr(library, name)(HIDDEN, **options), merge_mode=merge_mode)
        for library in (layers, keras.layers)
    )
    for layer in (ours, theirs):
        layer.build((ROWS, TIME, INPUT))
    ours.set_weights([draw(*weight.shape) for weight in theirs.weights])
    theirs.set_weights(ours.get_weights())
    assert type(ours.backward_layer) is getattr(layers, name)
    check(ours(INPUTS, mask=MASK), theirs(INPUTS, mask=MASK))


@every_layer
def test_config_and_weights_are_those_of_keras(name):
    options = {"dropout": 0.1, "go_backwards": True, "kernel_regularizer": "l2", "name": "layer"}
    ours, theirs = pair(name, **options)
    assert ours.get_config() == theirs.get_config()
    assert getattr(layers, name).from_config(theirs.get_config()).get_config() == theirs.get_config()
    assert [(each.path, each.shape) for each in ours.weights] == [(each.path, each.shape) for each in theirs.weights]
    check(ours.losses, theirs.losses)
    again = keras.models.clone_model(keras.Sequential([keras.Input((TIME, INPUT)), ours])).layers[0]
    assert type(again) is getattr(layers, name)


@every_layer
def test_it_draws_the_weights_that_keras_draws(name):
    drawn = [classifier(library, name) for library in (layers, keras.layers)]
    for model in drawn:
        model.build((None, TIME))
    jax.tree.map(np.testing.assert_array_equal, *(model.get_weights() for model in drawn))


@every_layer
def test_models_are_saved_and_loaded(name, tmp_path):
    ours, theirs = (classifier(library, name, mask_zero=True) for library in (layers, keras.layers))
    for model in (ours, theirs):
        history(model)
    loaded = []
    for model, library in ((ours, layers), (theirs, keras.layers)):
        model.save(tmp_path / "model.keras")
        loaded.append(keras.models.load_model(tmp_path / "model.keras"))
        assert type(loaded[-1].layers[1]) is getattr(library, name)
        np.testing.assert_array_equal(loaded[-1].predict(TOKENS, verbose=0), model.predict(TOKENS, verbose=0))
    check(*(history(model) for model in loaded), 1e-5)
    for source, target in ((ours, theirs), (theirs, ours)):
        source.save_weights(tmp_path / "model.weights.h5")
        target.load_weights(tmp_path / "model.weights.h5")
        check(target.predict(TOKENS, verbose=0), source.predict(TOKENS, verbose=0))


def test_states_pass_from_an_encoder_to_a_decoder():
    def translator(library):
        keras.utils.set_random_seed(4)
        source, target = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
        embed = keras.layers.Embedding(WORDS, INPUT, mask_zero=True)
        _, *states = library.LSTM(HIDDEN, return_state=True)(embed(source))
        outputs = library.LSTM(HIDDEN, return_sequences=True)(embed(target), initial_state=states)
        model = keras.Model([source, target], keras.layers.Dense(WORDS, activation="softmax")(outputs))
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
        return model.fit([TOKENS, TOKENS[:, :4]], TOKENS[:, 1:5], epochs=2, verbose=0).history

    check(*(translator(library) for library in (layers, keras.layers)), 1e-5)


def test_on_a_gpu_keras_cudnn_stays(monkeypatch):
    """Only the choice is tested: there is no GPU here."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    lstm = layers.LSTM(HIDDEN)
    assert prefers_cudnn(lstm, mask=None)
    assert not prefers_cudnn(lstm, MASK)
    for layer in (layers.LSTM(HIDDEN, use_cudnn=False), layers.LSTM(HIDDEN, recurrent_dropout=0.1), layers.GRU(HIDDEN)):
        assert not prefers_cudnn(layer, mask=None)


def test_nan_in_padding_leaves_gradients_finite():
    """Keras' gradients are NaN."""
    layer, _ = pair("LSTM")
    spoiled = np.where(MASK[..., None], INPUTS, np.nan)
    kernel = np.asarray(layer.cell.kernel)

    def loss(kernel):
        layer.cell.kernel.assign(kernel)
        return jnp.sum(layer(spoiled, mask=MASK))

    with keras.StatelessScope(state_mapping=[(layer.cell.kernel, kernel)]):
        gradient = jax.grad(lambda kernel: loss(kernel))(kernel)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    "name, options, training, reason",
    [
        ("LSTM", {"activation": "relu"}, False, "its activation is relu"),
        ("GRU", {"recurrent_activation": "hard_sigmoid"}, False, "its recurrent_activation is hard_sigmoid"),
        ("SimpleRNN", {"activation": None}, False, "its activation is linear"),
        (
            "GRU",
            {"reset_after": False, "recurrent_dropout": 0.5, "seed": 1},
            True,
            "reset_after is False and each gate",
        ),
        ("LSTM", {"dropout": 1.0, "seed": 1}, True, "a rate of dropout is 1"),
    ],
)
def test_what_run_cannot_compute_is_left_to_keras_and_told_once(name, options, training, reason):
    ours, theirs = pair(name, **options)
    with pytest.warns(UserWarning, match=rf"Keras' own code computes the {name} layer '.*', since {reason}"):
        actual = ours(INPUTS, training=training)
    np.testing.assert_array_equal(actual, theirs(INPUTS, training=training))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours(INPUTS, training=training)


def test_cudnn_by_name_is_refused_as_keras_refuses_it():
    layer = layers.LSTM(HIDDEN, use_cudnn=True)
    with (
        pytest.warns(UserWarning, match="use_cudnn is True"),
        pytest.raises(ValueError, match="cuDNN is not supported"),
    ):
        layer(INPUTS)


@pytest.mark.slow
def test_another_backend_of_keras_is_left_to_it(child_environment):
    program = (
        "import numpy as np; from recurrent.layers.keras import LSTM; import keras; keras.utils.set_random_seed(0);"
        "x = np.ones((2, 3, 4), 'float32'); ours = LSTM(5); y = ours(x); theirs = keras.layers.LSTM(5); theirs(x);"
        "theirs.set_weights(ours.get_weights()); print(np.array_equal(theirs(x), y))"
    )
    environment = {**child_environment, "KERAS_BACKEND": "numpy"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
    assert "Keras' backend is numpy, not jax" in done.stderr
