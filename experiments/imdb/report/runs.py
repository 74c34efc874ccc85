"""Opens the runs of a report, names them, and groups the seeds of each recipe."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any, Literal, NamedTuple

import jax

from experiments.figures import CELL_LABELS
from experiments.imdb.report.statistics import spread
from experiments.imdb.reviews.source import OnProgress, ignore_progress
from experiments.imdb.runs.open import Run, open_run
from experiments.imdb.training.recipes import RECIPES, Recipe
from experiments.imdb.training.train import GOAL
from recurrent.training.run.records import best

__all__ = ["Named", "group_labels", "group_runs", "in_common", "open_runs", "summarise"]

_IRRELEVANT = ("cell", "seed", "source", "device", "num_shards", "nonfinite")  # may differ within a group


class Named(NamedTuple):
    """A run and its names on the page."""

    name: str  # of the folder; its path, if several folders have one name
    label: str  # such as "LSTM, seed 0"
    group: str
    run: Run
    path: Path


def open_runs(
    paths: Sequence[Path], checkpoint: Literal["best", "latest"], on_progress: OnProgress = ignore_progress
) -> list[Named]:
    """Opens runs and sorts them by group, groups in the order of their first run.

    Raises:
        FileNotFoundError: a folder is not a run.
        ValueError: no run is given, or a run is given twice, is corrupt, or has no epoch yet.
    """
    if not paths:
        raise ValueError("There is no run to report: give one folder or more, such as runs/*.")
    if len({path.resolve() for path in paths}) < len(paths):
        raise ValueError(f"A run is given twice: {', '.join(map(str, paths))}.")
    opened = []
    for number, path in enumerate(paths):
        on_progress("opening the runs", number, len(paths))
        opened.append(open_run(path, checkpoint))
        if not opened[-1].records:
            raise ValueError(f"{path} has no finished epoch yet.")
    groups = group_labels([run.recipe for run in opened])
    folders = [path.name for path in paths]
    names = [path.name if folders.count(path.name) == 1 else str(path) for path in paths]
    labels = [f"{group}, seed {run.recipe.seed}" for group, run in zip(groups, opened, strict=True)]
    labels = [label if labels.count(label) == 1 else name for label, name in zip(labels, names, strict=True)]
    named = [Named(*each) for each in zip(names, labels, groups, opened, paths, strict=True)]
    return sorted(named, key=lambda each: groups.index(each.group))


def group_labels(recipes: Sequence[Recipe]) -> list[str]:
    """Names recipes by their cell and by the other fields that differ, or by the named recipe that is most alike.

    >>> group_labels([Recipe(cell="gru", seed=3), Recipe(cell="gru", padding="masked"), Recipe(hidden_size=64)])
    ['GRU, hidden size 32, padding keras', 'GRU, hidden size 32, padding masked', 'LSTM, hidden size 64, padding keras']
    >>> group_labels([Recipe(), RECIPES["pooled"](), dataclasses.replace(RECIPES["pooled"](), ema_decay=None)])
    ['LSTM', 'pooled', 'pooled, ema decay none']
    """
    likes = [_most_alike(each) for each in recipes]
    if any(like not in CELL_LABELS.values() for like, _ in likes):
        return [", ".join([like, *others]) for like, others in likes]
    fields = _relevant(recipes)
    differing = [name for name in fields[0] if len({each[name] for each in fields}) > 1]
    return [
        ", ".join([CELL_LABELS[recipe.cell], *(_in_words(name, each[name]) for name in differing)])
        for recipe, each in zip(recipes, fields, strict=True)
    ]


def _most_alike(recipe: Recipe) -> tuple[str, list[str]]:
    """Returns the name of the named recipe with the fewest other fields, and these fields."""
    named = {CELL_LABELS.get(name.replace("-", "_"), name): make() for name, make in RECIPES.items()}
    others = {name: _other_fields(recipe, named[name]) for name in named}
    name = min(others, key=lambda name: len(others[name]))
    return name, others[name]


def _other_fields(recipe: Recipe, base: Recipe) -> list[str]:
    fields, of_base = dataclasses.asdict(recipe), dataclasses.asdict(base)
    names = [name for name in fields if name == "cell" or name not in _IRRELEVANT]
    return [_in_words(name, fields[name]) for name in names if fields[name] != of_base[name]]


def in_common(recipes: Sequence[Recipe]) -> list[str]:
    """Lists the fields that are equal in all recipes and not the default.

    >>> in_common([Recipe(epochs=3), Recipe(epochs=3, cell="gru", padding="masked")])
    ['epochs 3']
    """
    (default,), fields = _relevant([Recipe()]), _relevant(recipes)
    same = [name for name in default if all(each[name] == fields[0][name] != default[name] for each in fields)]
    return [_in_words(name, fields[0][name]) for name in same]


def _relevant(recipes: Sequence[Recipe]) -> list[dict[str, Any]]:
    fields = [dataclasses.asdict(each) for each in recipes]
    return [{name: value for name, value in each.items() if name not in _IRRELEVANT} for each in fields]


def _in_words(name: str, value: Any) -> str:
    return f"{name.replace('_', ' ')} {'none' if value is None else value}"


def group_runs(runs: Sequence[Named]) -> dict[str, list[Named]]:
    """Groups runs by recipe."""
    groups: dict[str, list[Named]] = {}
    for each in runs:
        groups.setdefault(each.group, []).append(each)
    return groups


def summarise(group: Sequence[Named]) -> dict[str, Any]:
    """Returns validation accuracies and times over the seeds of one recipe, from the runs' records."""
    records = [each.run.records for each in group]
    bests = [best(seed, GOAL) for seed in records]
    timings = [each.run.timings for each in group]
    whole = [sum(line.seconds + line.eval_seconds + line.save_seconds for line in lines) for lines in timings if lines]
    most = max((line.steps for lines in timings for line in lines), default=0)
    by_epoch = [
        line.seconds for lines in timings for line in lines if line.steps == most
    ]  # a resumed epoch has fewer steps
    num_reviews = group[0].run.manifest.get("facts", {}).get("reviews", {}).get("validation", 5000)
    lasts = [seed[-1].validation["acc"] for seed in records]
    return {
        "cell": group[0].run.recipe.cell,
        "params": sum(leaf.size for leaf in jax.tree.leaves(group[0].run.params)),
        "runs": [each.name for each in group],
        "seeds": [each.run.recipe.seed for each in group],
        "best": spread([record.validation["acc"] if record else math.nan for record in bests], num_reviews)._asdict()
        if any(bests)
        else None,
        "best_epochs": [record.epoch for record in bests if record],
        "last": spread(lasts, num_reviews)._asdict(),
        "seconds_an_epoch": mean(by_epoch) if by_epoch else None,
        "seconds_a_run": mean(whole) if whole else None,
    }
