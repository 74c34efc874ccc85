"""`scripts/imdb explain`."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.folders import check_output_file, runs_folder
from experiments.imdb.commands.annotations import FOLDER_OR_FILE, TEXTS
from experiments.imdb.commands.given_texts import as_text, read_text
from experiments.machine import start_jax


@dataclasses.dataclass(frozen=True)
class Explain:
    """Explains a prediction word by word: the probability after each word, gates, and each word's contribution."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    text: Annotated[tuple[str, ...], tyro.conf.Positional, TEXTS] = ()
    """The text, in one argument or several. Default: standard input."""
    checkpoint: Literal["best", "latest"] = "best"
    """Which checkpoint of the run."""
    of_class: str | None = None
    """The class whose probability is explained. Default: the second of two classes, the predicted one of more."""
    output: Annotated[Path | None, FOLDER_OR_FILE] = None
    """The page to write, with a curve over the words and their gates. Default: runs/explanation.html."""
    device: Literal["auto", "cpu", "gpu", "tpu"] = "cpu"
    """The device."""
    json: bool = False
    """Prints one JSON object and writes no page."""

    def run(self) -> int:
        """Explains, prints and writes the page."""
        from experiments.imdb.runs.files import read_recipe

        recipe = read_recipe(self.run_dir)
        start_jax(self.device, 1, recipe.dtype == "float64")
        from experiments.imdb.answers.explanation import explain, make_explainer
        from experiments.imdb.answers.page import as_plain, write_page
        from experiments.imdb.commands.show.explanation import print_explanation
        from experiments.imdb.commands.show.terminal import console
        from experiments.imdb.runs.open import open_run

        output = self.output or runs_folder() / "explanation.html"
        if not self.json:
            check_output_file(output)
        run = open_run(self.run_dir, self.checkpoint)
        text = as_text(" ".join(self.text)) if self.text else read_text()
        explanation = explain(make_explainer(run), text, self.of_class)
        if self.json:
            print(json.dumps(as_plain(explanation)))
            return 0
        out = console()
        print_explanation(out, explanation)
        write_page(explanation, self.run_dir.resolve().name, output)
        out.print(f"page     {output}", markup=False)
        return 0
