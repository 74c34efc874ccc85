"""An explanation on a terminal: the text in colours, a curve of the probability, and the strongest words."""

import math
from itertools import pairwise

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from experiments.figures import OTHERS
from experiments.imdb.answers.explanation import Explanation
from experiments.imdb.answers.log_odds import likeliest
from experiments.imdb.answers.predict import answer_text
from experiments.imdb.commands.show.terminal import short_name, without_controls

__all__ = ["coloured_text", "print_explanation", "sparkline", "strongest_words"]

_BARS, _ARROW = "▁▂▃▄▅▆▇█", "→"
_ASCII_BARS, _ASCII_ARROW = "_.-=+*#@", "->"
_POSITIVE, _NEGATIVE = OTHERS[2].light, OTHERS[0].light  # blue, vermilion: colour-blind readers can tell them apart
_NUM_WORDS, _NUM_CLASSES = 10, 5


def print_explanation(out: Console, explanation: Explanation) -> None:
    """Prints an explanation in the width of the console; without colours where it has none."""
    out.print(coloured_text(explanation), soft_wrap=False)
    out.print()
    answer = without_controls(answer_text(explanation.label, explanation.probability, of_class=explanation.of_class))
    out.print(f"{answer}; {explanation.start_probability:.2f} before any word", markup=False)
    if explanation.probabilities:
        out.print(_ranking(explanation.probabilities), markup=False)
    heading = f"P({short_name(explanation.of_class)})  "
    width = min(out.width, 100) - len(heading)
    bars, arrow = (_BARS, _ARROW) if _can_show(out, _BARS + _ARROW) else (_ASCII_BARS, _ASCII_ARROW)
    probabilities = [explanation.start_probability, *_probabilities(explanation)]
    out.print(f"{heading}{sparkline(probabilities, width, bars)}", markup=False)
    for line in _remarks(explanation):
        out.print(line, markup=False)
    if explanation.words:
        out.print(strongest_words(explanation, arrow))


def _can_show(out: Console, signs: str) -> bool:
    try:
        signs.encode(out.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def coloured_text(explanation: Explanation) -> Text:
    """Colours words by their contribution: blue for positive, vermilion for negative; unread words are dim."""
    text = Text(without_controls(explanation.text))
    largest = max((abs(word.contribution) for word in explanation.words), default=0.0) or 1.0
    for word in explanation.words:
        if word.step is None:
            text.stylize("dim strike" if word.status == "dropped" else "dim", word.start, word.end)
            continue
        share = abs(word.contribution) / largest
        if share > 0.04:
            parts = bytes.fromhex((_POSITIVE if word.contribution > 0 else _NEGATIVE).removeprefix("#"))
            weight = " bold" if share > 0.5 else ""
            # A smaller share is paler. The background is set, so words look the same on light and dark terminals.
            shade = [round(255 - (255 - part) * (0.25 + 0.75 * share)) for part in parts]
            ink = "white" if share > 0.6 else "black"
            text.stylize(f"{ink} on rgb({shade[0]},{shade[1]},{shade[2]}){weight}", word.start, word.end)
    return text


def sparkline(probabilities: list[float], width: int, bars: str = _BARS) -> str:
    """Draws probabilities as a row of bars; more than the width are averaged with their neighbours."""
    count = max(1, min(width, len(probabilities)))
    ends = [round(index * len(probabilities) / count) for index in range(count + 1)]
    means = [sum(probabilities[start:end]) / (end - start) for start, end in pairwise(ends)]
    return "".join(bars[min(int(mean * len(bars)), len(bars) - 1)] if mean == mean else "?" for mean in means)


def strongest_words(explanation: Explanation, arrow: str = _ARROW) -> Table:
    """Lists the words that contributed most, in the order of the text."""
    of_class = escape(f"P({short_name(explanation.of_class)})")
    table = Table("word", "contribution", "occlusion", of_class, pad_edge=False, box=None)
    ranked = sorted(explanation.words, key=lambda word: -abs(word.contribution))[:_NUM_WORDS]
    before = dict(zip(explanation.words, [explanation.start_probability, *_probabilities(explanation)], strict=False))
    for word in sorted(ranked, key=lambda word: word.start):
        table.add_row(
            Text(without_controls(explanation.text[word.start : word.end][:40])),
            f"{word.contribution:+.3f}",
            f"{word.occlusion:+.3f}",
            f"{before[word]:.3f} {arrow} {word.probability:.3f}",
        )
    return table


def _probabilities(explanation: Explanation) -> list[float]:
    return [word.probability for word in explanation.words]


def _ranking(probabilities: dict[str, float]) -> str:
    """Returns the likeliest classes on one line."""
    shown = likeliest(probabilities, _NUM_CLASSES)
    others = [f"{len(probabilities) - len(shown)} others"] if len(shown) < len(probabilities) else []
    return "  ".join([*(f"P({short_name(name)}) {value:.2f}" for name, value in shown), *others])


def _remarks(explanation: Explanation) -> list[str]:
    """Lists what was not read, and how exact the contributions are."""
    lines = []
    if explanation.num_cut:
        lines.append(f"the first {explanation.num_cut:,} words are not read: the model reads only the last ones")
    if explanation.unknown_words:
        lines.append(f"{explanation.unknown_words:,} of {len(explanation.words):,} words are unknown to the model")
    total = sum(word.contribution for word in explanation.words) + explanation.start_contribution
    of = "log-odds" if explanation.probabilities else "logit"
    lines.append(
        f"contributions to the {of} sum to {total:+.4f}, with an integration error of {explanation.gap:+.1e}"
        + (
            f"; rank correlation with occlusion {explanation.agreement:.2f}"
            if math.isfinite(explanation.agreement)
            else ""
        )
    )
    return lines
