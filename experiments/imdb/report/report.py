"""A report on runs: one HTML page that stands alone, all figures behind it as JSON, and its pictures as files."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from experiments.html import to_json
from experiments.imdb.report.charts import make_charts
from experiments.imdb.report.gradient_flow import fall
from experiments.imdb.report.measure import (
    answers,
    compiled_bytes,
    flow_reviews,
    gradient_reach,
    peak_bytes,
    predict_logits,
)
from experiments.imdb.report.mistakes import worst_mistakes
from experiments.imdb.report.page import make_page
from experiments.imdb.report.pictures import draw_charts
from experiments.imdb.report.reviews import Reviews, find_texts, load_reviews
from experiments.imdb.report.runs import Named, group_runs, in_common, summarise
from experiments.imdb.reviews.keras_npz import KerasFile
from experiments.imdb.reviews.source import OnProgress, Source, ignore_progress
from experiments.imdb.runs.open import open_run
from experiments.imdb.training.model import init_params
from recurrent.training.atomic import write_text

__all__ = ["Measured", "gather", "source_of", "write_report"]

Split = Literal["validation", "test"]


class Measured(NamedTuple):
    """What runs have been measured to be."""

    figures: dict[str, Any]
    logits: dict[str, Float[np.ndarray, "examples"]]  # by run
    reviews: Reviews  # those that the first run reads


def source_of(runs: Sequence[Named], source: str | None) -> str:
    """Says where the reviews come from: what was asked for, or else what the runs themselves name.

    Raises:
        ValueError: the runs name several sources, whose reviews may be others.
    """
    named = sorted({each.run.recipe.source for each in runs})
    if source is None and len(named) > 1:
        raise ValueError(f"The runs have several sources ({', '.join(named)}): name the one to read with --source.")
    return source or named[0]


def gather(
    runs: Sequence[Named],
    source: Source | KerasFile,
    data_dir: Path,
    split: Split,
    checkpoint: str,
    on_progress: OnProgress = ignore_progress,
) -> Measured:
    """Measures runs on the reviews of a split.

    Raises:
        FileNotFoundError: the source is not there.
        ValueError: it is damaged, has no such split, or another vocabulary than a run.
    """
    loaded: dict[tuple[int, int], Reviews] = {}
    figures: dict[str, Any] = {"split": split, "source": source.name, "checkpoint": checkpoint, "runs": {}}
    figures["in_common"] = in_common([each.run.recipe for each in runs])
    logits = {}
    for number, each in enumerate(runs):
        recipe = each.run.recipe
        sizes = (recipe.vocabulary_size, recipe.sequence_length)
        if sizes not in loaded:
            loaded[sizes] = load_reviews(source, data_dir, *sizes, split, on_progress)
        reviews = loaded[sizes]
        if reviews.vocabulary != each.run.vocabulary:
            raise ValueError(f"{source.name} has another vocabulary than {each.path}: its ids mean other words.")
        on_progress("answering the reviews", number, len(runs))
        logits[each.name] = predict_logits(recipe, each.run.params, reviews)
        figures["runs"][each.name] = _describe(each) | answers(logits[each.name], reviews) | _reach(each, reviews)
    reviews = next(iter(loaded.values()))
    figures["reviews"] = len(reviews.labels)
    figures["groups"] = {}
    for number, (label, group) in enumerate((groups := group_runs(runs)).items()):
        on_progress("compiling for the memory", number, len(groups))
        memory, flow = compiled_bytes(group[0].run.recipe), _common_reach(figures, group)
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
        "records": [record._asdict() for record in each.run.records],
        "timings": [timing._asdict() for timing in each.run.timings],
        "manifest": _without_paths(each.run.manifest),
    }


def _without_paths(manifest: dict[str, Any]) -> dict[str, Any]:
    """Leaves out where the data lie on this machine, which is of no use to who reads the report on another."""
    facts = {name: value for name, value in manifest.get("facts", {}).items() if name != "data_dir"}
    return {**manifest, "facts": facts} if manifest else {}


def _reach(each: Named, reviews: Reviews) -> dict[str, Any]:
    """Follows gradients before the first step of training and after the last one."""
    recipe, examples = each.run.recipe, flow_reviews(reviews)
    params = {"start": init_params(recipe), "end": open_run(each.path, "latest").params}
    return {
        "gradient_flow": {time: gradient_reach(recipe, of_time, reviews, examples) for time, of_time in params.items()},
        "gradient_flow_reviews": len(examples),
    }


def _common_reach(figures: dict[str, Any], group: Sequence[Named]) -> dict[str, Any]:
    """Takes the geometric mean of the seeds' curves."""
    flows = [figures["runs"][each.name]["gradient_flow"] for each in group]
    common: dict[str, Any] = {}
    for time in ("start", "end"):
        common[time] = {}
        for state in flows[0][time]:
            shares = np.stack([flow[time][state]["share"] for flow in flows])
            with np.errstate(divide="ignore"):
                common[time][state] = fall(np.exp(np.log(shares).mean(axis=0)))._asdict()
    return common


def write_report(
    measured: Measured,
    source: Source | KerasFile,
    data_dir: Path,
    folder: Path,
    on_progress: OnProgress = ignore_progress,
) -> list[Path]:
    """Writes report.html, report.json and the pictures into a folder, and returns the files.

    The texts of reviews stand in the page alone.
    """
    figures = measured.figures
    examples = [mistake["example"] for mistake in figures["mistakes"]]
    texts = find_texts(source, data_dir, measured.reviews, figures["split"], examples, on_progress)
    on_progress("drawing", 0, 1)
    charts = make_charts(figures)
    pictures = draw_charts(charts, folder)
    figures["peak_bytes"] = peak_bytes()
    page, data = folder / "report.html", folder / "report.json"
    write_text(page, make_page(figures, charts, *texts))
    write_text(data, json.dumps(json.loads(to_json(figures)), indent=1) + "\n")
    return [page, data, *pictures]
