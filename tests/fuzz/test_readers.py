"""Every reader of a file or a text, fed with damaged and hostile content: a defined answer or a ValueError, no more.

Nothing that a file says is executed, and nothing is looked for on a network: an audit hook, which sees all of Python's
doors to that, listens while a reader works. The cases are the same in every run.
"""

import csv
import gzip
import hashlib
import io
import json
import shutil
import sys
import tarfile
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import recurrent
from experiments.imdb import vocabulary
from experiments.imdb.answers.predict import num_known
from experiments.imdb.answers.text_words import text_words
from experiments.imdb.reviews.archive import Archive
from experiments.imdb.reviews.examples import pad
from experiments.imdb.reviews.keras_npz import KerasFile
from experiments.imdb.reviews.own.csv_file import read_csv
from experiments.imdb.reviews.own.json_lines import read_json_lines
from experiments.imdb.reviews.own.parquet import read_parquet
from experiments.imdb.reviews.own.row import TEXT_MAX_BYTES
from experiments.imdb.reviews.own.source import OwnData
from experiments.imdb.reviews.own.store import load as load_stored
from experiments.imdb.reviews.own.store import write_array, write_description, write_ids
from experiments.imdb.reviews.pickled_lists import read_lists
from experiments.imdb.reviews.wheel import Wheel
from experiments.imdb.runs.files import read_classes, read_recipe
from experiments.imdb.training.recipes import Recipe
from recurrent import interop
from recurrent.training import Record, RunDirectory
from recurrent.training.checkpoints.folder import Checkpoints
from recurrent.training.checkpoints.hashes import Corrupt, hash_files
from recurrent.training.checkpoints.seal import read_seal, write_seal
from recurrent.training.run.lines import read_lines, salvage_lines

pytestmark = pytest.mark.fault(23)

FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.", "socket.connect", "pickle.find_class")
_heard: list[str] | None = None


def _listen(event, arguments):
    if _heard is not None and event.startswith(FORBIDDEN) and not _is_own_reader(event, arguments):
        _heard.append(event)


def _is_own_reader(event, arguments):
    """HDF5 files are read by a process of their own, whose program and arguments no file decides."""
    return event == "subprocess.Popen" and list(arguments[1][:2]) == [sys.executable, "-I"]


sys.addaudithook(_listen)


@pytest.fixture(autouse=True)
def _nothing_is_executed():
    global _heard
    _heard = []
    yield
    heard, _heard = _heard, None
    assert heard == []


def cases(number):
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=number, deadline=None, derandomize=True, suppress_health_check=checks)


