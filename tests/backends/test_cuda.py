"""The cuda backend: against the plain one on an NVIDIA GPU, where its library is built; all else everywhere."""

import shutil
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import recurrent
import recurrent.native
from recurrent.backends.cuda import build, compiler, library, plan
from recurrent.backends.cuda.library import Library
from recurrent.backends.native.build import find_built
from recurrent.training import describe_environment

CELLS = [recurrent.lstm, recurrent.gru, recurrent.simple_rnn]
ROWS, TIME, INPUT = 5, 11, 3
WHY_NOT = plan.why_not_here() or plan.load().why_not
on_a_gpu = pytest.mark.skipif(WHY_NOT is not None, reason=f"the cuda backend cannot run here: {WHY_NOT}")


class Given(NamedTuple):
    """Floating arguments, all of which have a gradient."""

    params: Any
    inputs: Any
    initial: Any
    reset_to: Any
    prefix_input: Any


@cache
def draw(cell, hidden=5) -> Given:
    numbers = np.random.default_rng(7)

    def normal(*shape: int) -> jax.Array:
        return jnp.asarray(numbers.normal(size=shape), jnp.float32)

    params = cell.init(jax.random.key(1), INPUT, hidden)
    params = jax.tree.map(lambda leaf: leaf + 0.1 * normal(*leaf.shape), params)
    zero = cell.zero_state(params)

    def states(count: int) -> Any:
        return jax.tree.map(lambda leaf: normal(count, *leaf.shape), zero)

    return Given(params, normal(ROWS, TIME, INPUT), states(ROWS), states(3), normal(INPUT))


LENGTHS = jnp.array([3, 0, TIME, 10, 6])
IS_TOKEN = jnp.asarray(np.random.default_rng(0).random((ROWS, TIME)) < 0.6).at[1].set(False).at[2].set(True)
IS_START = jnp.asarray(np.random.default_rng(1).random((ROWS, TIME)) < 0.2)
INDEX = jnp.asarray(np.random.default_rng(2).integers(0, 3, (ROWS, TIME)))
STATES = {"is_start": IS_START, "reset_index": INDEX}
WAYS = {
    "bare": lambda given: {},
    "given states": lambda given: {"initial": given.initial},
    "backwards": lambda given: {"initial": given.initial, "reverse": True},
    "masked": lambda given: {"is_token": IS_TOKEN, "initial": given.initial},
    "masked backwards": lambda given: {"is_token": IS_TOKEN, "reverse": True},
    "starts": lambda given: {"is_start": IS_START, "is_token": IS_TOKEN, "initial": given.initial},
    "starts to given states": lambda given: {**STATES, "reset_to": given.reset_to, "is_token": IS_TOKEN},
    "starts to given states backwards": lambda given: {**STATES, "reset_to": given.reset_to, "reverse": True},
    "a prefix": lambda given: {"prefix": recurrent.Prefix(given.prefix_input, LENGTHS)},
}


def weighed(leaf):
    return jnp.sum(jnp.sin(jnp.arange(leaf.size, dtype=jnp.float32)) * leaf.ravel().astype(jnp.float32))


def everything(compute, given):
    """Returns the results of a function, and the gradient of a sum that weighs each of their numbers."""

    def total(given):
        results = compute(given)
        return sum(weighed(leaf) for leaf in jax.tree.leaves(results)), results

    (_, results), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(given)
    return results, gradient


def assert_close(result, expected, tolerance=2e-6):
    assert jax.tree.structure(result) == jax.tree.structure(expected)
    for ours, theirs in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
        assert ours.dtype == theirs.dtype
        scale = np.max(np.abs(theirs), initial=1e-3)
        np.testing.assert_allclose(ours / scale, theirs / scale, rtol=0, atol=tolerance)


@pytest.fixture(autouse=True)
def exact():
    """Matmuls without rounded operands."""
    with jax.default_matmul_precision("highest"):
        yield


def compute(cell, way, backend, function=recurrent.run):
    def run(given: Given):
        return function(cell, given.params, given.inputs, **WAYS[way](given), backend=backend)

    return run


@on_a_gpu
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cell", CELLS)
def test_values_and_gradients_are_those_of_the_plain_backend(cell, way):
    ours, plain = (everything(compute(cell, way, backend), draw(cell)) for backend in ("cuda", "plain"))
    assert_close(ours, plain, 5e-6)


