"""The process around the application: a model that is warm, a socket on the loopback address, and uvicorn."""

import socket

import uvicorn

from experiments.imdb.answers.predict import make_predictor
from experiments.imdb.answers.reading import LONGEST_READ, make_reader
from experiments.imdb.reviews.vocabulary import START_ID
from experiments.imdb.runs.open import Run
from experiments.imdb.serving.app import Model, make_app
from experiments.imdb.serving.page import make_page
from experiments.imdb.serving.requests import Limits

__all__ = ["listen", "make_model", "serve", "warm_up"]


def make_model(run: Run, max_texts: int) -> Model:
    """Makes a run ready; most of it is compiled when it is first used, or by `warm_up`."""
    return Model(
        facts={
            "cell": run.recipe.cell,
            "step": run.step,
            "sequence_length": run.recipe.sequence_length,
            "padding": run.recipe.padding,
        },
        vocabulary=run.vocabulary,
        sequence_length=run.recipe.sequence_length,
        reader=make_reader(run.recipe, run.params),
        predict=make_predictor(run, max_texts),
    )


def warm_up(model: Model, max_texts: int) -> None:
    """Compiles what requests will need, so that the first of them waits no longer than others."""
    for size in _powers(max_texts):
        model.predict([""] * min(size, max_texts))
    state = model.reader.start(model.sequence_length)
    for size in _powers(LONGEST_READ):
        model.reader.read(state, [START_ID] * size)


def _powers(limit: int) -> list[int]:
    """Returns the powers of two up to the first that is not below a limit."""
    return [2**exponent for exponent in range((limit - 1).bit_length() + 1)]


def listen(port: int) -> socket.socket:
    """Opens a socket that only this machine can reach.

    Raises:
        ValueError: the port is taken, or no port.
    """
    if not 0 <= port < 2**16:
        raise ValueError(f"--port must lie between 0 and {2**16 - 1}, not {port}.")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(256)  # from here on, who comes waits until the server is ready
    except OSError as error:
        listening.close()
        raise ValueError(f"Port {port} can't be used ({error.strerror}): --port 0 takes one that is free.") from error
    return listening


def serve(model: Model, name: str, limits: Limits, listening: socket.socket) -> None:
    """Serves until SIGINT or SIGTERM."""
    app = make_app(model, make_page(name, model.facts, limits), limits)
    settings = uvicorn.Config(
        app,
        log_level="warning",
        ws_max_size=limits.max_message,
        timeout_graceful_shutdown=2,
        proxy_headers=False,  # whoever asks is on this machine, whatever a header says
    )
    uvicorn.Server(settings).run(sockets=[listening])
