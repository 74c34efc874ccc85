"""Files that are damaged or made to harm: one message that names the fault, nothing executed, nothing written."""

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")

from experiments.imdb.importing import hdf5  # noqa: E402
from experiments.imdb.importing.keras_file import read_keras  # noqa: E402
from tests.imdb.importing.model_files import arrays, config, h5_file, keras_file, layer, weights_file  # noqa: E402

pytestmark = pytest.mark.fault(23)


class Harm:
    """What a pickle calls when it is read."""

    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


PICKLE = pickle.dumps(Harm())


def refused(tmp_path, content, suffix):
    """The message with which a file is refused; only the file itself is there afterwards."""
    folder = tmp_path / "outer" / "inner"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read_keras(path)
    assert [each.name for each in tmp_path.rglob("*")] == ["outer", "inner", path.name]
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def as_members(model=None, weights=None):
    return {".h5": h5_file(model, weights), ".keras": keras_file(model, weights_file(weights))}


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_the_files_that_these_tests_change_are_read(tmp_path, suffix):
    (tmp_path / f"model{suffix}").write_bytes(as_members()[suffix])
    imported = read_keras(tmp_path / f"model{suffix}")
    np.testing.assert_array_equal(imported.tensors["recurrent.input_kernel"], arrays()["lstm"]["kernel"])
    assert imported.fields["padding"] == "masked"


def soft_link(file):
    del file["model_weights/lstm/sequential/lstm/bias"]
    file["model_weights/lstm/sequential/lstm/bias"] = h5py.SoftLink("/model_weights/dense/sequential/dense/bias")


def external_link(file):
    del file["model_weights/lstm"]
    file["model_weights/lstm"] = h5py.ExternalLink("/etc/passwd", "/")


