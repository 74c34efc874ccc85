"""The cudnn backend: its weights against JAX' reference of cuDNN, the rest against the plain backend, and its lowering.

Without a GPU the reference computes in cuDNN's place (`cudnn_stand_in`); with one, cuDNN does.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.experimental import rnn
from jax.sharding import AxisType, PartitionSpec

import recurrent
from recurrent.backends.cudnn import plan
from recurrent.backends.cudnn.lstm import flat_weights
from tests.backends import cudnn_stand_in

ROWS, TIME, INPUT, HIDDEN = 5, 11, 3, 4
LENGTHS = jnp.array([3, 0, TIME, 10, 6])
ANY_MASK = jnp.asarray(np.random.default_rng(0).random((ROWS, TIME)) < 0.6).at[1].set(False).at[2].set(True)
AT_THE_END = jnp.arange(TIME)[None] < LENGTHS[:, None]
AT_THE_FRONT = AT_THE_END[:, ::-1]
HAS_GPU = jax.default_backend() == "gpu"
TOLERANCE = 1e-5 if HAS_GPU else 2e-6
without_gpu = pytest.mark.skipif(HAS_GPU, reason="this is about machines without a GPU")
why_not_here = plan.why_not_here


@pytest.fixture(scope="module", autouse=True)
def cudnn():
    """cuDNN, or its stand-in on a machine without a GPU."""
    with pytest.MonkeyPatch.context() as patch, jax.default_matmul_precision("float32"):
        if not HAS_GPU:
            cudnn_stand_in.install(patch)
            patch.setattr(plan, "why_not_here", lambda: None)
        yield


class Given(NamedTuple):
    """Floating arguments, all of which have a gradient."""

    params: Any
    inputs: Any
    initial: Any
    prefix_input: Any


def draw() -> Given:
    keys = iter(jax.random.split(jax.random.key(7), 10))
    params = recurrent.lstm.init(next(keys), INPUT, HIDDEN)
    return Given(
        params=jax.tree.map(lambda leaf: leaf + 0.3 * jax.random.normal(next(keys), leaf.shape), params),
        inputs=jax.random.normal(next(keys), (ROWS, TIME, INPUT)),
        initial=recurrent.lstm.State(*jax.random.normal(next(keys), (2, ROWS, HIDDEN))),
        prefix_input=jax.random.normal(next(keys), (INPUT,)),
    )


GIVEN = draw()


def weighed(leaf):
    return jnp.sum(jnp.sin(jnp.arange(leaf.size, dtype=leaf.dtype)) * leaf.ravel())


def with_gradient(function):
    """Returns (given, *arguments) -> results and the gradient of a sum that weighs each of their numbers."""

    def total(*arguments):
        results = function(*arguments)
        return sum(weighed(leaf) for leaf in jax.tree.leaves(results)), results

    differentiate = jax.jit(jax.value_and_grad(total, has_aux=True))

    def compute(*arguments):
        (_, results), gradient = differentiate(*arguments)
        return results, gradient

    return compute


def assert_close(result, expected, tolerance=TOLERANCE):
    assert jax.tree.structure(result) == jax.tree.structure(expected)
    for ours, theirs in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
        assert ours.dtype == theirs.dtype
        scale = np.max(np.abs(theirs), initial=1e-3)
        np.testing.assert_allclose(ours / scale, theirs / scale, rtol=0, atol=tolerance)


def refer(lengths, given: Given):
    """Computes rows by JAX' reference of cuDNN, with our params as its weights."""
    sizes = {"input_size": INPUT, "hidden_size": HIDDEN, "num_layers": 1, "bidirectional": False}
    h_0, c_0 = given.initial
    outputs, h_n, c_n = cudnn_stand_in.reference(
        given.inputs, h_0[None], c_0[None], flat_weights(given.params), lengths, sizes
    )
    return outputs, recurrent.lstm.State(h_n[0], c_n[0])


def test_flat_weights_are_those_of_the_reference():
    weights = flat_weights(GIVEN.params)
    assert weights.shape == (rnn.get_num_params_in_lstm(INPUT, HIDDEN, 1, False),)
    W_ih, W_hh, b_ih, b_hh = rnn.unpack_lstm_weights(weights, INPUT, HIDDEN, 1, False)
    np.testing.assert_array_equal(W_ih[0], GIVEN.params.input_kernel.T)
    np.testing.assert_array_equal(W_hh[0], GIVEN.params.recurrent_kernel.T)
    np.testing.assert_array_equal(b_ih[0] + b_hh[0], GIVEN.params.bias)