@st.composite
def mutated(draw, content):
    """The content with some bytes changed, cut out, doubled or put in; sometimes something else altogether."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(len(changed) - 1, 0)))
        end = draw(st.integers(start, min(start + 40, len(changed))))
        kind = draw(st.sampled_from(["change", "cut", "double", "insert", "end"]))
        if kind == "change" and changed:
            changed[start] = draw(st.integers(0, 255))
        elif kind == "cut":
            del changed[start:end]
        elif kind == "double":
            changed[end:end] = changed[start:end]
        elif kind == "insert":
            changed[start:start] = draw(st.binary(max_size=20))
        else:
            del changed[start:]
    return bytes(changed)


def answers(read, *expected):
    """Calls a reader: its answer, or None where it refused in the way that it may."""
    try:
        return read()
    except (ValueError, *expected):
        return None


def lists_as_npy():
    reviews = np.empty(3, object)
    reviews[:] = [[1, 2, 300], [70_000], [5, 5]]
    stream = io.BytesIO()
    np.save(stream, reviews, allow_pickle=True)
    return stream.getvalue()


def keras_file():
    stream = io.BytesIO()
    labels = io.BytesIO()
    np.save(labels, np.array([1, 0, 1]))
    with zipfile.ZipFile(stream, "w") as archive:  # not compressed, so that changes reach what is inside
        for name in ("x_train", "x_test"):
            archive.writestr(f"{name}.npy", lists_as_npy())
        for name in ("y_train", "y_test"):
            archive.writestr(f"{name}.npy", labels.getvalue())
    return stream.getvalue()


@cases(1000)
@given(content=mutated(keras_file()))
def test_keras_file(tmp_path, content):
    (tmp_path / "imdb.npz").write_bytes(content)
    arrays = answers(KerasFile(tmp_path / "imdb.npz").read)
    assert arrays is None or len(arrays.x_train) == len(arrays.y_train)


@cases(1000)
@given(content=mutated(lists_as_npy()))
def test_array_of_lists(content):
    """Without the checksums of the zip file; the unpickler may raise anything, and calls nothing."""
    lists = answers(lambda: read_lists(content), Exception)
    assert lists is None or all(each.dtype == np.int32 for each in lists)


PICKLED = [
    *(
        b"cos\nsystem\n",
        b"ios\nsystem\n",
        b"\x8c\x02os\x8c\x06system\x93",
        b"cnumpy\nndarray\n",
        b"X\x02\x00\x00\x00ls",
    ),
    *(
        b"(",
        b")",
        b"]",
        b"}",
        b"K\x01",
        b"R",
        b"b",
        b"o",
        b"\x81",
        b"\x92",
        b"\x94",
        b"h\x00",
        b"a",
        b"e",
        b"t",
        b"u",
        b".",
    ),
    *(b"0", b"1", b"2", b"Ios\n", b"P1\n", b"\x82\x01"),
]


@cases(1000)
@given(content=st.lists(st.sampled_from(PICKLED), max_size=30))
def test_programs_for_the_unpickler(content):
    header = lists_as_npy()[:128]
    lists = answers(lambda: read_lists(header + b"\x80\x04" + b"".join(content) + b"."), Exception)
    assert lists is None or all(each.dtype == np.int32 for each in lists)


def wheel_csv():
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(["text", "label", "source"])
    writer.writerows(
        [[f'{label} a film, "so" to say\nnumber {n}', label, "imdb"] for label in (1, 0) for n in range(3)]
    )
    writer.writerow(["another", 1, "elsewhere"])
    return stream.getvalue().encode()


@cases(1000)
@given(content=mutated(wheel_csv()))
def test_wheel(tmp_path, content):
    """Its hash is made to fit, so that the reader itself is what is tried."""
    (tmp_path / "wheel.csv").write_bytes(content)
    np.save(tmp_path / "order.npy", np.arange(6, dtype=np.uint16))
    wheel = Wheel(tmp_path / "wheel.csv", tmp_path / "order.npy", hashlib.sha256(content).hexdigest(), num_per_label=3)
    splits = answers(wheel.read)
    assert splits is None or [review.label for review in splits["train"]] == [1] * 3 + [0] * 3


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def check_rows(read, path):
    """What is read is text with a label; a refusal names the file."""
    rows, refusal = [], str(path)
    try:
        rows = list(read(path))
    except ValueError as error:
        refusal = str(error)
    assert str(path) in refusal
    for row in rows:
        assert len(row.text.encode()) <= TEXT_MAX_BYTES
        assert row.label.strip() == row.label != ""


@pytest.mark.fault(24)
@cases(1000)
@given(content=mutated(wheel_csv()))
def test_own_csv(tmp_path, content):
    (tmp_path / "own.csv").write_bytes(content)
    check_rows(read_csv, tmp_path / "own.csv")


OWN_JSON = b"".join(json.dumps({"text": f'a "film" {n} \u00e9', "label": n % 2}).encode() + b"\n" for n in range(5))


@pytest.mark.fault(24)
@cases(1000)
@given(content=mutated(OWN_JSON))
def test_own_json_lines(tmp_path, content):
    (tmp_path / "own.jsonl").write_bytes(content)
    check_rows(read_json_lines, tmp_path / "own.jsonl")


def own_parquet():
    stream = io.BytesIO()
    table = pyarrow.table({"text": [f"a film {n}" for n in range(20)], "label": [n % 2 for n in range(20)]})
    pyarrow.parquet.write_table(table, stream, compression="none", row_group_size=10)  # changes reach what is inside
    return stream.getvalue()


@cases(500)
@given(content=mutated(own_parquet()))
def test_own_parquet(tmp_path, content):
    (tmp_path / "own.parquet").write_bytes(content)
    check_rows(read_parquet, tmp_path / "own.parquet")


@cases(200)
@given(names=st.lists(st.text(max_size=5), max_size=4), data=st.data())
def test_own_folders(tmp_path, names, data):
    shutil.rmtree(tmp_path / "own", ignore_errors=True)
    for name in names:
        path = tmp_path / "own" / "train" / name.encode("utf-8", "replace").hex() / "1.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.draw(st.binary(max_size=10)))
    check_rows(lambda path: OwnData(path).rows("train"), tmp_path / "own")


@pytest.mark.fault(21)
@cases(500)
@given(data=st.data())
def test_kept_ids_of_own_data(tmp_path, data):
    """Any change is noticed by a hash."""
    folder = tmp_path / "kept"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_ids(folder, "train", [[1, 5, 4], [1, 6]])
    write_array(folder, "train", "labels", np.array([0, 1]))
    write_array(folder, "train", "digests", np.array([7, 8], np.uint64))
    write_description(folder, ["a", "film"], ["x", "y"], ["train"])
    file = data.draw(st.sampled_from(sorted(folder.iterdir())))
    content = file.read_bytes()
    changed = data.draw(mutated(content) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
    file.write_bytes(changed)
    stored = load_stored(folder)
    if changed == content:
        assert stored is not None
    elif file.suffix != ".json":  # of the description, a change may be one of spaces
        assert stored is None


def tar():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for split in ("train", "test"):
            for label in ("pos", "neg"):
                for number in range(2):
                    member = tarfile.TarInfo(f"aclImdb/{split}/{label}/{number}_7.txt")
                    member.size = 11
                    archive.addfile(member, io.BytesIO(b"a fine film"))
    return stream.getvalue()


@cases(500)
@given(content=mutated(tar()[:13_000]), is_packed_first=st.booleans(), data=st.data())
def test_archive(tmp_path, content, is_packed_first, data):
    packed = (
        data.draw(mutated(gzip.compress(tar(), mtime=0))) if is_packed_first else gzip.compress(content, 1, mtime=0)
    )
    file = tmp_path / "outer" / "inner" / "a.tar.gz"  # members may have paths that lead out of its folder
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(packed)
    before = sorted(tmp_path.rglob("*"))
    archive = Archive(file, sha256=hashlib.sha256(packed).hexdigest(), num_per_label=2)
    splits = answers(archive.read)
    assert splits is None or len(splits["train"]) == 4
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    checkpoints = Checkpoints(tmp_path_factory.mktemp("fuzz") / "latest")
    checkpoints.save(1, {"weights": jnp.arange(40.0), "step": jnp.int32(1)}, {"identity": {"recipe": {"epochs": 3}}})
    return checkpoints


@cases(1000)
@given(data=st.data())
def test_seal_of_a_checkpoint(saved, tmp_path, data):
    content = saved.seal_path(1).read_bytes()
    changed = data.draw(mutated(content))
    (tmp_path / "1.json").write_bytes(changed)
    if changed != content:
        with pytest.raises(Corrupt):
            read_seal(tmp_path / "1.json")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of threads that Orbax leaves
@cases(150)
@given(data=st.data())
def test_metadata_of_a_checkpoint_whose_hashes_were_forged(saved, tmp_path, data):
    """Someone who changes Orbax' own files can make the hashes fit. What comes back is wrong then, but is an array."""
    like = {"weights": jnp.zeros(40), "step": jnp.int32(0)}
    forged = Checkpoints(tmp_path / "latest")
    shutil.rmtree(tmp_path / "latest", ignore_errors=True)
    shutil.copytree(saved.path(1), forged.path(1))
    files = sorted(file for file in forged.path(1).rglob("*") if file.is_file() and file.stat().st_size)
    file = data.draw(st.sampled_from(files))
    file.write_bytes(data.draw(mutated(file.read_bytes())))
    manifest = read_seal(saved.seal_path(1))
    write_seal(forged.seal_path(1), manifest._replace(files=hash_files(forged.path(1))))
    state = answers(lambda: forged.restore(forged.check(1).step, like))
    assert state is None or jax.tree.map(lambda leaf: leaf.shape, state) == {"weights": (40,), "step": ()}


