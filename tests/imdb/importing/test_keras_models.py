"""Models that Keras saved answer here as they do there; what a recipe can not express is refused by name."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("h5py")

from experiments.imdb.importing.keras_file import read_keras  # noqa: E402
from experiments.imdb.importing.read import recipe_of  # noqa: E402
from experiments.imdb.importing.tensors import fit  # noqa: E402
from experiments.imdb.training.model import make_forward  # noqa: E402
from recurrent.layers.keras import LSTM as OurLSTM  # noqa: E402

layers = keras.layers
NUM_IDS, TIME = 20, 7


def embedding(**options):
    return layers.Embedding(NUM_IDS, 3, **options)


def sequential(*rest):
    return keras.Sequential([layers.Input((TIME,), dtype="int32"), *rest])


def functional(*rest):
    tensor = start = layers.Input((None,), dtype="int32")
    for layer in rest:
        tensor = layer(tensor)
    return keras.Model(start, tensor)


def sigmoid(**options):
    return layers.Dense(1, activation="sigmoid", **options)


MODELS = {
    "published": lambda: sequential(embedding(), layers.LSTM(4), sigmoid()),
    "simple rnn, masked, logits": lambda: sequential(embedding(mask_zero=True), layers.SimpleRNN(4), layers.Dense(1)),
    "gru, softmax": lambda: sequential(embedding(), layers.GRU(4), layers.Dense(2, activation="softmax")),
    "gru, reset before, no biases": lambda: sequential(
        embedding(), layers.GRU(4, reset_after=False, use_bias=False), sigmoid(use_bias=False)
    ),
    "gru without biases": lambda: sequential(embedding(), layers.GRU(4, use_bias=False), sigmoid()),
    "bidirectional, stacked, all dropouts": lambda: sequential(
        embedding(mask_zero=True),
        layers.SpatialDropout1D(0.1),
        layers.Dropout(0.2),
        layers.Bidirectional(layers.GRU(5, return_sequences=True, recurrent_dropout=0.3, name="backward_x")),
        layers.Dropout(0.4),
        layers.Bidirectional(layers.LSTM(3, recurrent_dropout=0.3)),
        layers.Dropout(0.5),
        sigmoid(),
    ),
    "mean": lambda: sequential(
        embedding(mask_zero=True), layers.LSTM(4, return_sequences=True), layers.GlobalAveragePooling1D(), sigmoid()
    ),
    "activation of its own": lambda: sequential(
        embedding(), layers.LSTM(4, dropout=0.1), layers.Dense(1), layers.Activation("sigmoid")
    ),
    "functional": lambda: functional(
        embedding(mask_zero=True), layers.LSTM(4, return_sequences=True), layers.LSTM(4), sigmoid()
    ),
    "our layer in Keras": lambda: sequential(embedding(), OurLSTM(4), sigmoid()),
}


def saved(model, path):
    model.save(path)
    return path


def probabilities(model, tokens):
    """What Keras answers, as the probability of the second class."""
    answers = model.predict(tokens, verbose=0)
    if model.name == "logits" or getattr(model.layers[-1], "activation", None) is keras.activations.linear:
        answers = 1 / (1 + np.exp(-answers))
    return answers[:, -1]


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_keras_answers_the_same(name, suffix, tmp_path, relaxed):
    draw = np.random.default_rng(5)
    tokens = draw.integers(4, NUM_IDS, (6, TIME)).astype(np.int32)
    tokens[1, :3] = tokens[2, :6] = 0
    with relaxed():
        model = MODELS[name]()
        model.set_weights([draw.normal(size=each.shape) for each in model.get_weights()])
        expected = probabilities(model, tokens)
        imported = read_keras(saved(model, tmp_path / f"model{suffix}"))
    recipe = recipe_of(imported, {} if name != "functional" else {"sequence_length": TIME})
    assert recipe.sequence_length == TIME
    logits = make_forward(recipe)(fit(recipe, imported.tensors), tokens)
    np.testing.assert_allclose(1 / (1 + np.exp(-np.asarray(logits, np.float64))), expected, atol=2e-6)


def test_what_a_recipe_expresses_of_training_is_taken_over(tmp_path, relaxed):
    with relaxed():
        imported = read_keras(saved(MODELS["bidirectional, stacked, all dropouts"](), tmp_path / "model.keras"))
    rates = {
        "embedding_dropout_rate": 0.1,
        "input_dropout_rate": 0.2,
        "recurrent_dropout_rate": 0.3,
        "layer_dropout_rate": 0.4,
        "head_dropout_rate": 0.5,
    }
    assert {name: value for name, value in imported.fields.items() if name.endswith("_rate")} == rates


REFUSED = {
    "activation": (lambda: layers.LSTM(4, activation="relu", name="odd"), "odd (LSTM) has activation='relu'"),
    "gates": (lambda: layers.GRU(4, recurrent_activation="hard_sigmoid", name="odd"), "recurrent_activation="),
    "backwards": (lambda: layers.LSTM(4, go_backwards=True, name="odd"), "go_backwards=True"),
    "sum": (lambda: layers.Bidirectional(layers.LSTM(4), merge_mode="sum", name="odd"), "merge_mode='sum'"),
    "sequences": (lambda: layers.LSTM(4, return_sequences=True), "(Flatten) stands where Dense"),
    "unknown layer": (lambda: layers.Conv1D(4, 3, name="odd"), "odd (Conv1D)"),
    "cell": (lambda: layers.RNN(layers.LSTMCell(4), name="odd"), "odd (RNN)"),
    "half precision": (lambda: layers.LSTM(4, dtype="mixed_float16", name="odd"), "mixed_float16"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_recipe_expresses_is_refused_by_name(name, tmp_path, relaxed):
    make, words = REFUSED[name]
    after = [layers.Flatten()] if name in ("unknown layer", "sequences") else []
    with relaxed():
        path = saved(sequential(embedding(), make(), *after, sigmoid()), tmp_path / "model.keras")
    with pytest.raises(ValueError) as caught:
        read_keras(path, ignores_training=True)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: [embedding(), layers.LSTM(4, return_sequences=True), layers.GlobalMaxPooling1D()], "over the padding"),
        (lambda: [embedding(), layers.LSTM(4, return_sequences=True), layers.GlobalAveragePooling1D()], "mask_zero"),
        (lambda: [embedding(), layers.LSTM(4), layers.Dense(3, activation="relu")], "follows the Dense layer"),
        (lambda: [layers.Masking()], "stands where Embedding"),
        (
            lambda: [embedding(), layers.LSTM(4, return_sequences=True), layers.Bidirectional(layers.LSTM(4))],
            "all are or none",
        ),
    ],
)
def test_other_models_are_refused_with_what_to_do(make, words, tmp_path, relaxed):
    with relaxed():
        model = keras.Sequential([layers.Input((TIME, 3))] if words.startswith("stands") else [layers.Input((TIME,))])
        for layer in make():
            model.add(layer)
        model.add(sigmoid())
        path = saved(model, tmp_path / "model.keras")
    with pytest.raises(ValueError) as caught:
        read_keras(path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: [embedding(), layers.Bidirectional(layers.LSTM(4, dropout=0.2, name="x"))], "has dropout=0.2"),
        (lambda: [embedding(), layers.LSTM(4, kernel_regularizer="l2")], "has a kernel_regularizer"),
        (lambda: [embedding(trainable=False), layers.LSTM(4)], "has trainable=False"),
        (lambda: [embedding(), layers.Dropout(0.1, noise_shape=(None, 1, 3)), layers.LSTM(4)], "whole features"),
        (lambda: [embedding(), layers.SpatialDropout1D(0.1), layers.LSTM(4, dropout=0.1)], "once more"),
    ],
)
def test_what_acts_in_training_alone_can_be_left_out(make, words, tmp_path, relaxed):
    with relaxed():
        path = saved(sequential(*make(), sigmoid()), tmp_path / "model.keras")
    with pytest.raises(ValueError) as caught:
        read_keras(path)
    assert words in str(caught.value)
    assert "--ignore-training-options" in str(caught.value)
    assert read_keras(path, ignores_training=True).tensors


def test_a_graph_that_is_no_chain_is_refused(tmp_path, relaxed):
    with relaxed():
        start = layers.Input((TIME,), dtype="int32")
        words = embedding()(start)
        both = layers.Concatenate(name="both")([layers.LSTM(4)(words), layers.GRU(4)(words)])
        path = saved(keras.Model(start, sigmoid()(both)), tmp_path / "model.keras")
    with pytest.raises(ValueError, match="one chain of layers"):
        read_keras(path)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_weights_alone_are_refused(tmp_path, relaxed):
    with relaxed():
        MODELS["published"]().save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ValueError, match="weights alone"):
        read_keras(tmp_path / "model.weights.h5")


@pytest.mark.usefixtures("float64")
def test_a_model_in_float64_keeps_its_bits(tmp_path, relaxed):
    with relaxed():
        rest = [layers.LSTM(4, dtype="float64"), sigmoid(dtype="float64")]
        model = sequential(embedding(dtype="float64"), *rest)
        expected = model.get_weights()
        imported = read_keras(saved(model, tmp_path / "model.keras"))
    recipe = recipe_of(imported, {})
    assert recipe.dtype == "float64"
    params = fit(recipe, imported.tensors)
    np.testing.assert_array_equal(params["recurrent"]["input_kernel"], expected[1])
    assert params["recurrent"]["input_kernel"].dtype == expected[1].dtype == np.float64
