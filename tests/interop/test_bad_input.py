"""What is missing, superfluous, misshaped, not finite or of an unknown order: one ValueError, which names it."""

import numpy as np
import pytest

from recurrent import interop
from tests.interop.libraries import LIBRARIES, NEEDS, params_of

TREES = {"PyTorch": "lstm", "Flax Linen": "lstm", "Flax NNX": "lstm", "Haiku": "lstm"}

INPUT_FIRST = (("dense_i", "kernel"), ("lstm/linear", "w"))
INPUT_LAST = ("weight_ih_l0",)
"""Arrays with an axis of inputs, of which there may be any number."""


def flat(library, cell="lstm"):
    """Returns a library's weights, and a function that makes them of a dict of path -> array."""
    for module in NEEDS.get(library, ()):
        pytest.importorskip(module)
    weights = LIBRARIES[library].module.params_to(params_of(cell, np.random.default_rng(0)))
    if library == "PyTorch":
        return {name: tensor.numpy() for name, tensor in weights.items()}, lambda arrays: arrays
    arrays = {(part, name): np.asarray(array) for part, own in weights.items() for name, array in own.items()}

    def nest(arrays):
        tree = {}
        for (part, name), array in arrays.items():
            tree.setdefault(part, {})[name] = array
        return tree

    return arrays, nest


def read(library, source):
    return LIBRARIES[library].module.params_from(source)


@pytest.mark.parametrize("library", TREES)
def test_any_array_that_is_missing(library):
    arrays, nest = flat(library)
    for name in arrays:
        with pytest.raises(ValueError, match=r"lacks|weight_ih and weight_hh|nothing"):
            read(library, nest({other: array for other, array in arrays.items() if other != name}))


@pytest.mark.parametrize("library", TREES)
def test_any_array_that_is_misshaped_not_finite_or_of_another_dtype(library):
    arrays, nest = flat(library)
    for name, array in arrays.items():
        bad = array.copy()
        bad.flat[-1] = np.nan
        for wrong, words in (
            (bad, "not finite"),
            (np.full_like(array, np.inf), "not finite"),
            (array[:-1] if name not in INPUT_FIRST else array[None], "has shape"),
            (array[..., :-1] if name not in INPUT_LAST else array[None], "has shape"),
            (array[None], "has shape"),
            (np.float32(1), "has shape"),
            (array.astype(np.float64), "several dtypes"),
            (array.astype(np.int32), "dtypes|int32"),
            (np.full(array.shape, "x"), "dtypes"),
            (None, "shape|dtype"),
            ([[1], [2, 3]], "not an array|shape"),
        ):
            with pytest.raises(ValueError, match=words):
                read(library, nest(arrays | {name: wrong}))


@pytest.mark.parametrize("library", TREES)
def test_an_array_too_many(library):
    arrays, nest = flat(library)
    name = next(iter(arrays))
    extra = f"{name}_more" if isinstance(name, str) else (name[0], "more")
    with pytest.raises(ValueError, match="more"):
        read(library, nest(arrays | {extra: arrays[name]}))


