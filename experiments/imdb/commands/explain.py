"""`scripts/imdb explain`."""

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.platform import start_jax


@dataclasses.dataclass(frozen=True)
class Explain:
    """Reads a text word by word: the belief after each word, what gates did, what each word contributed."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    text: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="TEXT")] = None
    """The text; standard input, if left out."""
    checkpoint: Literal["best", "latest"] = "best"
    """Which state of the run."""
    output: Path = Path("runs/explanation.html")
    """The page that is written: a curve over the words, and their gates."""
    device: Literal["auto", "cpu", "gpu", "tpu"] = "cpu"
    """Where to compute."""
    json: bool = False
    """Answers with one JSON object, and writes no page."""

    def run(self) -> int:
        """Explains, prints and writes the page."""
        from experiments.imdb.runs import read_recipe

        recipe = read_recipe(self.run_dir)
        start_jax(self.device, 1, recipe.dtype == "float64")
        from experiments.imdb import show
        from experiments.imdb.explanation import explain, make_explainer
        from experiments.imdb.explanation_page import as_plain, write_page
        from experiments.imdb.runs import open_run
        from experiments.imdb.show_explanation import print_explanation

        run = open_run(self.run_dir, self.checkpoint)
        # Bytes that are no UTF-8 become replacement characters, which are in no vocabulary.
        if self.text is None and sys.stdin.isatty():
            print("one text; Ctrl-D ends", file=sys.stderr)
        given = sys.stdin.buffer.read() if self.text is None else os.fsencode(self.text)
        text = given.decode("utf-8", errors="replace").rstrip("\r\n")
        explanation = explain(make_explainer(run), text)
        if self.json:
            print(json.dumps(as_plain(explanation)))
            return 0
        out = show.console()
        print_explanation(out, explanation)
        write_page(explanation, self.run_dir.name, self.output)
        out.print(f"page     {self.output}", markup=False)
        return 0