def test_the_reference_computes_our_lstm_from_our_params():
    def run(given: Given):
        return recurrent.run(recurrent.lstm, given.params, given.inputs, initial=given.initial, backend="plain")

    full = jnp.full(ROWS, TIME, jnp.int32)
    assert_close(with_gradient(partial(refer, full))(GIVEN), with_gradient(run)(GIVEN))


def test_the_reference_computes_our_lstm_up_to_each_length():
    lengths = jnp.maximum(LENGTHS, 1).astype(jnp.int32)
    is_token = jnp.arange(TIME)[None] < lengths[:, None]

    def run(given: Given):
        arguments = {"is_token": is_token, "initial": given.initial, "backend": "plain"}
        outputs, final = recurrent.run(recurrent.lstm, given.params, given.inputs, **arguments)
        return jnp.where(is_token[..., None], outputs, 0), final  # its outputs in padding are zero

    assert_close(with_gradient(partial(refer, lengths))(GIVEN), with_gradient(run)(GIVEN))


WAYS = {
    "bare": lambda given: {},
    "from given states": lambda given: {"initial": given.initial},
    "backwards": lambda given: {"initial": given.initial, "reverse": True},
    "padding at the end": lambda given: {"is_token": AT_THE_END, "initial": given.initial},
    "padding at the end, backwards": lambda given: {"is_token": AT_THE_END, "reverse": True},
    "padding at the front": lambda given: {"is_token": AT_THE_FRONT},
    "any mask": lambda given: {"is_token": ANY_MASK, "initial": given.initial},
    "any mask, backwards": lambda given: {"is_token": ANY_MASK, "initial": given.initial, "reverse": True},
    "a prefix": lambda given: {"prefix": recurrent.Prefix(given.prefix_input, LENGTHS), "is_token": ANY_MASK},
}


@pytest.mark.parametrize(
    "way, function",
    [
        *((way, recurrent.run) for way in WAYS),
        *((way, recurrent.run_final) for way in ("bare", "any mask", "a prefix")),
    ],
)
def test_values_and_gradients_are_those_of_the_plain_backend(way, function):
    def compute(backend, given: Given):
        return function(recurrent.lstm, given.params, given.inputs, **WAYS[way](given), backend=backend)

    cudnn, plain = (with_gradient(partial(compute, backend))(GIVEN) for backend in ("cudnn", "plain"))
    assert_close(cudnn, plain)


def run_masked(backend, reverse):
    def compute(given: Given, is_token):
        arguments = {"is_token": is_token, "initial": given.initial, "reverse": reverse, "backend": backend}
        return recurrent.run(recurrent.lstm, given.params, given.inputs, **arguments)

    return with_gradient(compute)


MASKED = [[run_masked(backend, reverse) for backend in ("cudnn", "plain")] for reverse in (False, True)]
masks = st.lists(st.lists(st.booleans(), min_size=TIME, max_size=TIME), min_size=ROWS, max_size=ROWS)


@settings(max_examples=40, deadline=None)
@given(masks, st.booleans())
def test_any_mask_means_the_same(is_token, reverse):
    cudnn, plain = (compute(GIVEN, jnp.asarray(is_token)) for compute in MASKED[reverse])
    assert_close(cudnn, plain, 1e-5)


