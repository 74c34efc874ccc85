"""Lines about a trained run: its predictions, and the state of its files."""

from collections.abc import Sequence

from experiments.imdb.answers.predict import Prediction, answer_text
from experiments.imdb.commands.show.terminal import without_controls
from experiments.imdb.reviews.source import IMDB_CLASSES
from experiments.imdb.runs.doctor import Diagnosis

__all__ = ["diagnosis_text", "prediction_line"]


def prediction_line(prediction: Prediction, width: int = 80, classes: Sequence[str] = IMDB_CLASSES) -> str:
    """Formats a prediction on one line; the text is shortened to the rest of the width, at least 20 characters."""
    words, unknown = prediction.words, prediction.unknown_words
    counted = f"{words:,} word{'' if words == 1 else 's'}" + (f", {unknown:,} unknown" if unknown else "")
    answer = without_controls(answer_text(prediction.label, prediction.probability, classes=classes))
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
