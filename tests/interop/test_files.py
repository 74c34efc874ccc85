"""Files of weights: safetensors and ONNX are read without executing or opening anything else; pickles are refused."""

import os
import pickle

import numpy as np
import pytest

from recurrent import interop
from tests.interop.libraries import HIDDEN, INPUT, make_onnx, params_of
from tests.reference import check_bitwise


class Hostile:
    """Pickled, it is a program that would make a file."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_a_safetensors_file_of_torch(tmp_path, dtype):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    module = torch.nn.GRU(3, 4, num_layers=2, bidirectional=True, dtype=getattr(torch, dtype))
    safetensors.save_file(
        {f"encoder.{name}": tensor for name, tensor in module.state_dict().items()} | {"head": torch.ones(2)},
        tmp_path / "model.safetensors",
    )
    network, params = interop.torch.network_from(tmp_path / "model.safetensors", prefix="encoder.")
    expected = interop.torch.network_from(module)
    assert (network, str(params[0].forward.bias.dtype)) == (expected[0], dtype)
    for one, other in zip(params, expected[1], strict=True):
        for ours, theirs in zip(one.backward, other.backward, strict=True):
            assert ours.tobytes() == theirs.tobytes()
    written = interop.torch.network_to(network, params)
    assert all(torch.equal(written[name], tensor) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".pkl", ".PT", ".h5", ".keras"])
def test_a_hostile_pickle_is_refused_by_its_name_and_not_opened(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(pickle.dumps(Hostile()))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"may hold a pickle|is Keras' own"):
        interop.torch.params_from(path)
    with pytest.raises(ValueError):
        interop.onnx.params_from(path)
    assert sorted(tmp_path.iterdir()) == before


def test_a_hostile_pickle_under_another_name(tmp_path, monkeypatch):
    pytest.importorskip("safetensors")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ValueError, match="not an intact safetensors file"):
        interop.torch.params_from("weights.safetensors")
    assert [each.name for each in tmp_path.iterdir()] == ["weights.safetensors"]


def test_a_safetensors_file_of_integers(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    safetensors.save_file({"weight_ih_l0": np.ones((4, 3), np.int32)}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="weight_ih_l0 is I32, but must be one of BF16, F16, F32, F64"):
        interop.torch.params_from(tmp_path / "w.safetensors")


def test_a_file_of_onnx(tmp_path):
    pytest.importorskip("onnx")
    params = params_of("lstm", np.random.default_rng(0))
    (tmp_path / "model.onnx").write_bytes(interop.onnx.params_to(params).SerializeToString())
    check_bitwise(interop.onnx.params_from(tmp_path / "model.onnx"), params)
    (tmp_path / "model.onnx").write_bytes(b"\x80\x04 no model")
    with pytest.raises(ValueError, match="not an intact ONNX file"):
        interop.onnx.params_from(tmp_path / "model.onnx")


@pytest.mark.parametrize("location", ["weights.bin", "../secret", "/etc/passwd"])
def test_arrays_outside_of_an_onnx_file_are_not_read(tmp_path, location):
    onnx = pytest.importorskip("onnx")
    model = make_onnx("lstm", np.random.default_rng(0))
    (tmp_path / "weights.bin").write_bytes(bytes(4 * 16 * INPUT))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    for source in (model, tmp_path / "model.onnx"):
        with pytest.raises(ValueError, match="'W' lies outside of the file, where nothing is read"):
            interop.onnx.params_from(source)


@pytest.mark.parametrize(
    "cell, attributes, words",
    [
        ("simple_rnn", {"activations": ["Relu"]}, "activations relu, and the cell has tanh"),
        ("lstm", {"activations": ["HardSigmoid", "Tanh", "Tanh"]}, "hardsigmoid"),
        ("gru", {"activations": ["Sigmoid", "Tanh", "Sigmoid", "Relu"], "direction": "bidirectional"}, "relu"),
        ("lstm", {"clip": 1.0}, "clip or input_forget"),
        ("lstm", {"input_forget": 1}, "clip or input_forget"),
        ("gru", {"direction": "sideways"}, "unknown direction 'sideways'"),
    ],
)
def test_nodes_of_onnx_that_compute_something_else(cell, attributes, words):
    pytest.importorskip("onnx")
    with pytest.raises(ValueError, match=words):
        interop.onnx.network_from(make_onnx(cell, np.random.default_rng(0), **attributes))


def test_activations_of_onnx_that_are_the_default():
    pytest.importorskip("onnx")
    model = make_onnx("gru", np.random.default_rng(0), activations=["sigmoid", "Tanh"], direction="reverse")
    assert interop.onnx.params_from(model).bias.shape == (2, 3 * HIDDEN)
    with pytest.raises(ValueError, match="direction='reverse'"):
        interop.onnx.network_from(model)


def test_peepholes_of_onnx():
    onnx = pytest.importorskip("onnx")
    model = make_onnx("lstm", np.random.default_rng(0))
    model.graph.node[0].input.append("P")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((1, 3 * HIDDEN), np.float32), "P"))
    assert interop.onnx.params_from(model).bias.shape == (4 * HIDDEN,)
    model.graph.initializer[-1].CopyFrom(onnx.numpy_helper.from_array(np.ones((1, 3 * HIDDEN), np.float32), "P"))
    with pytest.raises(ValueError, match="peepholes"):
        interop.onnx.params_from(model)


def test_models_of_onnx_without_the_node_or_the_chain_asked_for():
    onnx = pytest.importorskip("onnx")
    model = make_onnx("lstm", np.random.default_rng(0))
    with pytest.raises(ValueError, match="0 recurrent nodes called 'other'; node= must be one of 'cell'"):
        interop.onnx.params_from(model, node="other")
    model.graph.node.append(model.graph.node[0])
    model.graph.node[1].output[0] = "other"
    with pytest.raises(ValueError, match="2 recurrent nodes"):
        interop.onnx.params_from(model)
    with pytest.raises(ValueError, match="does not read the outputs"):
        interop.onnx.network_from(model)
    with pytest.raises(ValueError, match="no node RNN"):
        interop.onnx.network_from(onnx.ModelProto())
    lost = make_onnx("lstm", np.random.default_rng(0))
    del lost.graph.initializer[1]
    with pytest.raises(ValueError, match="'R' is computed by the model"):
        interop.onnx.params_from(lost)