@pytest.mark.parametrize("padding", [jnp.nan, jnp.inf])
def test_neither_values_nor_gradients_see_what_stands_in_padding(padding):
    cudnn, _ = MASKED[False]
    inputs = jnp.where(ANY_MASK[..., None], GIVEN.inputs, padding)
    dirty, clean = (cudnn(given, ANY_MASK) for given in (GIVEN._replace(inputs=inputs), GIVEN))
    for ours, theirs in zip(jax.tree.leaves(dirty), jax.tree.leaves(clean), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.any(dirty[1].inputs[~ANY_MASK])


def test_inputs_may_be_made_and_their_table_gets_its_gradient():
    tokens = jax.random.randint(jax.random.key(1), (ROWS, TIME), 0, 6)

    def compute(backend, table, params):
        prefix = recurrent.Prefix(jnp.array(0), LENGTHS)
        arguments = {"make_inputs": lambda tokens: table[tokens], "prefix": prefix, "is_token": ANY_MASK}
        return recurrent.run_final(recurrent.lstm, params, tokens, **arguments, backend=backend)

    table = jax.random.normal(jax.random.key(2), (6, INPUT))
    cudnn, plain = (with_gradient(partial(compute, backend))(table, GIVEN.params) for backend in ("cudnn", "plain"))
    assert_close(cudnn, plain)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_batches_may_have_any_axes(batch):
    inputs = jax.random.normal(jax.random.key(3), (*batch, TIME, INPUT))
    is_token = jnp.broadcast_to(jnp.arange(TIME) > 2, (*batch, TIME))
    cudnn, plain = (
        recurrent.run(recurrent.lstm, GIVEN.params, inputs, is_token=is_token, backend=each)
        for each in ("cudnn", "plain")
    )
    assert_close(cudnn, plain)


def test_outputs_have_the_dtype_of_the_inputs():
    inputs = GIVEN.inputs.astype(jnp.bfloat16)
    cudnn, plain = (recurrent.run(recurrent.lstm, GIVEN.params, inputs, backend=each) for each in ("cudnn", "plain"))
    assert (cudnn[0].dtype, cudnn[1].memory.dtype) == (jnp.bfloat16, jnp.float32)
    assert_close(cudnn[1], plain[1])


def test_float32_stays_float32_where_64_bits_are_enabled(float64):
    cudnn, plain = (recurrent.run(recurrent.lstm, GIVEN.params, GIVEN.inputs, backend=e) for e in ("cudnn", "plain"))
    assert_close(cudnn, plain)


def test_networks_run_layer_by_layer_in_both_directions():
    network = recurrent.Network((recurrent.lstm, recurrent.lstm), (HIDDEN, 5), is_bidirectional=True)
    params = recurrent.network.init(jax.random.key(0), network, INPUT)

    def compute(backend, params, inputs):
        return recurrent.run_network(network, params, inputs, is_token=AT_THE_END, backend=backend)

    cudnn, plain = (jax.jit(partial(compute, backend))(params, GIVEN.inputs) for backend in ("cudnn", "plain"))
    assert_close(cudnn, plain)


@pytest.mark.devices(2)
@pytest.mark.parametrize("is_checked", [True, False])
def test_each_device_may_compute_its_rows(is_checked):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])
    everywhere, by_rows = PartitionSpec(), PartitionSpec("data")

    def gradient(backend, params, inputs, is_token):
        def loss(params):
            outputs, final = recurrent.run(recurrent.lstm, params, inputs, is_token=is_token, backend=backend)
            return jnp.sum(jnp.sin(outputs)) + jnp.sum(final.memory)

        return jax.tree.map(lambda leaf: leaf[None], jax.grad(loss)(jax.lax.pcast(params, "data", to="varying")))

    arrays = GIVEN.params, GIVEN.inputs[:4], AT_THE_END[:4]
    cudnn, plain = (
        jax.jit(
            jax.shard_map(
                partial(gradient, backend),
                mesh=mesh,
                in_specs=(everywhere, by_rows, by_rows),
                out_specs=by_rows,
                check_vma=is_checked,
            )
        )(*arrays)
        for backend in ("cudnn", "plain")
    )
    assert_close(cudnn, plain)


def final(params=GIVEN.params, inputs=GIVEN.inputs, cell=recurrent.lstm, **options):
    return recurrent.run_final(cell, params, inputs, **options, backend="cudnn")


