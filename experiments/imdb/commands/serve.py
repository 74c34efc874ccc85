"""`scripts/imdb serve`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.machine import start_jax


@dataclasses.dataclass(frozen=True)
class Serve:
    """Serves a page that shows the prediction while you write, and a JSON endpoint, on this machine only."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    port: int = 8000
    """The port on 127.0.0.1; 0 takes a free one."""
    checkpoint: Literal["best", "latest"] = "best"
    """Which checkpoint of the run."""
    device: Literal["auto", "cpu", "gpu", "tpu"] = "cpu"
    """The device."""
    max_characters: int = 20_000
    """The longest text that is accepted."""
    max_texts: int = 32
    """The most texts in a request and in a batch."""
    requests_per_second: int = 1000
    """Rate limit over all clients together, WebSocket messages included."""

    def run(self) -> int:
        """Serves until SIGINT or SIGTERM."""
        from experiments.imdb.runs.files import read_recipe

        recipe = read_recipe(self.run_dir)
        start_jax(self.device, 1, recipe.dtype == "float64")
        from experiments.imdb.commands.show.terminal import console
        from experiments.imdb.runs.open import open_run
        from experiments.imdb.serving.model import make_model, warm_up
        from experiments.imdb.serving.requests import Limits
        from experiments.imdb.serving.server import listen, serve

        limits = Limits(self.max_characters, self.max_texts, requests_per_second=self.requests_per_second)
        run = open_run(self.run_dir, self.checkpoint)
        with listen(self.port) as socket:
            out = console()
            out.print("getting ready", markup=False)
            model = make_model(run, limits.max_texts)
            warm_up(model, limits.max_texts)
            host, port = socket.getsockname()
            out.print(f"open     http://{host}:{port}/        (Ctrl-C stops it)", markup=False)
            out.print(
                f'or       curl http://{host}:{port}/predict --json \'{{"texts": ["a fine film"]}}\'', markup=False
            )
            serve(model, self.run_dir.resolve().name, limits, socket)
        return 0
