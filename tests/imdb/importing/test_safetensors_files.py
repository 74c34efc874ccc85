"""Safetensors files with a JSON file beside them: PyTorch's state dicts and this project's exports."""

import json

import jax
import numpy as np
import pytest

pytest.importorskip("h5py")
safetensors = pytest.importorskip("safetensors.numpy")

from experiments.imdb.export.config import describe  # noqa: E402
from experiments.imdb.export.safetensors_folder import write  # noqa: E402
from experiments.imdb.importing.read import read_imported, recipe_of  # noqa: E402
from experiments.imdb.importing.tensors import fit  # noqa: E402
from experiments.imdb.training.model import make_forward  # noqa: E402
from experiments.imdb.vocabulary import save  # noqa: E402
from tests.imdb.importing.model_files import NUM_IDS, TIME, TORCH_CONFIG, torch_tensors  # noqa: E402
from tests.imdb.small_run import make_small_run  # noqa: E402


def written(folder, tensors, config=TORCH_CONFIG):
    (folder / "model.safetensors").write_bytes(safetensors.save(tensors))
    (folder / "model.json").write_text(json.dumps(config))
    return folder / "model.safetensors"


def params_of(path):
    imported = read_imported(path)
    return fit(recipe_of(imported, {}), imported.tensors)


@pytest.mark.parametrize("cell, is_bidirectional", [("gru", False), ("lstm", True), ("simple_rnn", False)])
def test_a_state_dict_of_pytorch_answers_the_same(cell, is_bidirectional, tmp_path):
    torch = pytest.importorskip("torch")
    tensors = torch_tensors(cell, is_bidirectional)
    config = {**TORCH_CONFIG, "recipe": {"cell": cell, "sequence_length": TIME}}
    imported = read_imported(written(tmp_path, tensors, config))
    recipe = recipe_of(imported, {})
    assert (recipe.cell, recipe.bidirectional, recipe.vocabulary_size) == (cell, is_bidirectional, NUM_IDS)
    tokens = np.random.default_rng(0).integers(0, NUM_IDS, (5, TIME)).astype(np.int32)
    ours = make_forward(recipe)(fit(recipe, imported.tensors), tokens)

    kind = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "simple_rnn": torch.nn.RNN}[cell]
    module = kind(3, 4, batch_first=True, bidirectional=is_bidirectional)
    state = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    module.load_state_dict({name.removeprefix("rnn."): each for name, each in state.items() if name.startswith("rnn.")})
    with torch.no_grad():
        _, last = module(state["embedding.weight"][torch.from_numpy(tokens).long()])
        hidden = last[0] if cell == "lstm" else last
        features = torch.cat(list(hidden), dim=-1)
        theirs = features @ state["head.weight"].T + state["head.bias"]
    np.testing.assert_allclose(ours, theirs[:, 0].numpy(), atol=1e-5)


def test_half_precision_is_widened_exactly(tmp_path):
    tensors = {name: tensor.astype(np.float16) for name, tensor in torch_tensors().items()}
    params = params_of(written(tmp_path, tensors))
    np.testing.assert_array_equal(params["embedding"]["embedding"], tensors["embedding.weight"].astype(np.float32))


def changed(**tensors):
    return {name: each for name, each in (torch_tensors() | tensors).items() if each is not None}


NOTHING = None


