"""The process around the application: a socket on the loopback address, and uvicorn."""

import socket

import uvicorn

from experiments.imdb.serving.app import make_app
from experiments.imdb.serving.model import Model
from experiments.imdb.serving.page import make_page
from experiments.imdb.serving.requests import Limits

__all__ = ["listen", "serve"]


def listen(port: int) -> socket.socket:
    """Opens a socket that only this machine can reach.

    Raises:
        ValueError: the port is in use or out of range.
    """
    if not 0 <= port < 2**16:
        raise ValueError(f"--port must lie between 0 and {2**16 - 1}, not {port}.")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(256)  # from now on, clients wait until the server is ready
    except OSError as error:
        listening.close()
        raise ValueError(f"Port {port} can't be used ({error.strerror}): --port 0 takes a free one.") from error
    return listening


def serve(model: Model, name: str, limits: Limits, listening: socket.socket) -> None:
    """Serves until SIGINT or SIGTERM."""
    app = make_app(model, make_page(name, model.facts, limits, model.classes), limits)
    settings = uvicorn.Config(
        app,
        log_level="warning",
        ws_max_size=limits.max_message,
        timeout_graceful_shutdown=2,
        proxy_headers=False,  # every client is on this machine, whatever a header says
    )
    uvicorn.Server(settings).run(sockets=[listening])
