"""The sections of a model card that come from a run's records: data, numbers, limits, training."""

from statistics import mean
from typing import Any

from experiments.imdb.export.front_matter import is_imdb
from experiments.imdb.runs.open import Run
from experiments.imdb.training.metrics import wilson
from experiments.imdb.training.train import GOAL
from experiments.imdb.vocabulary import ID_OFFSET
from recurrent.training.run.records import Record, best

__all__ = ["data_lines", "limit_lines", "number_lines", "training_lines"]

_IMDB = (
    "The reviews are those of Maas et al. (2011), *Learning Word Vectors for Sentiment Analysis*. Validation is the "
    "last fifth of their training split in Keras' order, and training the rest of it."
)


def data_lines(run: Run) -> list[str]:
    """Returns what the run recorded of its data."""
    facts, recipe = run.manifest.get("facts", {}), run.recipe
    lines = ["", _IMDB] if is_imdb(run) else []
    if imported := facts.get("imported"):
        lines += [
            "",
            f"The weights were imported from a file ({imported.get('format')}, SHA-256 `{imported.get('sha256')}`). "
            "What they were trained on before is not known here.",
        ]
    if not facts:
        return [*lines, "", "The run has no record of its data."]
    reviews = facts.get("reviews", {})
    lines += [
        "",
        f"- Texts: {', '.join(f'{count:,} {split}' for split, count in reviews.items())}.",
        f"- Words: {facts.get('distinct_words', 0):,} different ones in the training text; the model has ids for the "
        f"{recipe.vocabulary_size - ID_OFFSET - 1:,} most frequent.",
    ]
    shares = {
        "mean_length": "- Mean length of a text: {:.1f} ids.",
        "unknown_share": "- Share of unknown words in the training text: {:.4f}.",
        "cut_share": f"- Share of training texts longer than {recipe.sequence_length} ids: {{:.4f}}.",
        "positive_share": f"- Share of `{run.classes[1].replace('`', ' ')}` in validation: {{:.4f}}.",
    }
    lines += [line.format(facts[name]) for name, line in shares.items() if facts.get(name) is not None]
    identity = run.manifest.get("identity", {})
    return lines + [f"- SHA-256 of the ids and labels: `{identity['data']}`."] * ("data" in identity)


def number_lines(run: Run, exported: Record | None) -> list[str]:
    """Returns losses and accuracies of all epochs."""
    if not run.records:
        return ["", "The run has no finished epoch."]
    lines = [
        "",
        "| epoch | training loss | training accuracy | validation loss | validation accuracy |",
        "|---|---|---|---|---|",
    ]
    for record in run.records:
        numbers = (
            *(record.training.get(name) for name in ("loss", "acc")),
            *map(record.validation.get, ("loss", "acc")),
        )
        mark = " (imported)" * (record.epoch == 0) + " (exported)" * (record is exported)
        cells = " | ".join("-" if number is None else f"{number:.4f}" for number in numbers)
        lines.append(f"| {record.epoch}{mark} | {cells} |")
    count = run.manifest.get("facts", {}).get("reviews", {}).get("validation")
    if exported is None:
        return [*lines, "", f"The weights are those of step {run.step:,}, within an epoch, and were not evaluated."]
    if count:
        accuracy = exported.validation["acc"]
        low, high = wilson(round(accuracy * count), count)
        interval = f"95 % interval {low:.4f} to {high:.4f} on {count:,} validation texts"
        lines += ["", f"Validation accuracy of these weights: {accuracy:.4f} ({interval})."]
    return lines


def limit_lines(run: Run, exported: Record | None) -> list[str]:
    """Returns what the numbers do not say and what the model does not read."""
    recipe, length = run.recipe, run.recipe.sequence_length
    lines = ["", "- One run. No test split was evaluated, and no other texts than those above."]
    if is_imdb(run):
        lines.append("- It knows English film reviews of before 2011. On other texts its answers mean little.")
    if exported is not None and exported is best(run.records, GOAL) and len(run.records) > 1:
        lines.append(
            f"- The epoch was chosen by its validation accuracy among {len(run.records)}, which is therefore too high "
            "an estimate."
        )
    lines += [
        f"- It reads the last {length} ids of a text, the start included; what stands before is ignored.",
        "- Only ASCII letters are lowered. A less frequent word is read as the unknown word, and a word that the "
        "training text lacks is dropped. A text without a known word has an answer too, which means nothing.",
        "- The probabilities were not calibrated, and nothing was measured about bias.",
    ]
    if recipe.padding == "keras":
        lines.append(f"- Padding is input: a text must be padded in front to {length} ids, or its answer changes.")
    return [*lines, "- The licence of the weights is not stated here: whoever publishes them states it."]


def training_lines(run: Run) -> list[str]:
    """Returns how the run was trained; `config.json` has the recipe in full."""
    recipe = run.recipe
    layers = ", ".join(f"{cell}({size})" for cell, size in zip(recipe.cells, recipe.sizes, strict=True))
    facts: dict[str, Any] = {
        "layers": f"Embedding({recipe.vocabulary_size}, {recipe.embedding_size}), {layers}",
        "directions": "both" if recipe.bidirectional else "forward",
        "pooling": recipe.pooling,
        "padding": recipe.padding,
    }
    if num_epochs := sum(record.epoch > 0 for record in run.records):
        optimizer = f"{recipe.optimizer}, learning rate {recipe.learning_rate}, batches of {recipe.batch_size}"
        facts |= {"optimizer": optimizer, "epochs": f"{num_epochs} of {recipe.epochs}", "seed": recipe.seed}
    if recipe.ema_decay is not None or recipe.swa_epochs is not None:
        facts["weights"] = "averaged over steps"
    if environments := run.manifest.get("environments"):
        last = environments[-1]
        versions = ", ".join(f"{name} {version}" for name, version in last.get("versions", {}).items())
        facts["machine"] = f"{last.get('num_devices')} × {last.get('device')}, {last.get('processor')}"
        facts["versions"] = f"Python {last.get('python')}, {versions}"
    if seconds := [timing.seconds for timing in run.timings if timing.steps]:
        facts["time"] = f"{mean(seconds):.3g} s per epoch"
    rows = [f"| {name} | {value} |" for name, value in facts.items()]
    return ["", "| | |", "|---|---|", *rows, "", "`config.json` holds the recipe in full."]