@pytest.mark.parametrize(
    "tensors, words",
    [
        (changed(**{"rnn.weight_hh_l0": NOTHING}), "weight_hh"),
        (changed(**{"head.weight": NOTHING}), "head must have a weight and may have a bias, and the file has bias"),
        (changed(**{"embedding.bias": np.zeros(3, np.float32)}), "embedding must have a weight, and the file has bias"),
        (changed(**{"other.weight": np.zeros((2, 2), np.float32)}), "other.weight belongs to none"),
        (changed(**{"rnn.weight_ih_l0": np.zeros((12, 5), np.float32)}), "recurrent.input_kernel has shape"),
        (changed(**{"rnn.weight_hh_l0": np.zeros((8, 4), np.float32)}), "2 blocks"),
        (changed(**{"head.bias": np.full(1, np.nan, np.float32)}), "head.bias has values that are not finite"),
        (changed(**{"head.bias": np.zeros(2, np.float32)}), "head.bias has shape"),
        (changed(**{"embedding.weight": np.zeros(12, np.float32)}), "embedding.weight has shape"),
        ({name: each.astype(np.float64) for name, each in torch_tensors().items()}, "float64"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tensors, words, tmp_path):
    path = written(tmp_path, tensors)
    with pytest.raises(ValueError) as caught:
        params_of(path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "config, words",
    [
        ({}, "format None"),
        ({"format": "pytorch"}, "needs a recipe"),
        ({**TORCH_CONFIG, "recipe": {"cell": "lstm"}}, "cell is 'lstm', and by the tensors 'gru'"),
        ({**TORCH_CONFIG, "recipe": {"cell": "gru", "layers": 2}}, "layers is 2"),
        ({**TORCH_CONFIG, "recipe": {"cell": "gru", "colour": 2}}, "unknown fields colour"),
        ({**TORCH_CONFIG, "recipe": {"cell": "gru", "padding": "none"}}, "padding can't be 'none'"),
        ({**TORCH_CONFIG, "recipe": {"cell": "gru", "pooling": "attention"}}, "lacks attention.bias"),
        ({**TORCH_CONFIG, "names": {"recurrent": "gru"}}, "belongs to none"),
        ({**TORCH_CONFIG, "names": ["rnn"]}, "names must give"),
        ({**TORCH_CONFIG, "code": "x"}, "unknown keys code"),
        ({**TORCH_CONFIG, "recipe": {"cell": "gru", "sequence_length": 10**12}}, "at most 65,536"),
    ],
)
def test_a_json_file_that_does_not_fit_is_refused(config, words, tmp_path):
    path = written(tmp_path, torch_tensors(), config)
    with pytest.raises(ValueError) as caught:
        params_of(path)
    assert words in str(caught.value)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors does not exist"):
        read_imported(tmp_path)
    path = written(tmp_path, torch_tensors())
    (tmp_path / "model.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.json or config\.json"):
        read_imported(path)
    (tmp_path / "model.pt").write_bytes(b"x")
    with pytest.raises(ValueError, match="may hold a pickle"):
        read_imported(tmp_path / "model.pt")


@pytest.fixture
def exported(tmp_path):
    run = make_small_run("gru", padding="masked")
    write(run, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(describe(run, "small", "best")))
    save(run.vocabulary, tmp_path / "vocabulary.json")
    return run, tmp_path


def test_an_export_is_read_back_bit_for_bit(exported):
    run, folder = exported
    imported = read_imported(folder)
    assert recipe_of(imported, {}) == run.recipe
    assert imported.classes == run.classes
    assert imported.words == run.vocabulary.ranks
    params = fit(run.recipe, imported.tensors)
    jax.tree.map(np.testing.assert_array_equal, params, run.params)
    assert read_imported(folder / "model.safetensors").fields == imported.fields


@pytest.mark.parametrize(
    "key, value, words",
    [
        ("format_version", 2, "format_version is 2"),
        ("recipe", {"colour": 1}, "not one of this program's version"),
        ("recipe", {"layers": 10**9}, "at most 100"),
        ("recipe", {"source": "mails.csv"}, "--source PATH"),
        ("classes", 3, "classes are not a list"),
    ],
)
def test_an_export_that_is_changed_is_refused(exported, key, value, words):
    _, folder = exported
    config = json.loads((folder / "config.json").read_text())
    config[key] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=words):
        recipe_of(read_imported(folder), {})


def test_a_folder_of_another_format_names_its_file(tmp_path):
    (tmp_path / "model.keras").touch()
    with pytest.raises(ValueError, match=r"holds no model\.safetensors: name the file, .*model\.keras\."):
        read_imported(tmp_path)
    (tmp_path / "model.keras").unlink()
    with pytest.raises(FileNotFoundError, match="safetensors does not exist"):
        read_imported(tmp_path)