@cases(500)
@given(value=JSON_VALUES)
def test_json_files_of_a_run(tmp_path, value):
    for name in ("recipe.json", "vocabulary.json", "manifest.json", "classes.json"):
        (tmp_path / name).write_text(json.dumps(value))
    recipe = answers(lambda: read_recipe(tmp_path))
    assert recipe is None or isinstance(recipe, Recipe)
    assert answers(lambda: vocabulary.load(tmp_path / "vocabulary.json")) is None
    classes = answers(lambda: read_classes(tmp_path))
    assert classes is None or (len(classes) > 1 and all(type(name) is str for name in classes))
    answers(RunDirectory(tmp_path).manifest)


@cases(500)
@given(fields=st.dictionaries(st.sampled_from(list(Recipe.__dataclass_fields__)), JSON_VALUES, max_size=4))
def test_recipe(tmp_path, fields):
    """What is taken for a recipe has fields of their own types."""
    (tmp_path / "recipe.json").write_text(json.dumps(fields))
    recipe = answers(lambda: read_recipe(tmp_path))
    if recipe is not None:
        assert type(recipe.hidden_size) is int
        assert recipe.cell in ("simple_rnn", "lstm", "gru", "gru_reset_before", "layer_norm_lstm", "layer_norm_gru")
        assert type(recipe.learning_rate) in (int, float)


