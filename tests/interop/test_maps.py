"""Each map against the real library with random non-zero biases and states, and round trips without a lost bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
from recurrent import interop
from tests.interop.libraries import (
    HIDDEN,
    INPUT,
    LIBRARIES,
    MAPS,
    NEEDS,
    make_nnx,
    params_of,
    problem,
    run_nnx,
    run_ours,
)
from tests.interop.measured import difference_from, difference_to
from tests.reference import check

TOLERANCE = 1e-6
SUMS = {  # of biases: two of ours are one of theirs, or the reverse
    ("PyTorch", "simple_rnn"),
    ("PyTorch", "lstm"),
    ("Flax Linen", "gru"),
    ("Flax NNX", "gru"),
    ("Equinox", "gru"),
    ("Haiku", "lstm"),
    ("cuDNN", "lstm"),
    ("ONNX", "simple_rnn"),
    ("ONNX", "lstm"),
    ("ONNX", "gru_reset_before"),
}
ONE_BIAS = ("Flax Linen", "Flax NNX", "Equinox")


@pytest.fixture(autouse=True)
def _installed(request):
    callspec = getattr(request.node, "callspec", None)
    for module in NEEDS.get(callspec.params.get("library"), ()) if callspec else ():
        pytest.importorskip(module)


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def assert_same_bits(actual, expected):
    for one, other in zip(leaves(actual), leaves(expected), strict=True):
        assert (one.shape, one.dtype, one.tobytes()) == (other.shape, other.dtype, other.tobytes())


def exact(library, cell, params):
    """Returns params whose sums in a map are exact: one of two biases is zero, and a forget bias is short."""
    if cell == "gru" and library in ONE_BIAS:
        bias = params.bias.copy()
        bias[1, : 3 * HIDDEN if library == "Flax NNX" else 2 * HIDDEN] = 0
        return params._replace(bias=bias)
    short = (params.bias.astype(np.float32) * 8).round() / 8
    return params._replace(bias=short.astype(params.bias.dtype)) if library == "Haiku" else params


@pytest.mark.parametrize("library, cell", MAPS)
def test_their_weights_compute_the_same_here(library, cell, relaxed):
    with relaxed():
        assert difference_from(library, cell) <= TOLERANCE


@pytest.mark.parametrize("library, cell", MAPS)
def test_our_params_compute_the_same_there(library, cell, relaxed):
    with relaxed():
        assert difference_to(library, cell) <= TOLERANCE


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float16, np.float32, np.float64], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("library, cell", MAPS)
def test_params_come_back_with_the_same_bits(library, cell, dtype):
    own = LIBRARIES[library].module
    params = exact(library, cell, params_of(cell, np.random.default_rng(3), dtype))
    back = own.params_from(own.params_to(params))
    assert type(back) is type(params)
    assert_same_bits(back, params)


@pytest.mark.parametrize(
    "library, cell", [each for each in MAPS if each not in SUMS - {(each, "gru") for each in ONE_BIAS}]
)
def test_weights_come_back_with_the_same_bits(library, cell, relaxed):
    with relaxed():
        own = LIBRARIES[library]
        theirs = own.make(cell, np.random.default_rng(4))
        once = own.module.params_from(theirs)
        again = own.module.params_to(once)
        reloaded = own.load(cell, again)
        assert_same_bits(own.module.params_from(reloaded), once)
        if library == "PyTorch":
            assert_same_bits(
                *({name: each.numpy() for name, each in tree.items()} for tree in (again, theirs.state_dict()))
            )
        if library in ("Flax Linen", "Equinox", "Haiku"):
            assert_same_bits(again, theirs)


def test_a_negative_zero_keeps_its_sign():
    params = params_of("lstm", np.random.default_rng(0))._replace(bias=np.full(4 * HIDDEN, -0.0, np.float32))
    own = LIBRARIES["cuDNN"].module
    assert_same_bits(own.params_from(own.params_to(params)), params)


def test_a_bfloat16_layer_of_keras(relaxed):
    keras = pytest.importorskip("keras")
    with relaxed():
        layer = keras.layers.LSTM(HIDDEN, dtype="bfloat16", recurrent_initializer="glorot_uniform", dropout=0.5)
        layer.build((None, None, INPUT))
        params = params_of("lstm", np.random.default_rng(8), jnp.bfloat16)
        layer.set_weights(interop.keras.params_to(params))
        assert_same_bits(interop.keras.params_from(layer), params)


def test_the_separate_kernels_of_nnx_lstm(relaxed):
    with relaxed():
        draw = np.random.default_rng(5)
        theirs, given = make_nnx("lstm", draw, "LSTMCell"), problem("lstm", draw)
        check(run_ours("lstm", interop.nnx.params_from(theirs), *given), run_nnx("lstm", theirs, *given), TOLERANCE)


@pytest.mark.parametrize("library", ["Flax Linen", "Flax NNX", "Equinox", "Haiku", "cuDNN"])
def test_a_map_between_jax_arrays_can_be_traced(library):
    own = LIBRARIES[library].module
    params = jax.tree.map(jnp.asarray, params_of("lstm", np.random.default_rng(6)))
    back = jax.jit(lambda params: own.params_from(own.params_to(params)))(params)
    check(back, params, TOLERANCE)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("cell", recurrent.CELLS)
def test_a_cell_without_a_counterpart_is_refused_with_the_reason(library, cell):
    own = LIBRARIES[library]
    if cell in own.cells:
        return
    params = recurrent.CELLS[cell].init(jax.random.key(0), INPUT, HIDDEN)
    reason = {
        "simple_rnn": "ReLU|only an LSTMCell and a GRUCell|LSTM alone",
        "gru": "r .h U. is not .r h. U|LSTM alone",
        "gru_reset_before": ".r h. U is not r .h U.|LSTM alone",
        "layer_norm_lstm": "no cell there has layer normalisation",
        "layer_norm_gru": "no cell there has layer normalisation",
    }[cell]
    with pytest.raises(ValueError, match=f"no counterpart of {cell}: .*({reason})"):
        own.module.params_to(params)


def test_a_gru_with_a_recurrent_bias_has_no_form_in_nnx():
    params = params_of("gru", np.random.default_rng(7))
    with pytest.raises(ValueError, match="no bias on the candidate's recurrent kernel"):
        interop.nnx.params_to(params)
    with pytest.raises(ValueError, match="unknown under a transformation"):
        jax.jit(interop.nnx.params_to)(jax.tree.map(jnp.zeros_like, params))
