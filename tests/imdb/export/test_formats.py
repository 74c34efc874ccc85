"""An export answers what the run predicts: by the code of its model card, for recipes of all kinds."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.imdb.export import keras_model, onnx_model
from experiments.imdb.export.safetensors_folder import tensors_of
from experiments.imdb.training.recipes import RECIPES
from tests.imdb.export.runs import TEXTS, code_of, load, make_run, write

THREE = ("sport", "food", "music")
CASES = {
    "lstm": {},
    "gru-masked": {"cell": "gru", "padding": "masked"},
    "both-directions": {"cell": "simple_rnn", "bidirectional": True, "padding": "masked"},
    "residual": {"layers": 3, "residual": True, "hidden_size": 6},
    "two-cells": {"layers": 2, "layer_cells": ("gru", "lstm"), "layer_sizes": (3, 5), "padding": "masked"},
    "attention": {"cell": "gru", "layers": 2, "bidirectional": True, "pooling": "attention", "padding": "masked"},
    "pooled": {"cell": "gru_reset_before", "bidirectional": True, "pooling": "mean_max"},
    "residual-mean": {"layers": 2, "residual": True, "pooling": "mean", "padding": "masked", "hidden_size": 6},
    "pairs": {"cell": "gru", "bigrams": 50, "pooling": "mean_max", "padding": "masked", "bidirectional": True},
    "pairs-last": {"bigrams": 1_000_003},
    "triples": {"bigrams": 40, "trigrams": 30, "pooling": "mean_max", "padding": "masked", "pools_inputs": True},
    "triples by a kernel": {"bigrams": 40, "trigrams": 30, "pair_size": 2, "bidirectional": True},
    "classes": {"classes": THREE, "pooling": "max"},
    "classes-masked": {"classes": THREE, "layers": 2, "residual": True, "padding": "masked"},
}
OURS_ALONE = {
    "zoneout": {"zoneout_rate": 0.2, "padding": "masked"},
    "layer-norm": {"cell": "layer_norm_lstm", "layers": 2},
    "layer-norm-gru": {"cell": "layer_norm_gru", "bidirectional": True},
    "bfloat16": {"dtype": "bfloat16", "pooling": "mean", "padding": "masked"},
}
"""What Keras and ONNX have no counterpart of."""
OF_FORMAT = {
    "onnx": [*CASES],
    "keras": ["gru-masked", "both-directions", "residual", "two-cells", "attention", "pooled", "pairs", "classes"],
    "safetensors": ["both-directions", "residual-mean", "two-cells", "attention", "pairs", "classes", *OURS_ALONE],
    "jax": ["lstm", "two-cells", "attention", "pairs-last", "zoneout", "bfloat16"],
}
LIBRARIES = {"keras": "keras", "onnx": "onnxruntime"}
QUICK = ("keras-gru-masked", "safetensors-both-directions", "jax-lstm")


def cases():
    """Each format with its recipes; what compiles much is marked as slow."""
    for file_format, names in OF_FORMAT.items():
        for name in names:
            is_quick = file_format == "onnx" or f"{file_format}-{name}" in QUICK
            marks = [] if is_quick else [pytest.mark.slow]
            yield pytest.param(file_format, (CASES | OURS_ALONE)[name], id=f"{file_format}-{name}", marks=marks)


def need(file_format):
    """Skips a format whose library is not installed."""
    if file_format in LIBRARIES:
        pytest.importorskip(LIBRARIES[file_format])


@pytest.mark.parametrize("file_format, fields", [*cases()])
def test_an_export_answers_as_the_run_does(file_format, fields, tmp_path, relaxed):
    need(file_format)
    run = make_run(**fields)
    # Where bfloat16 is rounded depends on what is compiled together.
    atol = 1e-3 if run.recipe.dtype == "bfloat16" else 1e-5
    with relaxed():
        write(run, file_format, tmp_path)
        names = load(tmp_path)
        expected = run.predict(TEXTS)
        np.testing.assert_allclose(names["probability"](TEXTS), expected, rtol=0, atol=atol)
        assert np.ptp(expected, axis=0).min() > 0.01
        if "read_in_chunks" in names:
            *_, last = names["read_in_chunks"](run.encode(TEXTS).astype(np.int32), 4)
            np.testing.assert_allclose(last, expected, rtol=0, atol=atol)


@pytest.mark.slow
@pytest.mark.parametrize("file_format", ["safetensors", "keras", "jax"])
def test_a_run_in_float64_answers_the_same(file_format, tmp_path, relaxed, float64):
    need(file_format)
    run = make_run(dtype="float64", bidirectional=True, padding="masked")
    with relaxed():
        write(run, file_format, tmp_path)
        np.testing.assert_allclose(load(tmp_path)["probability"](TEXTS), run.predict(TEXTS), rtol=0, atol=1e-7)


@pytest.mark.parametrize("build", [keras_model.build, onnx_model.build])
@pytest.mark.parametrize(
    "fields, field",
    [
        ({"cell": "layer_norm_gru"}, "cell layer_norm_gru"),
        ({"layers": 2, "layer_cells": ("gru", "layer_norm_lstm")}, "layer_cells gru, layer_norm_lstm"),
        ({"zoneout_rate": 0.5}, "zoneout_rate 0.5"),
        ({"dtype": "bfloat16"}, "dtype bfloat16"),
    ],
)
def test_what_a_library_can_not_compute_is_refused_by_field(build, fields, field):
    with pytest.raises(ValueError, match=f"with {field} can't be exported to (Keras|ONNX): .*safetensors and jax"):
        build(make_run(**fields))


def test_float64_is_refused_where_onnx_runtime_has_none(float64):
    with pytest.raises(ValueError, match="dtype float64 can't be exported to ONNX: ONNX Runtime has no recurrent"):
        onnx_model.build(make_run(dtype="float64"))


@pytest.mark.parametrize(
    "padding, pooling", [("keras", "mean_max"), ("masked", "last"), ("masked", "max"), ("masked", "attention")]
)
def test_onnx_takes_any_batch_and_time_and_padding_alone(padding, pooling):
    onnxruntime = pytest.importorskip("onnxruntime")
    run = make_run(padding=padding, pooling=pooling, bidirectional=True)
    session = onnxruntime.InferenceSession(onnx_model.build(run).SerializeToString())
    for tokens in ([[0, 0, 0, 0], [0, 0, 1, 5], [1, 5, 6, 7]], [[0, 1]], [[0, 0, 1, 5, 0, 7]]):  # 0 within is a word
        tokens = np.array(tokens, np.int64)
        logits, probabilities = session.run(None, {"tokens": tokens})
        expected = np.asarray(run.forward(run.params, jnp.asarray(tokens, jnp.int32)))
        np.testing.assert_allclose(logits, expected, atol=1e-5)
        np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-expected)), atol=1e-6)


def test_the_tensors_are_the_weights_bit_for_bit(tmp_path):
    from safetensors.numpy import load_file

    for fields in ({}, {"layers": 2, "bidirectional": True, "bigrams": 5, "pooling": "attention"}):
        run = make_run(**fields)
        write(run, "safetensors", tmp_path)
        tensors = load_file(tmp_path / "model.safetensors")
        leaves = jax.tree_util.tree_leaves_with_path(run.params)
        assert len(tensors) == len(leaves)
        for path, leaf in leaves:
            found = tensors[".".join(str(key.key) for key in path)]
            assert (found.dtype, found.tobytes()) == (leaf.dtype, np.asarray(leaf).tobytes())
    assert {"embedding.embedding", "pairs.embedding", "recurrent.layers.1.backward.bias", "attention.kernel"} < {
        *tensors
    }
    assert list(tensors_of(make_run().params)) == [
        "embedding.embedding",
        *("head.bias", "head.kernel"),
        *(f"recurrent.{name}" for name in ("bias", "input_kernel", "recurrent_kernel")),
    ]


ALONE = """
import json, os, sys
from importlib.abc import MetaPathFinder