NUMBERS = {"loss": 0.25, "acc": 0.5}
RECORDS = b"".join(
    json.dumps(Record(epoch, 5 * epoch, NUMBERS, NUMBERS).fields()).encode() + b"\n" for epoch in (1, 2, 3)
)


@cases(1000)
@given(content=mutated(RECORDS))
def test_records(tmp_path, content):
    (tmp_path / "records.jsonl").write_bytes(content)
    answers(lambda: read_lines(tmp_path / "records.jsonl", Record))
    lines, _ = salvage_lines(tmp_path / "records.jsonl", Record)
    assert all(type(record.epoch) is int for record in lines)
    assert {type(each) for record in lines for each in record.fields().values()} <= {int, float}


@pytest.mark.fault(24)
@cases(1000)
@given(text=st.text() | st.binary().map(lambda content: content.decode("utf-8", "replace")))
def test_text_to_predict(text):
    words = vocabulary.Vocabulary(("the", "a", "film", "'"), 6)
    ids = vocabulary.encode(words, text)
    assert ids[0] == vocabulary.START_ID
    of_words = text_words(words, text)
    assert 0 <= num_known(of_words) <= len(of_words)
    assert pad([ids], 5, 6).shape == (1, 5)
    np.testing.assert_array_equal(ids, vocabulary.encode(words, text))


def weights_of_a_gru():
    draw = np.random.default_rng(0)
    shapes = {"weight_ih_l0": (12, 3), "weight_hh_l0": (12, 4), "bias_ih_l0": (12,), "bias_hh_l0": (12,)}
    return {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def is_sound(params):
    """Whether a reader's params are arrays of sizes that fit each other, and finite."""
    cell = next(cell for cell in recurrent.CELLS.values() if isinstance(params, cell.Params))
    input_size, hidden_size = cell.sizes(params)
    like = cell.init(jax.random.key(0), input_size, hidden_size)
    return all(
        one.shape == other.shape and np.isfinite(np.asarray(one, np.float64)).all()
        for one, other in zip(params, like, strict=True)
    )


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of casts of what is then refused
@cases(1000)
@given(data=st.data())
def test_safetensors_file(tmp_path, data):
    safetensors = pytest.importorskip("safetensors.numpy")
    content = data.draw(mutated(safetensors.save(weights_of_a_gru())))
    (tmp_path / "weights.safetensors").write_bytes(content)
    params = answers(lambda: interop.torch.params_from(tmp_path / "weights.safetensors"))
    assert params is None or is_sound(params)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]