@on_a_gpu
@pytest.mark.parametrize("hidden", [1, 32, 33, 64, 100, 128])
@pytest.mark.parametrize("cell", CELLS)
def test_hidden_sizes_up_to_the_largest(cell, hidden):
    ours, plain = (
        everything(compute(cell, "masked", backend, recurrent.run_final), draw(cell, hidden))
        for backend in ("cuda", "plain")
    )
    assert_close(ours, plain, 5e-6)


@on_a_gpu
@pytest.mark.parametrize("cell", CELLS)
def test_a_row_has_the_same_bits_in_any_batch_and_each_time(cell):
    given, tokens = draw(cell), IS_TOKEN

    @jax.jit
    def final(inputs, is_token):
        return recurrent.run_final(cell, given.params, inputs, is_token=is_token, backend="cuda").hidden

    whole = np.asarray(final(given.inputs, tokens))
    np.testing.assert_array_equal(whole, final(given.inputs, tokens))
    others = given.inputs.at[1:].set(jnp.nan)
    np.testing.assert_array_equal(whole[0], final(others, tokens)[0])


@on_a_gpu
@pytest.mark.parametrize("padding", [jnp.nan, jnp.inf])
@pytest.mark.parametrize("cell", CELLS)
def test_padding_reaches_neither_values_nor_gradients(cell, padding):
    clean = draw(cell)
    dirty = clean._replace(inputs=jnp.where(IS_TOKEN[..., None], clean.inputs, padding))
    results = [everything(compute(cell, "masked", "cuda"), given) for given in (clean, dirty)]
    for ours, theirs in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@on_a_gpu
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("value", [jnp.nan, 1e4, -1e4])
def test_large_inputs_and_nan_are_as_in_the_plain_backend(cell, value):
    given = draw(cell)
    given = given._replace(inputs=given.inputs.at[0, 4].set(value))
    ours, plain = (everything(compute(cell, "bare", backend), given) for backend in ("cuda", "plain"))
    for mine, theirs in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
        np.testing.assert_array_equal(np.isnan(mine), np.isnan(theirs))
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)


@on_a_gpu
@pytest.mark.parametrize("batch, num_steps", [((), 4), ((2, 3), 4), ((0,), 4), ((2,), 0)])
@pytest.mark.parametrize("cell", CELLS)
def test_any_batch_and_length(cell, batch, num_steps):
    given = draw(cell)
    inputs = jnp.asarray(np.random.default_rng(3).normal(size=(*batch, num_steps, INPUT)), jnp.float32)
    given = given._replace(inputs=inputs)
    ours, plain = (everything(compute(cell, "bare", backend), given) for backend in ("cuda", "plain"))
    assert_close(ours, plain)


@on_a_gpu
@pytest.mark.parametrize("cell", CELLS)
def test_vmap_over_params_and_inputs(cell):
    given = draw(cell)

    def gradient(backend, scale):
        def total(given):
            given = jax.tree.map(lambda leaf: leaf * scale, given)
            outputs, final = compute(cell, "masked", backend)(given)
            return weighed(outputs) + weighed(final.hidden)

        return jax.grad(total)(given)

    scales = jnp.array([1.0, 0.5, -1.0])
    ours, plain = (jax.jit(jax.vmap(partial(gradient, backend)))(scales) for backend in ("cuda", "plain"))
    assert_close(ours, plain, 5e-6)


@on_a_gpu
@pytest.mark.parametrize("cell", CELLS)
def test_second_derivatives_are_those_of_the_plain_backend(cell):
    given = draw(cell)

    def curvature(backend):
        def total(given):
            outputs, final = compute(cell, "starts to given states", backend)(given)
            return weighed(outputs**2) + weighed(final.hidden)

        def slope(given):
            return sum(weighed(leaf) for leaf in jax.tree.leaves(jax.grad(total)(given)))

        return jax.jit(jax.grad(slope))(given)

    assert_close(curvature("cuda"), curvature("plain"), 1e-5)


@on_a_gpu
def test_inputs_may_be_made_and_are_of_another_dtype():
    params = draw(recurrent.gru).params
    tokens = jnp.asarray(np.random.default_rng(5).integers(0, 6, (ROWS, TIME)))
    table = jnp.asarray(np.random.default_rng(6).normal(size=(6, INPUT)), jnp.bfloat16)

    def run(backend, given):
        table, params = given
        options = {"make_inputs": lambda tokens: table[tokens], "is_token": IS_TOKEN, "backend": backend}
        return recurrent.run(recurrent.gru, params, tokens, **options)

    ours, plain = (everything(partial(run, backend), (table, params)) for backend in ("cuda", "plain"))
    assert ours[0][0].dtype == jnp.bfloat16
    assert_close(*(jax.tree.map(lambda leaf: leaf.astype(jnp.float32), each) for each in (ours, plain)), 0.02)


