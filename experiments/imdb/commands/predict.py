"""`scripts/imdb predict`."""

import dataclasses
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.platform import start_jax


@dataclasses.dataclass(frozen=True)
class Predict:
    """Says what a trained run thinks of texts: those given, or else each line of standard input."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    text: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="TEXT")] = ()
    """Texts to read."""
    checkpoint: Literal["best", "latest"] = "best"
    """Which state of the run."""
    device: Literal["auto", "cpu", "gpu", "tpu"] = "cpu"
    """Where to compute."""
    json: bool = False
    """Answers with one JSON object a line."""

    def run(self) -> int:
        """Predicts and prints, a line a text."""
        from experiments.imdb.runs import read_recipe

        recipe = read_recipe(self.run_dir)
        start_jax(self.device, 1, recipe.dtype == "float64")
        from experiments.imdb import show
        from experiments.imdb.predict import make_predictor
        from experiments.imdb.runs import open_run

        predict = make_predictor(open_run(self.run_dir, self.checkpoint))
        texts = iter(self.text) if self.text else _lines()
        while chunk := list(islice(texts, 256)):
            for prediction in predict(chunk):
                print(json.dumps(prediction._asdict()) if self.json else show.prediction_line(prediction), flush=True)
        return 0


def _lines() -> Iterator[str]:
    """Reads standard input; bytes that are no UTF-8 become replacement characters, which are in no vocabulary."""
    if sys.stdin.isatty():
        print("one text a line; Ctrl-D ends", file=sys.stderr)
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", errors="replace").rstrip("\r\n")
