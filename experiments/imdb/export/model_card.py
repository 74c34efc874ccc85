"""The model card, README.md: how to load the export, the data, the numbers and the limits, from a run's own records.

No text of a review is in it.
"""

from typing import Any

from experiments.imdb.export.card_sections import data_lines, limit_lines, number_lines, training_lines
from experiments.imdb.export.front_matter import front_matter, is_imdb
from experiments.imdb.export.loading import loading_code, requirements
from experiments.imdb.runs.open import Run

__all__ = ["make"]

_MOST_CLASSES = 20


def make(run: Run, config: dict[str, Any], file_format: str) -> str:
    """Returns the card as Markdown.

    Args:
        run: the run.
        config: the content of `config.json`.
        file_format: of the export.
    """
    name = plain(config["run"]["name"])
    exported = next((record for record in run.records if record.step == run.step), None)
    sections = {
        "Use": _use(run, file_format),
        "Data": data_lines(run),
        "Numbers": number_lines(run, exported),
        "Limits": limit_lines(run, exported),
        "Training": training_lines(run),
    }
    lines = [*front_matter(run, name, file_format, exported), f"# {name}", "", _summary(run, config)]
    for heading, own in sections.items():
        lines += ["", f"## {heading}", *own]
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    r"""Returns text on one line, without characters that Markdown or HTML would read.

    >>> plain("a\n<b> `c`")
    'a b c'
    """
    kept = (character if character.isprintable() and character not in "`<>|*[]#" else " " for character in text)
    return " ".join("".join(kept).split())


def _summary(run: Run, config: dict[str, Any]) -> str:
    names = [plain(name) for name in run.classes[:_MOST_CLASSES]]
    more = f" and {len(run.classes) - _MOST_CLASSES} more" if len(run.classes) > _MOST_CLASSES else ""
    texts = "English film reviews" if is_imdb(run) else "texts"
    return (
        f"A recurrent network that classifies {texts} as {', '.join(names)}{more}. These are the weights of "
        f"step {run.step:,}, the {config['run']['checkpoint']} checkpoint of the run, exported by `recurrent` "
        f"{config['versions']['recurrent']}."
    )


def _use(run: Run, file_format: str) -> list[str]:
    lines = ["", "```sh", requirements(file_format), "```"]
    for block in loading_code(run.recipe, file_format):
        lines += ["", "```python", *block.splitlines(), "```"]
    texts = '"a wonderful film", "a waste of time"' if is_imdb(run) else '"one text", "another text"'
    of = 'of each of config["classes"]' if run.recipe.num_classes > 2 else f"of {plain(run.classes[1])}"
    return [*lines, "", "```python", f"print(probability([{texts}]))  # {of}", "```"]