@on_a_gpu
def test_auto_takes_it():
    given = draw(recurrent.lstm)
    assert recurrent.explain(recurrent.lstm, given.params, given.inputs).backend == "cuda"


@on_a_gpu
def test_segments_are_kept_whole():
    given = draw(recurrent.lstm)
    explanation = recurrent.explain(recurrent.lstm, given.params, given.inputs, segment_size=4, backend="cuda")
    assert (explanation.backend, explanation.segment_size) == ("cuda", None)


@pytest.fixture
def on_paper(monkeypatch):
    """Lets calls be refused and lowered as on a machine with an H100 and a library."""
    monkeypatch.setattr(plan, "why_not_here", lambda: None)
    monkeypatch.setattr(plan, "architectures", lambda: ["90"])
    monkeypatch.setattr(plan, "load", lambda: Library(None))


def final(cell=recurrent.lstm, hidden=5, params=None, inputs=None, **options):
    given = draw(cell, hidden)
    params, inputs = given.params if params is None else params, given.inputs if inputs is None else inputs
    return recurrent.run_final(cell, params, inputs, **options, backend="cuda")


def explain(num_steps, **options):
    inputs = jax.ShapeDtypeStruct((128, num_steps, INPUT), jnp.float32)
    return recurrent.explain(recurrent.lstm, draw(recurrent.lstm).params, inputs, **options, backend="cuda")


CPU = jax.devices("cpu")[0]


def bfloat16():
    return jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), draw(recurrent.lstm).params)


