"""An explanation on a terminal: the text in colours, the belief as a curve, and the words that moved it most."""

import math
from itertools import pairwise

from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.imdb.answers.explanation import Explanation
from experiments.imdb.commands.show import verdict, without_controls

__all__ = ["print_explanation"]

_BARS, _ARROW = "▁▂▃▄▅▆▇█", "→"
_ASCII_BARS, _ASCII_ARROW = "_.-=+*#@", "->"
_POSITIVE, _NEGATIVE = (0, 114, 178), (213, 94, 0)  # blue and vermilion, which colour-blind people tell apart
_NUM_WORDS = 10


def print_explanation(out: Console, explanation: Explanation) -> None:
    """Prints it, as wide as the console; without colours where there are none."""
    out.print(coloured_text(explanation), soft_wrap=False)
    out.print()
    out.print(
        f"{verdict(explanation.label, explanation.probability)}; {explanation.start_probability:.2f} before any word",
        markup=False,
    )
    width = min(out.width, 100) - 8
    bars, arrow = (_BARS, _ARROW) if _can_show(out, _BARS + _ARROW) else (_ASCII_BARS, _ASCII_ARROW)
    beliefs = [explanation.start_probability, *_beliefs(explanation)]
    out.print(f"belief  {sparkline(beliefs, width, bars)}", markup=False)
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
    """Colours each word by its contribution: blue for positive, vermilion for negative; what was not read is dim."""
    text = Text(without_controls(explanation.text))
    largest = max((abs(word.contribution) for word in explanation.words), default=0.0) or 1.0
    for word in explanation.words:
        if word.step is None:
            text.stylize("dim strike" if word.status == "dropped" else "dim", word.start, word.end)
            continue
        share = abs(word.contribution) / largest
        if share > 0.04:
            red, green, blue = _POSITIVE if word.contribution > 0 else _NEGATIVE
            weight = " bold" if share > 0.5 else ""
            # Paler the less it matters, on a background of its own, so that it reads the same on light and dark.
            shade = [round(255 - (255 - part) * (0.25 + 0.75 * share)) for part in (red, green, blue)]
            ink = "white" if share > 0.6 else "black"
            text.stylize(f"{ink} on rgb({shade[0]},{shade[1]},{shade[2]}){weight}", word.start, word.end)
    return text


def sparkline(probabilities: list[float], width: int, bars: str = _BARS) -> str:
    """Draws probabilities as a row of bars, the means of neighbours where there are more than the width."""
    count = max(1, min(width, len(probabilities)))
    ends = [round(index * len(probabilities) / count) for index in range(count + 1)]
    means = [sum(probabilities[start:end]) / (end - start) for start, end in pairwise(ends)]
    return "".join(bars[min(int(mean * len(bars)), len(bars) - 1)] if mean == mean else "?" for mean in means)


def strongest_words(explanation: Explanation, arrow: str = _ARROW) -> Table:
    """Lays out the words that contributed most, in the order of the text."""
    table = Table("word", "contribution", "occlusion", "belief", pad_edge=False, box=None)
    ranked = sorted(explanation.words, key=lambda word: -abs(word.contribution))[:_NUM_WORDS]
    before = dict(zip(explanation.words, [explanation.start_probability, *_beliefs(explanation)], strict=False))
    for word in sorted(ranked, key=lambda word: word.start):
        table.add_row(
            Text(without_controls(explanation.text[word.start : word.end][:40])),
            f"{word.contribution:+.3f}",
            f"{word.occlusion:+.3f}",
            f"{before[word]:.3f} {arrow} {word.probability:.3f}",
        )
    return table


def _beliefs(explanation: Explanation) -> list[float]:
    return [word.probability for word in explanation.words]


def _remarks(explanation: Explanation) -> list[str]:
    """Says what was not read, and how far the numbers can be trusted."""
    lines = []
    if explanation.num_cut:
        lines.append(f"the first {explanation.num_cut:,} words are not read: the model reads the last ones alone")
    if explanation.unknown_words:
        lines.append(f"{explanation.unknown_words:,} of {len(explanation.words):,} words are unknown to the model")
    total = sum(word.contribution for word in explanation.words) + explanation.start_contribution
    lines.append(
        f"contributions add up to {total:+.4f} of the logit, {explanation.gap:+.1e} short of all"
        + (
            f"; rank correlation with occlusion {explanation.agreement:.2f}"
            if math.isfinite(explanation.agreement)
            else ""
        )
    )
    return lines
