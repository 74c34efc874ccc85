"""Checks of a recipe: the type and range of each field, and that each field that is set has an effect."""

from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin, get_type_hints

__all__ = ["RATES", "RMSPROP_OF", "CellName", "check_recipe"]

CellName = Literal["simple_rnn", "lstm", "gru", "gru_reset_before", "layer_norm_lstm", "layer_norm_gru"]

RATES = (
    "word_dropout_rate",
    "embedding_dropout_rate",
    "input_dropout_rate",
    "layer_dropout_rate",
    "recurrent_dropout_rate",
    "weight_dropout_rate",
    "zoneout_rate",
    "head_dropout_rate",
)
"""Probabilities of the noise of training."""

RMSPROP_OF: MappingProxyType[str, tuple[float, float]] = MappingProxyType(
    {"keras": (0.9, 1e-7), "torch": (0.99, 1e-8), "flax": (0.9, 1e-8), "haiku": (0.9, 1e-8)}
)
"""Library -> decay and epsilon of its RMSprop, as in `recurrent.profiles`, which is not imported before JAX starts."""

_AT_LEAST = {
    "epochs": 1,
    "sequence_length": 1,
    "embedding_size": 1,
    "hidden_size": 1,
    "batch_size": 1,
    "num_shards": 1,
    "segment_size": 1,
    "patience": 1,
    "layers": 1,
    "swa_epochs": 1,
    "num_classes": 2,
    "warmup_steps": 0,
    "bigrams": 0,
    "trigrams": 0,
    "pair_size": 0,
}


def check_recipe(recipe: Any) -> None:
    """Checks all fields.

    Raises:
        ValueError: a value has another type or is out of range, or a field that is set would have no effect; says why.
    """
    for name, hint in get_type_hints(type(recipe)).items():
        if not _fits(getattr(recipe, name), hint):
            raise ValueError(f"{name} can't be {getattr(recipe, name)!r}.")
    _check_ranges(recipe)
    _check_layers(recipe)
    for message in _without_effect(recipe):
        raise ValueError(message)


def _check_ranges(recipe: Any) -> None:
    for name, least in _AT_LEAST.items():
        value = getattr(recipe, name)
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}.")
    if recipe.vocabulary_size < 4:
        raise ValueError(f"vocabulary_size must be at least 4 (ids 0 to 3 are reserved), not {recipe.vocabulary_size}.")
    if not 0 <= recipe.seed < 1 << 64:
        raise ValueError(f"seed must be from 0 to 2**64 - 1, not {recipe.seed}.")
    for name in ("learning_rate", "epsilon", "clip_norm"):
        value = getattr(recipe, name)
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"{name} must be positive and finite, not {value}.")
    for name in (*RATES, "decay", "momentum", "label_smoothing", "ema_decay"):
        value = getattr(recipe, name)
        if value is not None and not 0 <= value < 1:
            raise ValueError(f"{name} must lie in [0, 1), not {value}.")
    for name in ("weight_decay", "adversarial", "naive_bayes", "pair_rate"):
        if not 0 <= getattr(recipe, name) < float("inf"):
            raise ValueError(f"{name} must be at least 0 and finite, not {getattr(recipe, name)}.")
    if recipe.num_shards is not None and recipe.batch_size % recipe.num_shards:
        raise ValueError(f"num_shards ({recipe.num_shards}) must divide batch_size ({recipe.batch_size}).")


def _check_layers(recipe: Any) -> None:
    for name in ("layer_cells", "layer_sizes"):
        given = getattr(recipe, name)
        if given and len(given) != recipe.layers:
            raise ValueError(f"{name} must have one entry a layer, {recipe.layers} in all, not {len(given)}.")
    for cell in recipe.layer_cells:
        if cell not in get_args(CellName):
            raise ValueError(f"layer_cells can't hold {cell!r}: choose from {', '.join(get_args(CellName))}.")
    for size in recipe.layer_sizes:
        if size < 1:
            raise ValueError(f"layer_sizes must be at least 1, not {size}.")
    if recipe.residual and len(set(recipe.layer_sizes)) > 1:
        raise ValueError(f"residual needs layers of one size, not layer_sizes {recipe.layer_sizes}.")


def _without_effect(recipe: Any) -> list[str]:
    """Returns why a field that is set would have no effect."""
    swa_beyond = recipe.swa_epochs is not None and recipe.swa_epochs > recipe.epochs
    decays, epsilons = zip(RMSPROP_OF["keras"], RMSPROP_OF[recipe.like], strict=True)
    rules = {
        "decay is of rmsprop alone": recipe.decay not in decays and recipe.optimizer != "rmsprop",
        "epsilon is of rmsprop, adam and adamw alone": recipe.epsilon not in epsilons
        and recipe.optimizer in ("sgd", "lion"),
        "momentum is of sgd alone": recipe.momentum > 0 and recipe.optimizer != "sgd",
        "weight_decay is of adamw and lion alone": recipe.weight_decay > 0
        and recipe.optimizer not in ("adamw", "lion"),
        "layer_dropout_rate acts between layers, and there is one": recipe.layer_dropout_rate > 0
        and recipe.layers == 1,
        "zoneout_rate needs one layer of one direction": recipe.zoneout_rate > 0
        and (recipe.layers > 1 or recipe.bidirectional),
        "ema_decay and swa_epochs exclude each other": recipe.ema_decay is not None and recipe.swa_epochs is not None,
        "swa_epochs must not be above epochs": swa_beyond,
        "bigrams must be 0 or at least 2": recipe.bigrams == 1,
        "trigrams are rows of the table of bigrams, and bigrams is 0": recipe.trigrams > 0 and not recipe.bigrams,
        "trigrams need a vocabulary_size of at most 2**21": recipe.trigrams > 0 and recipe.vocabulary_size > 1 << 21,
        "pair_rate and pair_size need bigrams": (recipe.pair_rate != 1 or recipe.pair_size) and not recipe.bigrams,
        "naive_bayes needs a pair_size of 1 for two classes, and else of one for each class": bool(recipe.naive_bayes)
        and 0 < recipe.pair_size < (1 if recipe.num_classes == 2 else recipe.num_classes),
        "leave_one_out needs naive_bayes": recipe.leave_one_out and not recipe.naive_bayes,
        "pools_inputs needs pooling other than last": recipe.pools_inputs and recipe.pooling == "last",
        "pools_inputs excludes zoneout_rate": recipe.pools_inputs and recipe.zoneout_rate > 0,
        "batching by_length needs padding masked: padding that is input is as wide as the batch": recipe.batching
        == "by_length"
        and recipe.padding == "keras",
    }
    optimizer = f" (optimizer {recipe.optimizer})"
    return [
        f"{rule}{optimizer if ' of ' in rule and 'alone' in rule else ''}."
        for rule, is_broken in rules.items()
        if is_broken
    ]


def _fits(value: Any, hint: Any) -> bool:
    """Says whether a value has a field's type: a literal, a number, a string, a tuple, or one of several of these."""
    if get_origin(hint) is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(each, get_args(hint)[0]) for each in value)
    if get_args(hint):
        return any(_fits(value, option) for option in get_args(hint))
    return type(value) in ((int, float) if hint is float else (hint,))