@cases(500)
@given(
    header=st.dictionaries(
        st.sampled_from(["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "__metadata__", "../x", "weight_hh_l9"]),
        JSON_VALUES
        | st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["F32", "BF16", "F64", "I8", "F9", "F8_E4M3"]),
                "shape": st.lists(st.integers(-1, 2**62), max_size=3),
                "data_offsets": st.lists(st.integers(-1, 2**62), max_size=3),
            }
        ),
        max_size=4,
    ),
    body=st.binary(max_size=64),
)
def test_header_of_a_safetensors_file(tmp_path, header, body):
    pytest.importorskip("safetensors")
    text = json.dumps(header).encode()
    (tmp_path / "weights.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + body)
    params = answers(lambda: interop.torch.params_from(tmp_path / "weights.safetensors"))
    assert params is None or is_sound(params)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@cases(1000)
@given(data=st.data())
def test_onnx_file(tmp_path, data):
    pytest.importorskip("onnx")
    network = recurrent.Network((recurrent.lstm, recurrent.gru), (2, 2), is_bidirectional=True)
    params = recurrent.network.init(jax.random.key(0), network, input_size=3)
    content = data.draw(mutated(interop.onnx.network_to(network, params).SerializeToString()))
    (tmp_path / "model.onnx").write_bytes(content)
    found = answers(lambda: interop.onnx.network_from(tmp_path / "model.onnx"))
    assert found is None or all(is_sound(own) for layer in found[1] for own in layer)
    answers(lambda: interop.onnx.params_from(tmp_path / "model.onnx"))
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.fixture(scope="module")
def keras_models():
    """The bytes of small models by the ending of their file's name."""
    pytest.importorskip("h5py")
    from tests.imdb.importing import model_files

    return {".keras": model_files.keras_file(), ".h5": model_files.h5_file()}


def check_imported(path):
    """A model that is read has finite arrays of its recipe's shapes; a refusal names the file."""
    from experiments.imdb.importing.read import read_imported, recipe_of
    from experiments.imdb.importing.tensors import fit

    refusal, before = "", sorted(each.name for each in path.parent.iterdir())
    try:
        imported = read_imported(path)
        fit(recipe_of(imported, {}), imported.tensors)
    except (ValueError, FileNotFoundError) as error:
        refusal = str(error)
    assert "\0" not in refusal
    assert sorted(each.name for each in path.parent.iterdir()) == before
    return refusal


@cases(60)
@given(data=st.data())
def test_keras_archive(keras_models, tmp_path, data):
    (tmp_path / "model.keras").write_bytes(data.draw(mutated(keras_models[".keras"])))
    check_imported(tmp_path / "model.keras")


@cases(40)
@given(data=st.data())
def test_keras_hdf5_file(keras_models, tmp_path, data):
    (tmp_path / "model.h5").write_bytes(data.draw(mutated(keras_models[".h5"])))
    check_imported(tmp_path / "model.h5")


OPTIONS = (
    "units",
    "activation",
    "dropout",
    "dtype",
    "name",
    "layer",
    "return_sequences",
    "use_bias",
    "odd_initializer",
)


@cases(300)
@given(
    place=st.integers(0, 3),
    changes=st.dictionaries(st.sampled_from(OPTIONS), JSON_VALUES, max_size=3),
    more=JSON_VALUES,
)
def test_description_of_a_keras_model(place, changes, more):
    pytest.importorskip("h5py")
    from experiments.imdb.importing.keras_fields import keras_fields
    from experiments.imdb.importing.keras_graph import chain_of
    from experiments.imdb.importing.keras_model import read_model
    from tests.imdb.importing import model_files

    model = model_files.config()
    model["config"]["layers"][place]["config"] |= changes
    for described in (model, {**model, "class_name": "Functional"}, more):
        text = json.dumps(described).encode()
        read = answers(lambda text=text: keras_fields(read_model(chain_of(text).layers), ignores_training=True))
        assert read is None or read["hidden_size"] >= 1


@cases(300)
@given(data=st.data(), config=st.dictionaries(st.sampled_from(["format", "names", "recipe", "classes"]), JSON_VALUES))
def test_safetensors_model_and_its_json(tmp_path, data, config):
    safetensors = pytest.importorskip("safetensors.numpy")
    pytest.importorskip("h5py")
    from tests.imdb.importing import model_files

    content = safetensors.save(model_files.torch_tensors())
    (tmp_path / "model.safetensors").write_bytes(data.draw(st.just(content) | mutated(content)))
    (tmp_path / "model.json").write_text(
        json.dumps(data.draw(st.just({**model_files.TORCH_CONFIG, **config}) | JSON_VALUES))
    )
    check_imported(tmp_path / "model.safetensors")


@cases(300)
@given(content=JSON_VALUES)
def test_word_index(tmp_path, content):
    from experiments.imdb.importing.word_index import read_word_index

    (tmp_path / "index.json").write_text(json.dumps(content))
    index = answers(lambda: read_word_index(tmp_path / "index.json"))
    assert index is None or min(index.values()) >= 1


@cases(300)
@given(source=JSON_VALUES)
def test_what_is_no_tree_of_weights(source):
    for read in (interop.linen.params_from, interop.nnx.params_from, interop.haiku.params_from):
        assert answers(lambda read=read: read(source)) is None
    assert answers(lambda: interop.torch.network_from(source), OSError) is None  # a text is a path
