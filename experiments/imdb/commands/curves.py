"""`scripts/imdb curves`."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro

from experiments.folders import check_output_file, runs_folder
from experiments.imdb.runs.places import only_runs


@dataclasses.dataclass(frozen=True)
class Curves:
    """Draws the learning curves of runs, seeds of one recipe as a band, and prints mean ± sd of their accuracies."""

    run_dirs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The runs' folders."""
    output: Path | None = None
    """The picture: .svg, .png or .pdf. If left out: runs/learning_curves.svg."""

    def run(self) -> int:
        """Draws and prints."""
        from experiments.imdb.report.learning_curves import draw, read_curves, table

        output = self.output or runs_folder() / "learning_curves.svg"
        check_output_file(output, (".svg", ".png", ".pdf"))
        curves = read_curves(only_runs(self.run_dirs, lambda line: print(line, file=sys.stderr)))
        draw(curves, output)
        print("\n".join(table(curves)))
        print(f"drawn    {output}")
        return 0