class Refuse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuse())
answers = []
for folder, code, texts in json.load(sys.stdin):
    os.chdir(folder)
    names = {{"__name__": "card", "print": lambda *_: None}}
    exec(code, names)
    answers.append([float(each) for each in names["probability"](texts)])
print(json.dumps(answers))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "file_format, refused",
    [
        ("jax", {"recurrent", "experiments", "flax", "optax", "orbax", "jaxtyping"}),
        ("keras", {"recurrent", "experiments", "flax", "optax", "orbax", "jaxtyping"}),
        ("onnx", {"recurrent", "experiments", "flax", "jax", "jaxlib", "jaxtyping"}),
        ("safetensors", {"experiments", "flax", "optax", "orbax"}),
    ],
)
def test_an_export_loads_where_its_library_alone_is(file_format, refused, tmp_path, child_environment, relaxed):
    need(file_format)
    run = make_run(cell="gru", layers=2, padding="masked")
    with relaxed():
        write(run, file_format, tmp_path)
    given = json.dumps([[str(tmp_path), code_of(tmp_path), TEXTS]])
    line = [sys.executable, "-c", ALONE.format(refused=refused)]
    done = subprocess.run(line, input=given, capture_output=True, text=True, env=child_environment, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout)[0], run.predict(TEXTS), rtol=0, atol=1e-5)


def test_programs_are_for_cpu_cuda_and_tpu(tmp_path):
    write(make_run(), "jax", tmp_path)
    for name in ("model.jax", "stream.jax"):
        program = jax.export.deserialize(bytearray((tmp_path / name).read_bytes()))
        assert program.platforms == ("cpu", "cuda", "tpu")
        assert [str(size) for size in program.in_avals[-1].shape] == ["batch", "time"]


@pytest.mark.parametrize("fields", [{"bidirectional": True}, {"pooling": "max"}, {"bigrams": 9}])
def test_what_needs_a_whole_text_has_no_stream(fields, tmp_path):
    write(make_run(**fields), "jax", tmp_path)
    assert not (tmp_path / "stream.jax").exists()


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_each_named_recipe_is_expressible_in_every_format(name):
    keras_model.check(make_run()._replace(recipe=RECIPES[name]()))
    onnx_model.check(make_run()._replace(recipe=RECIPES[name]()))
