"""`scripts/imdb curves`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro


@dataclasses.dataclass(frozen=True)
class Curves:
    """Draws the learning curves of runs, seeds of one recipe as a band, and prints mean ± sd of their accuracies."""

    run_dirs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The runs' folders."""
    output: Path = Path("docs/learning_curves.svg")
    """The picture: .svg, .png or .pdf."""

    def run(self) -> int:
        """Draws and prints."""
        from experiments.imdb.curves_report import draw, read_curves, table

        curves = read_curves(self.run_dirs)
        draw(curves, self.output)
        print("\n".join(table(curves)))
        print(f"drawn    {self.output}")
        return 0
