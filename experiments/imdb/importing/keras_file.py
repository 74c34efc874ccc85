"""A whole model that Keras saved, read without Keras."""

from pathlib import Path

from experiments.imdb.importing.file import read_file
from experiments.imdb.importing.hdf5 import read_hdf5
from experiments.imdb.importing.imported import Imported, origin_of
from experiments.imdb.importing.keras_archive import read_archive, read_archived_arrays
from experiments.imdb.importing.keras_fields import keras_fields
from experiments.imdb.importing.keras_graph import Chain, chain_of
from experiments.imdb.importing.keras_h5 import H5_ROOT, h5_arrays
from experiments.imdb.importing.keras_model import KerasModel, read_model
from experiments.imdb.importing.keras_tensors import keras_tensors, names_of

__all__ = ["KERAS_SUFFIXES", "read_keras"]

KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")


def read_keras(path: Path, ignores_training: bool = False) -> Imported:
    """Reads a `.keras` or a whole-model `.h5` file. Nothing in it is executed.

    Args:
        path: the file.
        ignores_training: leaves out options of layers that act in training alone and that no recipe expresses.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or hostile, or the model is not of the benchmark's family; names the layer.
    """
    content = read_file(path)
    try:
        if path.suffix.lower() == ".keras":
            description, weights = read_archive(content)
            chain, model = _described(description)
            arrays = read_archived_arrays(weights, chain.layers)
        else:
            file = read_hdf5(content, H5_ROOT)
            if file.model_config is None:
                raise ValueError("It has no attribute model_config: it holds weights alone. Save the whole model.")
            chain, model = _described(file.model_config.encode("utf-8"))
            arrays = h5_arrays(file, chain.layers, names_of(model))
        fields, tensors = keras_fields(model, ignores_training), keras_tensors(model, arrays)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} can't be imported. {error}") from error
    if chain.sequence_length is not None:
        fields["sequence_length"] = chain.sequence_length
    units = tensors["head.bias"].shape[0]
    fields["num_classes"] = units if units > 1 else 2
    return Imported(origin_of(path, f"Keras {path.suffix.lower()}"), fields, tensors)


def _described(text: bytes) -> tuple[Chain, KerasModel]:
    chain = chain_of(text)
    return chain, read_model(chain.layers)
