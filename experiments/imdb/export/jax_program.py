"""Programs of `jax.export`, with the weights inside: they load where JAX alone is installed.

`model.jax` takes tokens, `[batch, time]` in int32, both free, and returns logits and probabilities: `[batch]` of the
second of two classes, or `[batch, classes]`. `stream.jax` reads a text in chunks: it takes the state, a flat tuple of
arrays `[batch, units]` that are zero at first, and the next ids, and returns the state, the logits and the
probabilities after them. A run that reads in both directions, pools or has word pairs has no `stream.jax`.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from experiments.imdb.runs.open import Run
from experiments.imdb.training.model import make_forward, make_model
from experiments.imdb.training.recipes import Recipe
from experiments.imdb.training.words import Words
from experiments.imdb.vocabulary import PADDING_ID
from recurrent import stream
from recurrent.extras import needs

__all__ = ["MODEL", "PLATFORMS", "STREAM", "has_stream", "write"]

MODEL, STREAM = "model.jax", "stream.jax"
PLATFORMS = ("cpu", "cuda", "tpu")


def write(run: Run, folder: Path) -> None:
    """Writes the programs into a folder."""
    with needs("The format jax", "export", {"flatbuffers": "flatbuffers"}):
        import flatbuffers  # noqa: F401  (jax.export needs it, and raises an error without its name)
    from jax import export

    # Exported programs hold no library of this machine, and need no residuals.
    run = run._replace(recipe=dataclasses.replace(run.recipe, backend="plain", segment_size=None))
    batch, time = export.symbolic_shape("batch, time")
    tokens = jax.ShapeDtypeStruct((batch, time), jnp.int32)
    program = export.export(jax.jit(_answer(run)), platforms=PLATFORMS)(tokens)
    (folder / MODEL).write_bytes(program.serialize())
    if has_stream(run.recipe):
        step, state = _stream(run)
        shapes = tuple(jax.ShapeDtypeStruct((batch, *leaf.shape[1:]), leaf.dtype) for leaf in state)
        program = export.export(jax.jit(step), platforms=PLATFORMS)(shapes, tokens)
        (folder / STREAM).write_bytes(program.serialize())


def has_stream(recipe: Recipe) -> bool:
    """Says whether a text can be read on from a state."""
    return not recipe.bidirectional and recipe.pooling == "last" and not recipe.bigrams


def _answer(run: Run) -> Callable[[Any], Any]:
    forward = make_forward(run.recipe, run.vocabulary.pairs)

    def answer(tokens: Int[Array, "batch time"]) -> tuple[Array, Array]:
        logits = forward(run.params, tokens)
        return logits, _probabilities(logits)

    return answer


def _stream(run: Run) -> tuple[Callable[..., Any], tuple[Array, ...]]:
    """Returns the function that reads a chunk, and the state of one text before its first chunk."""
    recipe = run.recipe
    model = make_model(recipe, run.params)
    options: dict[str, Any] = {
        "make_inputs": lambda tokens: model.as_inputs(model.embed(Words(tokens))),
        "dtype": jnp.dtype(recipe.dtype),
    }
    params = model.network_params()
    carry = stream.begin(model.network, params, jax.ShapeDtypeStruct((1, 1), jnp.int32), **options)
    state, structure = jax.tree.flatten(carry.state)

    def step(state: tuple[Float[Array, "batch _"], ...], tokens: Int[Array, "batch time"]) -> Any:
        # The last output, which masked steps would repeat, is not used: the answer comes from the state.
        output = jax.tree.map(lambda leaf: jnp.zeros((tokens.shape[0], *leaf.shape[1:]), leaf.dtype), carry.output)
        before = stream.Carry(jax.tree.unflatten(structure, state), output)
        mask: dict[str, Any] = {"is_token": tokens != PADDING_ID} if recipe.padding == "masked" else {}
        after, _ = stream.advance(model.network, params, before, tokens, backend="plain", **options, **mask)
        logits = model.head(after.state[-1].forward.hidden)
        logits = logits[:, 0] if recipe.num_classes == 2 else logits
        return tuple(jax.tree.leaves(after.state)), logits, _probabilities(logits)

    return step, tuple(state)


def _probabilities(logits: Array) -> Array:
    return jax.nn.sigmoid(logits) if logits.ndim == 1 else jax.nn.softmax(logits, axis=-1)
