"""Measures runs on the reviews of a split: all figures of a report."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.imdb.report.gradient_flow import fall
from experiments.imdb.report.measure import answers, batch_bytes, flow_reviews, gradient_reach, predict_logits
from experiments.imdb.report.mistakes import worst_mistakes
from experiments.imdb.report.reviews import Reviews, load_reviews
from experiments.imdb.report.runs import Named, group_runs, in_common, summarise
from experiments.imdb.reviews.dataset import AnySource
from experiments.imdb.reviews.source import OnProgress, ignore_progress
from experiments.imdb.runs.open import open_run
from experiments.imdb.training.model import init_params

__all__ = ["Measured", "Split", "gather", "source_of"]

Split = Literal["validation", "test"]


class Measured(NamedTuple):
    """The figures of runs, and what they were computed from."""

    figures: dict[str, Any]
    logits: dict[str, Float[np.ndarray, "examples *classes"]]  # by run
    reviews: Reviews  # as the first run reads them


def source_of(runs: Sequence[Named], source: str | None) -> str:
    """Returns the source of the reviews: the given one, or else the one that all runs name.

    Raises:
        ValueError: no source is given, and the runs name several, whose reviews can differ.
    """
    named = sorted({each.run.recipe.source for each in runs})
    if source is None and len(named) > 1:
        raise ValueError(f"The runs have several sources ({', '.join(named)}): choose one with --source.")
    return source or named[0]


def gather(
    runs: Sequence[Named],
    source: AnySource,
    data_dir: Path,
    split: Split,
    checkpoint: str,
    on_progress: OnProgress = ignore_progress,
) -> Measured:
    """Measures runs on the reviews of a split.

    Raises:
        FileNotFoundError: the source does not exist.
        ValueError: it is corrupt, lacks the split, or has another vocabulary than a run.
    """
    loaded: dict[Any, Reviews] = {}
    figures: dict[str, Any] = {"split": split, "source": source.name, "checkpoint": checkpoint, "runs": {}}
    figures["in_common"] = in_common([each.run.recipe for each in runs])
    logits = {}
    for number, each in enumerate(runs):
        recipe = each.run.recipe
        sizes = recipe.vocabulary_size, recipe.sequence_length
        kind = sizes, recipe.validation_share, recipe.num_pairs
        if kind not in loaded:
            loaded[kind] = load_reviews(source, data_dir, *sizes, split, on_progress, *kind[1:])
        reviews = loaded[kind]
        if reviews.vocabulary != each.run.vocabulary:
            raise ValueError(f"{source.name} and {each.path} have different vocabularies: an id means different words.")
        if reviews.classes != each.run.classes:
            raise ValueError(f"{source.name} has the classes {reviews.classes}, but {each.path} {each.run.classes}.")
        on_progress("predicting the reviews", number, len(runs))
        logits[each.name] = predict_logits(recipe, each.run.params, reviews)
        figures["runs"][each.name] = _describe(each) | answers(logits[each.name], reviews) | _reach(each, reviews)
    reviews = next(iter(loaded.values()))
    figures["reviews"], figures["classes"] = len(reviews.labels), list(runs[0].run.classes)
    figures["groups"] = {}
    for number, (label, group) in enumerate((groups := group_runs(runs)).items()):
        on_progress("compiling to measure memory", number, len(groups))
        memory, flow = batch_bytes(group[0].run.recipe), _common_reach(figures, group)
        figures["groups"][label] = {**summarise(group), **memory, "gradient_flow": flow}
    figures["mistakes"] = [each._asdict() for each in worst_mistakes(logits, reviews.labels)]
    return Measured(figures, logits, reviews)


def _describe(each: Named) -> dict[str, Any]:
    return {
        "label": each.label,
        "group": each.group,
        "seed": each.run.recipe.seed,
        "step": each.run.step,
        "recipe": dataclasses.asdict(each.run.recipe),
        "records": [record.fields() for record in each.run.records],
        "timings": [timing._asdict() for timing in each.run.timings],
        "manifest": _without_paths(each.run.manifest),
    }


def _without_paths(manifest: dict[str, Any]) -> dict[str, Any]:
    """Leaves out the data folder of this machine, which means nothing on another."""
    facts = {name: value for name, value in manifest.get("facts", {}).items() if name != "data_dir"}
    return {**manifest, "facts": facts} if manifest else {}


def _reach(each: Named, reviews: Reviews) -> dict[str, Any]:
    """Measures gradients before the first step of training and at the latest checkpoint, of models of one state."""
    recipe, examples = each.run.recipe, flow_reviews(reviews)
    if not recipe.reads_forward or recipe.naive_bayes:  # initial weights that the recipe alone does not tell
        return {"gradient_flow": {"start": {}, "end": {}}, "gradient_flow_reviews": 0}
    params = {"start": init_params(recipe), "end": open_run(each.path, "latest").params}
    return {
        "gradient_flow": {time: gradient_reach(recipe, of_time, reviews, examples) for time, of_time in params.items()},
        "gradient_flow_reviews": len(examples),
    }


def _common_reach(figures: dict[str, Any], group: Sequence[Named]) -> dict[str, Any]:
    """Returns the geometric mean of the seeds' curves."""
    flows = [figures["runs"][each.name]["gradient_flow"] for each in group]
    common: dict[str, Any] = {}
    for time in ("start", "end"):
        common[time] = {}
        for state in flows[0][time]:
            shares = np.stack([flow[time][state]["share"] for flow in flows])
            with np.errstate(divide="ignore"):
                common[time][state] = fall(np.exp(np.log(shares).mean(axis=0)))._asdict()
    return common