def external_storage(file):
    del file["model_weights/dense/sequential/dense/bias"]
    group = file["model_weights/dense/sequential/dense"]
    group.create_dataset("bias", (1,), "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def virtual(file):
    layout = h5py.VirtualLayout((1,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (1,))
    file["model_weights/dense/sequential/dense"].create_virtual_dataset("more", layout)


def hostile_pickle(file):
    file["model_weights/dense/sequential/dense/object"] = np.void(PICKLE)


def objects(file):
    file.create_dataset("objects", data=["text"], dtype=h5py.string_dtype())


def references(file):
    file.create_dataset("references", (1,), h5py.ref_dtype)


def compressed(file):
    file.create_dataset("more", data=np.zeros(1000, np.float32), compression="gzip")


def shape_bomb(file):
    file.create_dataset("bomb", (1 << 40,), "f4", chunks=(1024,))


def cycle(file):
    file["model_weights/again"] = file["model_weights"]


def datatype(file):
    file["type"] = np.dtype("f4")


def no_text(file):
    del file.attrs["model_config"]
    file.attrs["model_config"] = 5


@pytest.mark.parametrize(
    "change, words",
    [
        (soft_link, "link"),
        (external_link, "link"),
        (external_storage, "another file"),
        (virtual, "another file"),
        (hostile_pickle, "Objects are never read"),
        (objects, "Objects are never read"),
        (references, "Objects are never read"),
        (compressed, "compressed"),
        (shape_bomb, "by its shape"),
        (cycle, "nested"),
        (datatype, "neither a group nor an array"),
        (no_text, "not a text"),
    ],
)
def test_hdf5_that_is_more_than_arrays_of_numbers_is_refused(tmp_path, change, words):
    assert words in refused(tmp_path, h5_file(change=change), ".h5")


def endless():
    """A file on which the HDF5 library never ends: a free object of its heap has no size."""
    content = bytearray(h5_file())
    heap = content.index(b"GCOL") + 16
    size = int.from_bytes(content[heap + 8 : heap + 16], "little")
    free = heap + 16 + -(-size // 8) * 8
    content[free + 8 : free + 16] = bytes(8)
    return bytes(content)


def test_reading_that_does_not_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "_SECONDS", 2)
    assert "damaged" in refused(tmp_path, endless(), ".h5")


def test_a_crash_of_the_library_is_an_error_like_others(tmp_path, monkeypatch):
    (tmp_path / "crash.py").write_text("import os; os.abort()")
    monkeypatch.setattr(hdf5, "_CHILD", tmp_path / "crash.py")
    with pytest.raises(ValueError, match="the HDF5 library ended with code"):
        hdf5.read_hdf5(h5_file())


def test_the_reading_process_can_open_no_file(tmp_path, monkeypatch):
    code = (Path(hdf5.__file__).with_name("hdf5_child.py")).read_text()
    code = code.replace("    arrays: dict[str, Any] = {}\n    try:", "    try:\n        open(__file__)")
    (tmp_path / "child.py").write_text(code)
    monkeypatch.setattr(hdf5, "_CHILD", tmp_path / "child.py")
    with pytest.raises(ValueError, match="Too many open files"):
        hdf5.read_hdf5(h5_file())


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    bomb = keras_file(weights=bytes(50_000_000), compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 100_000
    assert "compressed more than" in refused(tmp_path, bomb, ".keras")


def test_a_member_that_claims_less_than_it_holds_is_refused(tmp_path):
    content = bytearray(keras_file())
    size = len(weights_file()).to_bytes(4, "little")
    place = content.rindex(size)  # in the central directory
    content[place : place + 4] = (len(weights_file()) - 50).to_bytes(4, "little")
    assert refused(tmp_path, bytes(content), ".keras")


@pytest.mark.parametrize("name", ["../escaped", "/escaped", "a/../../escaped", "..\\escaped", "C:\\escaped"])
def test_a_member_whose_path_leads_out_is_refused(tmp_path, name):
    assert "leads out" in refused(tmp_path, keras_file(more=[(name, b"x")]), ".keras")


def test_a_pickle_in_an_archive_is_not_read(tmp_path):
    (tmp_path / "model.keras").write_bytes(keras_file(more=[("assets/data.pkl", PICKLE)]))
    assert read_keras(tmp_path / "model.keras").fields["cell"] == "lstm"
    assert "intact" in refused(tmp_path / "x", PICKLE, ".keras")
    assert "damaged" in refused(tmp_path / "y", PICKLE, ".h5")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_member_that_is_there_twice_is_refused(tmp_path):
    twice = keras_file(more=[("config.json", json.dumps(config()))])
    assert "several" in refused(tmp_path, twice, ".keras")


def test_an_archive_without_weights_is_refused(tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("config.json", "{}")
    assert "lacks model.weights.h5" in refused(tmp_path, stream.getvalue(), ".keras")


CODE = layer("Lambda", "trick", function={"class_name": "__lambda__", "config": {"code": "4wEAAAAAAAAA"}})
CUSTOM = {**layer("LSTM", "lstm", units=4), "module": "mine", "registered_name": "Mine>LSTM"}


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("odd, words", [(CODE, "trick (Lambda) holds code"), (CUSTOM, "custom class (Mine>LSTM)")])
def test_code_is_refused(tmp_path, suffix, odd, words):
    model = config()
    model["config"]["layers"][2] = odd
    message = refused(tmp_path, as_members(model)[suffix], suffix)
    assert words in message
    assert "not run" in message


def without(name, each):
    found = arrays()
    del found[name][each]
    return found


def changed(name, each, value):
    found = arrays()
    found[name][each] = value
    return found


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize(
    "weights, words",
    [
        (without("lstm", "bias"), "Layer lstm (LSTM)"),
        (without("embedding", "embeddings"), "Layer embedding (Embedding)"),
        (changed("lstm", "more", np.zeros(3, np.float32)), ""),
        (changed("dense", "kernel", np.zeros((5, 1), np.float32)), "Layer dense (Dense): kernel has shape (5, 1)"),
        (changed("lstm", "kernel", np.zeros((3, 12), np.float32)), "Layer lstm (LSTM): kernel has shape (3, 12)"),
        (changed("lstm", "bias", np.full(16, np.nan, np.float32)), "Layer lstm (LSTM): bias has values"),
        (changed("lstm", "bias", np.arange(16)), "floating-point numbers, as weights are"),
        (changed("lstm", "bias", np.zeros(16)), "Layer lstm (LSTM): bias is float64"),
        ({**arrays(), "other": {"kernel": np.zeros(3, np.float32)}}, "superfluous"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path, suffix, weights, words):
    assert words in refused(tmp_path, as_members(weights=weights)[suffix], suffix)


@pytest.mark.parametrize(
    "content", ["[]", "{", "null", '{"class_name": "Sequential", "config": {"layers": [3]}}', "[" * 90_000]
)
def test_a_description_that_is_none_is_refused(tmp_path, content):
    assert refused(tmp_path, h5_file(change=lambda file: file.attrs.modify("model_config", content)), ".h5")
