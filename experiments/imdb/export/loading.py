"""The code in a model card that loads the export again and answers texts, for each format.

It needs the format's library alone: `experiments` is not imported. All blocks together define `probability(texts)`.
"""

from experiments.imdb.export import jax_program, keras_model, onnx_model, safetensors_folder
from experiments.imdb.export.config import CONFIG, VOCABULARY
from experiments.imdb.export.loading_layers import network_code
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.vocabulary import ID_OFFSET, PADDING_ID, START_ID, UNKNOWN_ID

__all__ = ["loading_code", "requirements"]

_X64 = 'jax.config.update("jax_enable_x64", True)\n'


def requirements(file_format: str) -> str:
    """Returns what must be installed to load a format."""
    return {
        "safetensors": "pip install recurrent-jax safetensors",
        "keras": "pip install keras jax",
        "onnx": "pip install onnxruntime",
        "jax": "pip install jax flatbuffers",
    }[file_format]


def loading_code(recipe: Recipe, file_format: str) -> list[str]:
    """Returns the blocks of code: from a text to ids, then from ids to probabilities."""
    of_format = {"safetensors": _safetensors, "keras": _keras, "onnx": _onnx, "jax": _jax}[file_format]
    return [_encode(recipe), of_format(recipe)]


def _encode(recipe: Recipe) -> str:
    length = recipe.sequence_length
    return f"""\
import json
from pathlib import Path

import numpy as np

folder = Path(".")  # the folder of this file
config = json.loads((folder / "{CONFIG}").read_text())
words = json.loads((folder / "{VOCABULARY}").read_text())["words"]
ids = {{word: number for number, word in enumerate(words, start={ID_OFFSET + 1})}}
characters = str.maketrans(config["characters"])


def encode(text):
    \"\"\"Returns the ids of a text: the start, then its last words, with padding in front.\"\"\"
    found = [ids[word] for word in text.translate(characters).split(" ") if word in ids]
    known = [number if number < {recipe.vocabulary_size} else {UNKNOWN_ID} for number in found]
    last = np.array([{START_ID}, *known], np.int32)[-{length}:]
    return np.pad(last, ({length} - len(last), 0), constant_values={PADDING_ID})
"""


def _safetensors(recipe: Recipe) -> str:
    x64 = "import jax\n" if recipe.dtype == "float64" else ""
    return f"""\
{x64}import jax.numpy as jnp
from safetensors.numpy import load_file

import recurrent

{_X64 * (recipe.dtype == "float64")}weights = load_file(folder / "{safetensors_folder.MODEL}")
{network_code(recipe)}"""


def _keras(recipe: Recipe) -> str:
    x64 = f"import jax\n\n{_X64}" if recipe.dtype == "float64" else ""
    return f"""\
import os

os.environ.setdefault("KERAS_BACKEND", "jax")
{x64}import keras

model = keras.saving.load_model(folder / "{keras_model.MODEL}")


def probability(texts):
    tokens = np.stack([encode(text) for text in texts])
    return np.asarray(model.predict(tokens, verbose=0)){_of_second(recipe)}
"""


def _onnx(recipe: Recipe) -> str:
    return f"""\
import onnxruntime

session = onnxruntime.InferenceSession(folder / "{onnx_model.MODEL}")


def probability(texts):
    tokens = np.stack([encode(text) for text in texts]).astype(np.int64)
    logits, probabilities = session.run(None, {{"tokens": tokens}})
    return probabilities
"""


def _jax(recipe: Recipe) -> str:
    x64 = f"import jax\n\n{_X64}" if recipe.dtype == "float64" else ""
    code = f"""\
{x64}from jax import export

program = export.deserialize(bytearray((folder / "{jax_program.MODEL}").read_bytes()))


def probability(texts):
    tokens = np.stack([encode(text) for text in texts])
    logits, probabilities = program.call(tokens)
    return np.asarray(probabilities)
"""
    return code + _jax_stream(recipe) * jax_program.has_stream(recipe)


def _jax_stream(recipe: Recipe) -> str:
    return f"""\


step = export.deserialize(bytearray((folder / "{jax_program.STREAM}").read_bytes()))


def read_in_chunks(tokens, chunk_size):
    \"\"\"Yields the probabilities after each chunk of `tokens`, an array [batch, time].\"\"\"
    *states, _ = step.in_avals
    state = tuple(np.zeros((len(tokens), each.shape[1]), each.dtype) for each in states)
    for begin in range(0, tokens.shape[1], chunk_size):
        state, logits, probabilities = step.call(state, tokens[:, begin : begin + chunk_size])
        yield np.asarray(probabilities)
"""


def _of_second(recipe: Recipe) -> str:
    return "[:, 0]" if recipe.num_classes == 2 else ""
