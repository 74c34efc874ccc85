"""Which setting a sweep tries next: every one of a grid, random ones, or those that Optuna's TPE suggests."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.imdb.sweep.space import Axis, Choices, Range
from experiments.imdb.training.optimizer import NUMBERS

__all__ = ["SamplerName", "Tried", "check_sampler", "grid", "next_values"]

SamplerName = Literal["grid", "random", "tpe"]

_ATTEMPTS = 1000


class Tried(NamedTuple):
    """A setting so far.

    Attributes:
        values: of the fields that are varied.
        score: its mean accuracy; None while it is being trained.
        is_failed: whether it came to no accuracy.
    """

    values: Mapping[str, Any]
    score: float | None
    is_failed: bool = False


def check_sampler(sampler: SamplerName, space: Mapping[str, Axis]) -> None:
    """Checks that a sampler can be used on a space.

    Raises:
        ValueError: a grid has a range.
        ModuleNotFoundError: Optuna is not installed; says how to install it.
    """
    ranges = [name for name, axis in space.items() if isinstance(axis, Range)]
    if sampler == "grid" and ranges:
        raise ValueError(f"A grid needs values, and {', '.join(ranges)} has a range: list values, or --sampler random.")
    if sampler == "tpe":
        _optuna()


def next_values(
    sampler: SamplerName, space: Mapping[str, Axis], seed: int, tried: Sequence[Tried]
) -> dict[str, Any] | None:
    """Returns a setting that was not tried yet; None if there is none left.

    Args:
        sampler: which one; grid and random go on in the same way whatever the results.
        space: what is varied.
        seed: of the sampler.
        tried: all settings so far.
    """
    before = [each.values for each in tried]
    drawn = {"grid": grid, "random": _random, "tpe": _suggested}[sampler](space, seed, tried)
    return next((values for values in itertools.islice(drawn, _ATTEMPTS + len(tried)) if values not in before), None)


def grid(space: Mapping[str, Axis], seed: int = 0, tried: Sequence[Tried] = ()) -> Iterator[dict[str, Any]]:
    """Yields all combinations; what can share a compiled program comes together."""
    names = sorted(space, key=lambda name: name in NUMBERS)
    options = [axis.values for name in names if isinstance(axis := space[name], Choices)]
    for values in itertools.product(*options):
        yield dict(zip(names, values, strict=True))


def _random(space: Mapping[str, Axis], seed: int, tried: Sequence[Tried]) -> Iterator[dict[str, Any]]:
    for number in itertools.count():
        draw = np.random.default_rng([seed, number])
        yield {name: _draw(axis, draw) for name, axis in space.items()}


def _draw(axis: Axis, draw: np.random.Generator) -> Any:
    if isinstance(axis, Choices):
        return axis.values[int(draw.integers(len(axis.values)))]
    if axis.is_integer and not axis.is_log:
        return int(draw.integers(int(axis.low), int(axis.high) + 1))
    if axis.is_log:
        value = math.exp(draw.uniform(math.log(axis.low), math.log(axis.high)))
    else:
        value = draw.uniform(axis.low, axis.high)
    value = min(max(float(f"{value:.4g}"), axis.low), axis.high)  # so that a person can type it
    return round(value) if axis.is_integer else value


def _suggested(space: Mapping[str, Axis], seed: int, tried: Sequence[Tried]) -> Iterator[dict[str, Any]]:
    """Yields suggestions of the tree-structured Parzen estimator (Bergstra et al. 2011), from what was tried."""
    optuna = _optuna()
    distributions = {name: _distribution(optuna, axis) for name, axis in space.items()}
    for attempt in itertools.count():
        # Settings that are being trained count as bad ones, so that workers do not all try the same place.
        sampler = optuna.samplers.TPESampler(seed=seed + len(tried) + attempt, constant_liar=True)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials([_as_trial(optuna, each, distributions) for each in tried])
        values = study.ask(distributions).params
        yield {name: _rounded(values[name], axis) for name, axis in space.items()}


def _rounded(value: Any, axis: Axis) -> Any:
    if isinstance(axis, Choices) or axis.is_integer:
        return value
    return min(max(float(f"{value:.4g}"), axis.low), axis.high)


def _distribution(optuna: Any, axis: Axis) -> Any:
    if isinstance(axis, Choices):
        return optuna.distributions.CategoricalDistribution(axis.values)
    kind = optuna.distributions.IntDistribution if axis.is_integer else optuna.distributions.FloatDistribution
    return kind(axis.low, axis.high, log=axis.is_log)


def _as_trial(optuna: Any, tried: Tried, distributions: Mapping[str, Any]) -> Any:
    state = optuna.trial.TrialState
    is_open = tried.score is None and not tried.is_failed
    kind = state.FAIL if tried.is_failed else state.RUNNING if is_open else state.COMPLETE
    return optuna.trial.create_trial(
        state=kind, params=dict(tried.values), distributions=dict(distributions), value=tried.score
    )


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "--sampler tpe needs Optuna: run pip install 'recurrent-jax[sweep]'.", name="optuna"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
