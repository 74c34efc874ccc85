"""Networks: stacks and both directions of the real libraries against `run_network`, with all final states."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent import interop
from recurrent.network import Directions, Network
from tests.backends import cudnn_stand_in
from tests.interop.libraries import BATCH, HIDDEN, INPUT, KERAS, LIBRARIES, NEEDS, TIME, TORCH, fill, params_of
from tests.reference import check, check_bitwise

INPUTS = np.random.default_rng(0).normal(0, 1, (BATCH, TIME, INPUT)).astype(np.float32)
TOLERANCE = 1e-6
both = pytest.mark.parametrize("is_bidirectional", [False, True], ids=["forward", "both"])


def random_network(cells, sizes, is_bidirectional):
    """Returns a network, and params none of which is zero."""
    network = Network(tuple(recurrent.CELLS[cell] for cell in cells), sizes, is_bidirectional)
    shapes = jax.eval_shape(lambda: recurrent.network.init(jax.random.key(0), network, INPUT))
    draw = np.random.default_rng(1)
    return network, jax.tree.map(lambda leaf: draw.normal(0, 0.5, leaf.shape).astype(np.float32), shapes)


def random_states(network):
    draw = np.random.default_rng(2)
    params = jax.eval_shape(lambda: recurrent.network.init(jax.random.key(0), network, INPUT))
    zero = jax.eval_shape(lambda params: recurrent.network.zero_states(network, params, (BATCH,)), params)
    return jax.tree.map(lambda leaf: draw.normal(0, 1, leaf.shape).astype(np.float32), zero)


def run_ours(network, params, initial=None):
    return recurrent.run_network(network, jax.tree.map(jnp.asarray, params), INPUTS, initial=initial, backend="plain")


def stacked(states):
    """Returns states as PyTorch has them, [layers * directions, batch, hidden]; one array for each field."""
    each_way = [state for own in states for state in own if state is not None]
    return tuple(np.stack(field) for field in zip(*each_way, strict=True))


@both
@pytest.mark.parametrize("cell", TORCH)
def test_modules_of_torch(cell, is_bidirectional):
    torch = pytest.importorskip("torch")
    module = fill(
        getattr(torch.nn, TORCH[cell])(
            INPUT, HIDDEN, num_layers=3, batch_first=True, bidirectional=is_bidirectional, dropout=0.25
        ),
        np.random.default_rng(3),
    ).eval()
    network, params = interop.torch.network_from(module)
    assert (network.hidden_sizes, network.is_bidirectional, network.dropout_rate) == ((4,) * 3, is_bidirectional, 0.25)
    initial = random_states(network)
    tensors = tuple(map(torch.from_numpy, stacked(initial)))
    with torch.inference_mode():
        expected, final = module(torch.from_numpy(INPUTS), tensors if cell == "lstm" else tensors[0])
    outputs, ours = run_ours(network, params, initial)
    final = final if cell == "lstm" else (final,)
    check((outputs, stacked(ours)), (expected.numpy(), tuple(state.numpy() for state in final)), TOLERANCE)
    module.load_state_dict(interop.torch.network_to(network, params))
    check_bitwise(interop.torch.network_from(module)[1], params)


@both
@pytest.mark.parametrize("cell", KERAS)
def test_layers_of_keras(cell, is_bidirectional, relaxed):
    keras = pytest.importorskip("keras")
    name, options = KERAS[cell]
    network, params = random_network([cell, cell], (4, 5), is_bidirectional)
    with relaxed():
        layers = [getattr(keras.layers, name)(size, return_sequences=True, **options) for size in (4, 5)]
        layers = [keras.layers.Bidirectional(layer) for layer in layers] if is_bidirectional else layers
        model = keras.Sequential([keras.layers.Input((TIME, INPUT)), *layers])
        for layer, weights in zip(layers, interop.keras.network_to(network, params), strict=True):
            layer.set_weights(weights)
        expected = model(INPUTS)
        outputs, _ = run_ours(network, params)
        check(outputs, expected, TOLERANCE)
        read, back = interop.keras.network_from(model.layers)
    assert read == network
    check_bitwise(back, params)
    check_bitwise(interop.keras.network_from(interop.keras.network_to(network, params))[1], params)


def test_layers_of_ours_in_place_of_keras(relaxed):
    pytest.importorskip("keras")
    from recurrent.layers.keras import LSTM

    with relaxed():
        layer = LSTM(HIDDEN)
        layer.build((BATCH, TIME, INPUT))
        network, params = interop.keras.network_from(layer)
        check_bitwise(params[0].forward, layer.get_weights())
    assert network == Network((recurrent.lstm,), (HIDDEN,))


@both
def test_the_flat_weights_of_cudnn(is_bidirectional):
    network, params = random_network(["lstm"] * 2, (4, 4), is_bidirectional)
    weights = interop.cudnn.network_to(network, params)
    sizes = {"input_size": INPUT, "hidden_size": HIDDEN, "num_layers": 2, "bidirectional": is_bidirectional}
    initial = random_states(network)
    lengths = jnp.full(BATCH, TIME, jnp.int32)
    states = map(jnp.asarray, stacked(initial))
    outputs, *final = cudnn_stand_in.reference(jnp.asarray(INPUTS), *states, jnp.asarray(weights), lengths, sizes)
    ours, states = run_ours(network, params, initial)
    check((ours, stacked(states)), (outputs, tuple(final)), TOLERANCE)
    read, back = interop.cudnn.network_from(
        weights, input_size=INPUT, hidden_size=HIDDEN, num_layers=2, is_bidirectional=is_bidirectional
    )
    assert read == network
    check_bitwise(back, params)


@both
@pytest.mark.parametrize("takes_states", [False, True], ids=["zero states", "given states"])
@pytest.mark.parametrize(
    "cells", [("simple_rnn", "lstm"), ("gru", "gru_reset_before")], ids=lambda cells: " ".join(cells)
)
def test_models_of_onnx(cells, takes_states, is_bidirectional):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    network, params = random_network(cells, (4, 5), is_bidirectional)
    model = interop.onnx.network_to(network, params, takes_states=takes_states)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    initial = random_states(network) if takes_states else None
    of_layers = [stacked([own]) for own in initial or ()]
    given = [INPUTS, *(field for own in of_layers for field in own)]
    names = [each.name for each in session.get_inputs()]
    expected, *final = session.run(None, dict(zip(names, given, strict=True)))
    outputs, ours = run_ours(network, params, initial)
    check((outputs, [field for own in ours for field in stacked([own])]), (expected, final), TOLERANCE)
    read, back = interop.onnx.network_from(model)
    assert read == network
    check_bitwise(back, params)


def test_batch_and_time_of_an_onnx_model_are_free():
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    params = params_of("lstm", np.random.default_rng(0))
    session = runtime.InferenceSession(
        interop.onnx.params_to(params).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for batch, time in ((1, 1), (5, 11)):
        outputs, hidden, _ = session.run(None, {"inputs": np.ones((batch, time, INPUT), np.float32)})
        assert (outputs.shape, hidden.shape) == ((batch, time, HIDDEN), (1, batch, HIDDEN))


@both
@pytest.mark.parametrize("library", ["Flax Linen", "Flax NNX", "Equinox", "Haiku"])
def test_lists_of_cells(library, is_bidirectional):
    for module in NEEDS.get(library, ()):
        pytest.importorskip(module)
    network, params = random_network(["lstm", "lstm"], (4, 5), is_bidirectional)
    own = LIBRARIES[library].module
    layers = own.network_to(network, params)
    assert all(isinstance(each, Directions) and (each.backward is None) != is_bidirectional for each in layers)
    read, back = own.network_from(layers)
    assert read == network
    check(back, params, 1e-6)


def test_bidirectional_modules_of_nnx(relaxed):
    from flax import nnx

    with relaxed():
        rngs = nnx.Rngs(0)
        layers = [
            nnx.Bidirectional(*(nnx.RNN(nnx.LSTMCell(size, HIDDEN, rngs=rngs)) for _ in range(2)), rngs=rngs)
            for size in (INPUT, 2 * HIDDEN)
        ]
        network, params = interop.nnx.network_from(layers)
        outputs, _ = run_ours(network, params)
        check(outputs, layers[1](layers[0](jnp.asarray(INPUTS))), TOLERANCE)


def test_layers_that_do_not_fit_each_other():
    def weights(size, hidden):
        return [np.ones((size, hidden)), np.ones((hidden, hidden)), np.ones(hidden)]

    with pytest.raises(ValueError, match="Layer 1 has 3 inputs, but the layer before it 4 outputs"):
        interop.keras.network_from([weights(3, 4), weights(3, 4)])
    with pytest.raises(ValueError, match="directions of layer 0 differ"):
        interop.keras.network_from([weights(3, 4) + weights(3, 5)])
    with pytest.raises(ValueError, match="2, 1 directions"):
        interop.keras.network_from([weights(3, 4) * 2, weights(8, 4)])
    with pytest.raises(ValueError, match="no directions"):
        interop.keras.network_from([])


def test_networks_that_a_library_has_no_module_for():
    pytest.importorskip("torch")
    mixed, params = random_network(["gru", "lstm"], (4, 4), False)
    with pytest.raises(ValueError, match="one cell and one size"):
        interop.torch.network_to(mixed, params)
    uneven, params = random_network(["lstm", "lstm"], (4, 5), False)
    for own in (interop.torch, interop.cudnn):
        with pytest.raises(ValueError, match="one size"):
            own.network_to(uneven, params)
    residual = Network(uneven.cells, (4, 4), is_residual=True)
    for own in (interop.torch, interop.cudnn, interop.onnx):
        with pytest.raises(ValueError, match="residual"):
            own.network_to(residual, params)


def test_a_network_is_not_one_cell():
    network, params = random_network(["lstm"], (4,), True)
    weights = interop.keras.network_to(network, params)[0]
    with pytest.raises(ValueError, match="1 layers in both directions, not one cell: use network_from"):
        interop.keras.params_from(weights)