@pytest.mark.parametrize("library", TREES)
@pytest.mark.parametrize("source", [None, 3, [], {}, {"a": {"b": 1}}, {"a": 1}, "weights"], ids=str)
def test_what_is_no_tree_at_all(library, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for module in NEEDS.get(library, ()):
        pytest.importorskip(module)
    with pytest.raises((ValueError, FileNotFoundError)):
        read(library, source)


@pytest.mark.parametrize(
    "source", [None, [np.ones(3)], [np.ones((3, 4))] * 2, [np.ones((3, 8)), np.ones((4, 8))], "model.h5"], ids=str
)
def test_what_is_no_layer_of_keras(source):
    pytest.importorskip("keras")
    with pytest.raises(ValueError):
        interop.keras.params_from(source)


def test_blocks_in_an_unknown_order():
    for blocks in (2, 5):
        with pytest.raises(ValueError, match=f"{blocks} blocks of 4 units, in an unknown order"):
            interop.keras.params_from([np.ones((3, 4 * blocks)), np.ones((4, 4 * blocks)), np.ones(4 * blocks)])


def test_a_gru_without_biases_does_not_say_where_it_resets():
    with pytest.raises(ValueError, match="do not say where its reset gate acts"):
        interop.keras.params_from([np.ones((3, 12)), np.ones((4, 12))])


@pytest.fixture
def _keras_runs(relaxed):
    pytest.importorskip("keras")
    with relaxed():
        yield


@pytest.mark.usefixtures("_keras_runs")
def test_layers_of_keras_that_compute_something_else():
    keras = pytest.importorskip("keras")
    layers = keras.layers

    def built(layer):
        layer.build((2, 5, 3))
        return layer

    for layer, words in (
        (layers.LSTM(4, activation="relu"), "activation=relu"),
        (layers.GRU(4, recurrent_activation="hard_sigmoid"), "recurrent_activation=hard_sigmoid"),
        (layers.SimpleRNN(4, activation=None), "activation=linear"),
        (layers.Dense(4), "not a SimpleRNN, LSTM or GRU"),
        (layers.ConvLSTM1D(4, 3), "not a SimpleRNN, LSTM or GRU"),
        (layers.Bidirectional(layers.LSTM(4), merge_mode="sum"), "merge_mode='sum'"),
    ):
        with pytest.raises(ValueError, match=words):
            interop.keras.network_from([layer])
    with pytest.raises(ValueError, match="no weights yet"):
        interop.keras.params_from(layers.LSTM(4))
    with pytest.raises(ValueError, match="return_sequences=False"):
        interop.keras.network_from([built(layers.LSTM(3)), built(layers.LSTM(4))])
    backwards = built(layers.LSTM(3, go_backwards=True, return_sequences=True))
    assert interop.keras.params_from(backwards).bias.shape == (12,)
    with pytest.raises(ValueError, match="go_backwards"):
        interop.keras.network_from([backwards, built(layers.LSTM(4))])


def test_modules_of_torch_that_compute_something_else():
    torch = pytest.importorskip("torch")
    for module, words in (
        (torch.nn.RNN(3, 4, nonlinearity="relu"), "nonlinearity is relu"),
        (torch.nn.LSTM(3, 4, proj_size=2), "projection"),
        (torch.nn.Linear(3, 4), "not an array of nn.RNN"),
    ):
        with pytest.raises(ValueError, match=words):
            interop.torch.network_from(module)


def test_a_module_within_a_model_of_torch():
    torch = pytest.importorskip("torch")
    model = torch.nn.ModuleDict({"embed": torch.nn.Embedding(5, 3), "lstm": torch.nn.LSTM(3, 4)})
    expected = interop.torch.params_from(model["lstm"])
    for source in (model, model.state_dict()):
        np.testing.assert_array_equal(interop.torch.params_from(source, prefix="lstm.").bias, expected.bias)
    with pytest.raises(ValueError, match="prefix= picks"):
        interop.torch.params_from(model.state_dict())
    with pytest.raises(ValueError, match=r"No name starts with the prefix 'gru\.'"):
        interop.torch.params_from(model.state_dict(), prefix="gru.")
    relu = torch.nn.ModuleDict({"rnn": torch.nn.RNN(3, 4, nonlinearity="relu")})
    with pytest.raises(ValueError, match="relu"):
        interop.torch.params_from(relu, prefix="rnn.")


@pytest.mark.usefixtures("_keras_runs")
def test_cells_and_modules_without_biases():
    torch, keras = pytest.importorskip("torch"), pytest.importorskip("keras")
    for name in ("LSTM", "GRU", "RNN"):
        assert not np.any(interop.torch.params_from(getattr(torch.nn, name)(3, 4, bias=False)).bias)
        of_cell = interop.torch.params_from(getattr(torch.nn, f"{name}Cell")(3, 4))
        assert np.all(of_cell.bias != 0)
    for name in ("LSTM", "GRU", "SimpleRNN"):
        layer = getattr(keras.layers, name)(4, use_bias=False)
        layer.build((2, 5, 3))
        assert not np.any(interop.keras.params_from(layer).bias)


def test_layers_of_a_state_dict_that_are_not_counted_from_zero():
    arrays, _ = flat("PyTorch")
    moved = {name.replace("_l0", "_l2"): array for name, array in arrays.items()}
    half = arrays | {name + "_reverse": array for name, array in moved.items()}
    far = {name.replace("_l0", "_l999999"): array for name, array in arrays.items()}
    for source in (moved, half, far):
        with pytest.raises(ValueError, match="numbered from 0"):
            interop.torch.network_from(source)


def test_cells_of_nnx_that_compute_something_else():
    import jax
    from flax import nnx

    rngs = nnx.Rngs(0)
    for cell, words in (
        (nnx.SimpleCell(3, 4, rngs=rngs, residual=True), "residual=True"),
        (nnx.GRUCell(3, 4, rngs=rngs, activation_fn=jax.nn.relu), "another activation_fn than tanh"),
        (nnx.LSTMCell(3, 4, rngs=rngs, gate_fn=jax.nn.hard_sigmoid), "another gate_fn than sigmoid"),
        (nnx.Linear(3, 4, rngs=rngs), "not a cell of Flax NNX"),
    ):
        with pytest.raises(ValueError, match=words):
            interop.nnx.params_from(cell)
    summed = nnx.Bidirectional(
        *(nnx.RNN(nnx.GRUCell(3, 4, rngs=rngs)) for _ in range(2)), merge_fn=lambda one, other: one, rngs=rngs
    )
    with pytest.raises(ValueError, match="merge_fn"):
        interop.nnx.network_from([summed])


def test_other_modules_of_haiku_and_equinox():
    equinox = pytest.importorskip("equinox")
    relu = {f"vanilla_rnn/{name}": {"w": np.ones((4, 4)), "b": np.ones(4)} for name in ("linear", "linear_1")}
    with pytest.raises(ValueError, match="VanillaRNN uses ReLU"):
        interop.haiku.params_from(relu)
    model = {"net/lstm/linear": {"w": np.ones((7, 16)), "b": np.ones(16)}, "net/head": {"w": np.ones((4, 1))}}
    assert interop.haiku.params_from(model, name="net/lstm").input_kernel.shape == (3, 16)
    with pytest.raises(ValueError, match="2 modules; name= must be one of net/lstm/linear, net/head"):
        interop.haiku.params_from(model)
    with pytest.raises(ValueError, match="no module called 'gru'"):
        interop.haiku.params_from(model, name="gru")
    import jax

    with pytest.raises(ValueError, match="A Linear is not an LSTMCell or GRUCell"):
        interop.equinox.params_from(equinox.nn.Linear(3, 4, key=jax.random.key(0)))
    cell = equinox.nn.GRUCell(3, 4, key=jax.random.key(0))
    with pytest.raises(ValueError, match="weight_hh has 4 blocks"):
        interop.equinox.params_from(equinox.tree_at(lambda cell: cell.weight_hh, cell, np.ones((16, 4), np.float32)))


def test_flat_weights_of_another_size():
    for weights in (np.ones(143), np.ones((1, 144)), np.ones(144, int)):
        with pytest.raises(ValueError, match=r"shape|int"):
            interop.cudnn.params_from(weights, input_size=3, hidden_size=4)
    with pytest.raises(ValueError, match="at least 1"):
        interop.cudnn.params_from(np.ones(0), input_size=0, hidden_size=4)


@pytest.mark.parametrize("library", LIBRARIES)
def test_params_of_ours_that_are_damaged(library):
    for module in NEEDS.get(library, ()):
        pytest.importorskip(module)
    params = params_of("lstm", np.random.default_rng(0))
    own = LIBRARIES[library].module
    for wrong, words in (
        (params._replace(bias=np.full(16, np.nan, np.float32)), "not finite"),
        (params._replace(bias=np.ones(15, np.float32)), "has shape"),
        (params._replace(bias=np.ones(16)), "several dtypes"),
        (tuple(params), "recurrent.CELLS"),
    ):
        with pytest.raises(ValueError, match=words):
            own.params_to(wrong)
