"""A server of the live page in a thread of this process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from experiments.imdb.runs.open import Run
from experiments.imdb.serving.app import make_app
from experiments.imdb.serving.model import make_model
from experiments.imdb.serving.page import make_page
from experiments.imdb.serving.requests import Limits
from experiments.imdb.serving.server import listen


@contextmanager
def serve(run: Run, name: str, limits: Limits) -> Iterator[str]:
    """Yields the address of the page."""
    model = make_model(run, limits.max_texts)
    app = make_app(model, make_page(name, model.facts, limits, model.classes), limits)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    with listen(0) as socket:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{socket.getsockname()[1]}/"
        server.should_exit = True
        thread.join(20)
