"""Lines about a trained run: its metrics, its predictions, and the state of its files."""

from experiments.imdb.answers.predict import Prediction, answer_text
from experiments.imdb.commands.show.terminal import without_controls
from experiments.imdb.runs.doctor import Diagnosis
from experiments.imdb.training.metrics import Metrics

__all__ = ["diagnosis_text", "metrics_text", "prediction_line"]


def metrics_text(split: str, step: int, metrics: Metrics) -> list[str]:
    """Formats an evaluation."""
    confusion = metrics.confusion
    interval = f"95 % interval {metrics.accuracy_low:.4f} to {metrics.accuracy_high:.4f}"
    return [
        f"{split}: {metrics.examples:,} reviews, checkpoint of step {step}",
        f"loss               {metrics.loss:.4f}",
        f"accuracy           {metrics.accuracy:.4f}   {interval}",
        f"AUC                {metrics.auc:.4f}",
        f"calibration error  {metrics.calibration_error:.4f}",
        "                 predicted negative   predicted positive",
        f"actual negative  {confusion.true_negative:>18,}   {confusion.false_positive:>18,}",
        f"actual positive  {confusion.false_negative:>18,}   {confusion.true_positive:>18,}",
    ]


def prediction_line(prediction: Prediction, width: int = 80) -> str:
    """Formats a prediction on one line; the text is shortened to the rest of the width, at least 20 characters."""
    words, unknown = prediction.words, prediction.unknown_words
    counted = f"{words:,} word{'' if words == 1 else 's'}" + (f", {unknown:,} unknown" if unknown else "")
    answer = answer_text(prediction.label, prediction.probability)
    head = f"{answer:<27}  {counted}{', cut' * prediction.is_cut}  "
    text = without_controls(" ".join(prediction.text.split()))
    room = max(20, width - len(head))
    return (head + (text if len(text) <= room else text[: room - 1] + "…")).rstrip()


def diagnosis_text(diagnosis: Diagnosis) -> list[str]:
    """Formats what the doctor found."""
    parts, width = diagnosis.parts, max(len(part.name) for part in diagnosis.parts)
    rows = [(part.name, "intact" if part.problem is None else "CORRUPT", part.problem or part.remark) for part in parts]
    rows += [("in use", "by", diagnosis.holder)] if diagnosis.holder else []
    lines = [f"{name:<{width}}  {state:<7}  {remark}".rstrip() for name, state, remark in rows]
    return [*lines, f"{'resume':<{width}}  {diagnosis.resume}"]
