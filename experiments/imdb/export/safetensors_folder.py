"""A folder in Hugging Face's layout, which `scripts/imdb import` reads back to the same weights, bit for bit::

    config.json         the recipe in full, the classes, the reserved ids: `experiments.imdb.export.config`
    vocabulary.json     the run's vocabulary, byte for byte
    model.safetensors   the weights, without metadata
    README.md           the model card: data, numbers, limits, and code that loads the folder

The tensors are the leaves of `init_params(recipe)`, in its shapes and dtypes (float32, or float64 where the recipe's
dtype is float64). A tensor's name is its leaf's path with dots: dict keys, and numbers of layers from 0.

    embedding.embedding                 [vocabulary_size, embedding_size]
    pairs.embedding                     [bigrams + trigrams, pair_size or embedding_size], with bigrams alone
    pair_kernel.kernel                  [pair_size, embedding_size], with pair_size alone
    recurrent.input_kernel              one layer of one direction: the fields of the cell's Params
    recurrent.recurrent_kernel
    recurrent.bias
    recurrent.layers.0.forward.bias     several layers, or both directions: layers.N.forward and layers.N.backward
    attention.kernel, attention.bias    with pooling attention alone
    head.kernel, head.bias              [features, 1] and [1] for two classes, else [features, classes] and [classes]
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.imdb.runs.open import Run
from recurrent.extras import needs

__all__ = ["MODEL", "tensors_of", "write"]

MODEL = "model.safetensors"


def tensors_of(params: Any) -> dict[str, np.ndarray]:
    """Returns the weights by the names of their tensors.

    >>> import numpy as np
    >>> list(tensors_of({"layers": {0: {"bias": np.zeros(2)}}}))
    ['layers.0.bias']
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {".".join(str(key.key) for key in path): np.ascontiguousarray(leaf) for path, leaf in leaves}


def write(run: Run, folder: Path) -> None:
    """Writes the weights into a folder."""
    with needs("The format safetensors", "export", {"safetensors": "safetensors"}):
        from safetensors.numpy import save
    (folder / MODEL).write_bytes(save(tensors_of(run.params)))
