"""`scripts/imdb serve-speed`."""

import dataclasses
import datetime
import json
from pathlib import Path
from typing import Annotated

import tyro

from experiments.folders import check_output_file
from experiments.imdb.commands.annotations import FOLDER_OR_FILE
from experiments.imdb.runs.places import find_data_dir
from experiments.machine import describe_machine, start_jax


@dataclasses.dataclass(frozen=True)
class ServeSpeed:
    """Measures the server: milliseconds per word and requests per second, beside one that keeps no state."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    data_dir: Annotated[Path | None, FOLDER_OR_FILE] = None
    """The folder of prepared reviews, whose validation split is sent. Default: the run's."""
    output: Annotated[Path | None, FOLDER_OR_FILE] = None
    """A JSON file for the results; none is written by default."""

    def run(self) -> int:
        """Measures and prints."""
        from experiments.imdb.runs.files import read_recipe

        if self.output:
            check_output_file(self.output)
        start_jax("cpu", is_float64=read_recipe(self.run_dir).dtype == "float64")
        from experiments.imdb.commands.show.terminal import console, progress_bar
        from experiments.imdb.reviews.dataset import load
        from experiments.imdb.runs.open import open_run
        from experiments.imdb.serving.bench import measure
        from experiments.imdb.vocabulary import ID_OFFSET
        from recurrent.training.atomic import write_text

        run = open_run(self.run_dir)
        recipe, out = run.recipe, console()
        with progress_bar(out, "preparing the reviews") as report:
            data_dir = find_data_dir(self.data_dir, self.run_dir)
            sizes = recipe.vocabulary_size, recipe.sequence_length
            share, pairs, stream = recipe.validation_share, recipe.num_pairs, recipe.stream
            data = load(recipe.source, data_dir, *sizes, report, share, pairs, stream)
        words, rows = run.vocabulary.words, data.validation.tokens[:64]
        texts = [" ".join(words[number - ID_OFFSET - 1] for number in row if number > ID_OFFSET) for row in rows]
        with progress_bar(out, "starting two servers") as report:
            speed = measure(self.run_dir, texts, on_progress=report)
        about = {"date": datetime.date.today().isoformat(), "machine": describe_machine(), "cell": recipe.cell}
        figures = {**about, **speed._asdict()}
        if self.output:
            write_text(self.output, json.dumps(figures, indent=2) + "\n")
        print(json.dumps(figures, indent=2))
        return 0