REFUSED = {
    "the cell is none of": lambda: final(recurrent.gru_reset_before),
    "`recurrent_mask` is given": lambda: final(recurrent_mask=jnp.ones((ROWS, 1, 5))),
    "`truncate_every` is given": lambda: final(truncate_every=4),
    "the hidden size is 129, and it is for at most 128": lambda: final(hidden=129),
    "it would keep 4,194,304,000 bytes of all steps, and at most 2,147,483,648": lambda: explain(16_000),
    "it would keep 1,048,576,000 bytes of all steps, and at most 536,870,912": lambda: explain(4_000, segment_size=25),
    "the params are bfloat16": lambda: final(params=bfloat16()),
    "an array or JAX' default device is on cpu": lambda: final(params=jax.device_put(draw(recurrent.lstm).params, CPU)),
    "the call is differentiated in forward mode": lambda: jax.jvp(
        lambda inputs: final(inputs=inputs), *[(draw(recurrent.lstm).inputs,)] * 2
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_it_cannot_do_is_refused_with_the_reason(reason, on_paper):
    with pytest.raises(ValueError, match=reason):
        REFUSED[reason]()


def test_where_the_cpu_is_the_default_device_it_is_refused(on_paper):
    for device in (CPU, "cpu"):
        with jax.default_device(device), pytest.raises(ValueError, match="JAX' default device is on cpu"):
            final()


@pytest.mark.parametrize(
    ("capability", "hidden", "reason"),
    [
        ("75", 5, "compute capability 7.5, and it is for 8.0 and later"),
        ("89", 65, "a hidden size above 64 takes more shared memory"),
    ],
)
def test_a_gpu_that_lacks_something_is_told(capability, hidden, reason, on_paper, monkeypatch):
    monkeypatch.setattr(plan, "architectures", lambda: [capability])
    with pytest.raises(ValueError, match=reason):
        final(hidden=hidden)


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="this is about machines without a GPU")
def test_a_machine_without_a_gpu_is_told():
    given = draw(recurrent.lstm)
    reason = "it is for NVIDIA GPUs, and JAX computes on cpu"
    assert recurrent.explain(recurrent.lstm, given.params, given.inputs).refusals["cuda"] == reason


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cell", CELLS)
def test_it_is_lowered_for_cuda_as_one_call_in_each_direction(cell, way, on_paper):
    def total(given):
        return sum(weighed(leaf) for leaf in jax.tree.leaves(compute(cell, way, "cuda")(given)))

    def lower(function):
        text = jax.jit(function).trace(draw(cell)).lower(lowering_platforms=("cuda",)).as_text()
        assert "stablehlo.while" not in text
        return [text.count(f'"recurrent_cuda_{name} ') for name in ("forward", "backward")]

    assert lower(total) == [1, 0]
    assert lower(jax.grad(total)) == [1, 1]


NVCC = """#!/bin/sh
if [ "$1" = --version ]; then echo "nvcc: a compiler"; echo "Cuda compilation tools, release 13.0, V13.0.88"; exit; fi
echo "$@" >"$(dirname "$0")/arguments"
while [ "$1" != -o ]; do shift; done
%s
"""
WRITES = 'echo "no library" >"$2"'


@pytest.fixture
def make_nvcc(tmp_path, monkeypatch):
    """Makes a script the only `nvcc`, with an empty cache and GPUs of two kinds."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for module in (build, compiler):
        monkeypatch.setattr(module, "architectures", lambda: ["80", "90"])
    monkeypatch.setattr(library, "why_not_here", lambda: None)
    monkeypatch.setattr(compiler, "folders", list)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name in ("NVCC", "CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    if shutil.which("nvcc"):
        pytest.skip("there is an nvcc among this machine's own programs")

    def make(does: str = WRITES) -> Path:
        path = tmp_path / "bin" / "nvcc"
        path.parent.mkdir()
        path.write_text(NVCC % does)
        path.chmod(0o755)
        monkeypatch.setenv("CUDA_HOME", str(tmp_path))
        return path

    return make


def test_a_library_is_built_once_for_the_gpus_that_are_there(make_nvcc):
    path = make_nvcc()
    built = build.build()
    assert built.parent.name == build.key()
    arguments = (path.parent / "arguments").read_text()
    assert "arch=compute_80,code=sm_80" in arguments
    assert "arch=compute_90,code=sm_90" in arguments
    (path.parent / "arguments").unlink()
    assert build.build() == built
    assert not (path.parent / "arguments").exists()
    assert find_built(built.parent).compiler == f"{path}: Cuda compilation tools, release 13.0, V13.0.88"


def test_without_nvcc_one_line_says_so(make_nvcc):
    with pytest.raises(recurrent.native.BuildError, match=r"there is no CUDA compiler \(nvcc\). Install NVIDIA's CUDA"):
        build.build()


def test_the_first_error_of_nvcc_is_shown(make_nvcc):
    path = make_nvcc('echo "handlers.cu(1): error: no such header" >&2; exit 1')
    with pytest.raises(recurrent.native.BuildError) as error:
        build.build()
    assert str(error.value) == f"the CUDA compiler {path} failed: handlers.cu(1): error: no such header"


def test_a_library_that_is_missing_or_none_is_told_with_the_command(make_nvcc):
    load = library.load.__wrapped__
    assert load().why_not == "its library is not built: run `python -m recurrent.native build`"
    make_nvcc()
    build.build()
    assert "cannot be loaded" in load().why_not


@pytest.mark.parametrize(
    ("does", "code", "said"),
    [
        (None, 0, "The cuda backend is not built: there is no CUDA compiler"),
        ("exit 3", 1, "The cuda backend is not built: the CUDA compiler"),
        (WRITES, 1, "The cuda backend is built, and cannot be used: its library"),
    ],
)
def test_the_command_says_what_was_built(make_nvcc, capsys, monkeypatch, does, code, said):
    if does is not None:
        make_nvcc(does)
    monkeypatch.setattr(recurrent.native, "why_not_here", lambda: None)
    monkeypatch.setattr(recurrent.native, "load_cuda", Load())
    monkeypatch.setattr(recurrent.native, "build", lambda: "/native")
    monkeypatch.setattr(recurrent.native, "why_not", lambda: None)
    assert recurrent.native.main(["build"]) == code
    output, errors = capsys.readouterr()
    assert output == "The native backend is built: /native\n"
    assert errors.startswith(said)


class Load:
    """`load` as in a fresh process."""

    def __call__(self):
        return library.load.__wrapped__()

    def cache_clear(self):
        pass


@pytest.mark.cpu
def test_without_a_gpu_the_library_says_so():
    assert "it is for NVIDIA GPUs" in library.load.__wrapped__().why_not
    assert describe_environment(jax.local_devices(), "cuda")["backend"] == {"name": "cuda"}
