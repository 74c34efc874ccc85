"""Small models as Keras and PyTorch save them, made without these libraries, so that any part can be made wrong."""

import io
import json
import zipfile

import h5py
import numpy as np

NUM_IDS, FEATURES, UNITS, TIME = 12, 3, 4, 6


def layer(kind, name, **options):
    return {"class_name": kind, "config": {"name": name, **options}}


def config(**of_lstm):
    """Embedding, LSTM, Dense; more options of the LSTM are added or replace its own."""
    lstm = {
        "units": UNITS,
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "use_bias": True,
        "return_sequences": False,
    }
    layers = [
        layer("InputLayer", "input", batch_shape=[None, TIME]),
        layer("Embedding", "embedding", input_dim=NUM_IDS, output_dim=FEATURES, mask_zero=True),
        layer("LSTM", "lstm", **(lstm | of_lstm)),
        layer("Dense", "dense", units=1, activation="sigmoid", use_bias=True),
    ]
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": layers}}


def arrays():
    """The arrays of each layer by name."""
    draw = np.random.default_rng(3)
    shapes = {
        "embedding": {"embeddings": (NUM_IDS, FEATURES)},
        "lstm": {"kernel": (FEATURES, 4 * UNITS), "recurrent_kernel": (UNITS, 4 * UNITS), "bias": (4 * UNITS,)},
        "dense": {"kernel": (UNITS, 1), "bias": (1,)},
    }
    return {
        name: {each: draw.normal(size=shape).astype(np.float32) for each, shape in own.items()}
        for name, own in shapes.items()
    }


def h5_file(model=None, weights=None, change=lambda file: None):
    """The bytes of an .h5 file; `change` gets the open file at the end."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.attrs["model_config"] = json.dumps(config() if model is None else model)
        for name, own in (arrays() if weights is None else weights).items():
            for each, array in own.items():
                file[f"model_weights/{name}/sequential/{name}/{each}"] = array
        change(file)
    return stream.getvalue()


def weights_file(weights=None, change=lambda file: None):
    """The bytes of the HDF5 file within a .keras file."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, own in (arrays() if weights is None else weights).items():
            for number, array in enumerate(own.values()):
                file[f"layers/{name}/{'cell/' if name == 'lstm' else ''}vars/{number}"] = array
        change(file)
    return stream.getvalue()


def keras_file(model=None, weights=None, more=(), compression=zipfile.ZIP_STORED):
    """The bytes of a .keras file; `more` are further members, (name, content)."""
    stream = io.BytesIO()
    members = [
        ("metadata.json", "{}"),
        ("config.json", json.dumps(config() if model is None else model)),
        ("model.weights.h5", weights_file() if weights is None else weights),
    ]
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in [*members, *more]:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return stream.getvalue()


def torch_tensors(cell="gru", is_bidirectional=False):
    """A state dict: embedding, rnn, head."""
    draw, gates = np.random.default_rng(4), {"gru": 3, "lstm": 4, "simple_rnn": 1}[cell]
    shapes = {"embedding.weight": (NUM_IDS, FEATURES)}
    for suffix in ("l0", "l0_reverse")[: 1 + is_bidirectional]:
        shapes |= {
            f"rnn.weight_ih_{suffix}": (gates * UNITS, FEATURES),
            f"rnn.weight_hh_{suffix}": (gates * UNITS, UNITS),
            f"rnn.bias_ih_{suffix}": (gates * UNITS,),
            f"rnn.bias_hh_{suffix}": (gates * UNITS,),
        }
    shapes |= {"head.weight": (1, UNITS * (1 + is_bidirectional)), "head.bias": (1,)}
    return {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


TORCH_CONFIG = {"format": "pytorch", "names": {"recurrent": "rnn"}, "recipe": {"cell": "gru", "sequence_length": TIME}}