ANY_START = jnp.ones((ROWS, TIME), bool)
REFUSED = {
    "it does not return the states of all steps": lambda: recurrent.run_packed(
        recurrent.lstm,
        GIVEN.params,
        jnp.ones((1, 4, INPUT)),
        recurrent.pack([2, 2], row_length=4),
        backend="cudnn",
    ),
    "the cell is not lstm": lambda: final(recurrent.gru.init(jax.random.key(0), INPUT, HIDDEN), cell=recurrent.gru),
    "`is_start` is given, and cuDNN has no starts": lambda: final(is_start=ANY_START),
    "`recurrent_mask` is given": lambda: final(recurrent_mask=jnp.ones((ROWS, 1, HIDDEN))),
    "`segment_size` is given": lambda: final(segment_size=4),
    "`truncate_every` is given": lambda: final(truncate_every=4),
    "an axis has size 0": lambda: final(inputs=GIVEN.inputs[:, :0]),
    "the params are bfloat16": lambda: final(jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), GIVEN.params)),
    "the call is differentiated in forward mode": lambda: jax.jvp(final, (GIVEN.params,), (GIVEN.params,)),
    "the call is inside `vmap`": lambda: jax.vmap(lambda inputs: final(inputs=inputs))(GIVEN.inputs),
    "inside `vmap`: give `run` the batch axes": lambda: jax.vmap(
        jax.grad(lambda params, inputs: final(params, inputs).hidden.sum()), (None, 0)
    )(GIVEN.params, GIVEN.inputs),
    "x has 2 features, but the kernel takes 3": lambda: final(inputs=GIVEN.inputs[..., :2]),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_it_cannot_do_is_refused_with_the_reason(reason):
    with pytest.raises(ValueError, match=reason):
        REFUSED[reason]()


def test_symbolic_sizes_are_refused():
    (rows,) = jax.export.symbolic_shape("rows")
    with pytest.raises(ValueError, match="a size is symbolic"):
        jax.export.export(jax.jit(lambda inputs: final(inputs=inputs)))(
            jax.ShapeDtypeStruct((rows, TIME, INPUT), jnp.float32)
        )


def test_it_is_chosen_by_name_alone():
    assert recurrent.explain(recurrent.lstm, GIVEN.params, GIVEN.inputs).backend != "cudnn"
    assert "cudnn" not in recurrent.explain(recurrent.lstm, GIVEN.params, GIVEN.inputs).refusals
    by_name = recurrent.explain(recurrent.lstm, GIVEN.params, GIVEN.inputs, is_token=ANY_MASK, backend="cudnn")
    assert (by_name.backend, by_name.segment_size) == ("cudnn", None)


@without_gpu
def test_a_machine_without_a_gpu_is_told_at_the_call(monkeypatch):
    monkeypatch.setattr(plan, "why_not_here", why_not_here)
    reason = "it is for NVIDIA GPUs, and JAX computes on cpu"
    assert recurrent.explain(recurrent.lstm, GIVEN.params, GIVEN.inputs).refusals["cudnn"] == reason
    with pytest.raises(ValueError, match=f"The backend 'cudnn' cannot run this call: {reason}"):
        final()


def test_a_gpu_of_another_make_is_told(monkeypatch):
    class Device:
        class client:
            platform_version = "PJRT C API\nrocm 60300"

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "devices", lambda: [Device])
    assert "of another make" in why_not_here()


@pytest.mark.parametrize("way", WAYS)
def test_it_is_lowered_for_cuda_as_one_call_in_each_direction(way):
    def compute(given: Given):
        outputs, final = recurrent.run(recurrent.lstm, given.params, given.inputs, **WAYS[way](given), backend="cudnn")
        return weighed(outputs) + weighed(final.memory)

    forward, both = (lower(each, GIVEN) for each in (compute, jax.grad(compute)))
    assert (forward.count("@cudnn_rnn_ffi"), forward.count("@cudnn_rnn_bwd_ffi")) == (1, 0)
    assert (both.count("@cudnn_rnn_ffi"), both.count("@cudnn_rnn_bwd_ffi")) == (1, 1)
    assert "stablehlo.while" not in both


def lower(function, *arguments):
    return jax.jit(function).trace(*arguments).lower(lowering_platforms=("cuda",)).as_text()


@without_gpu
@pytest.mark.parametrize(
    ("precision", "is_rounded"), [(None, True), ("tensorfloat32", True), ("highest", False), ("F32_F32_F32", False)]
)
def test_operands_are_rounded_only_where_jax_rounds_them(precision, is_rounded):
    with jax.default_matmul_precision(precision):
        text = lower(jax.grad(lambda params: weighed(final(params).hidden)), GIVEN.params)
    # The descriptor lists sizes, dropout, directions, whether operands may be rounded, and the sizes of temporaries.
    assert text.count(f"({INPUT}, {HIDDEN}, 1, {ROWS}, {TIME}, 0.0, False, {is_rounded}, ") == 2
