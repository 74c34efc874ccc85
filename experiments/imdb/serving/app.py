"""The web application: `/` is a page, `/read` a WebSocket that follows a text, `/predict` answers texts as JSON.

    POST /predict  {"texts": ["...", ...]}  ->  {"predictions": [{"probability": ..., "label": ..., ...}, ...]}
    GET /health                             ->  {"status": "ok", "cell": ..., "step": ...}

What is wrong with a request is said in JSON, {"error": "..."}, with the status that HTTP has for it. Requests that do
not name a loopback host are turned away, and WebSockets come from this very page or from a program, so that no other
site's page can use the address.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from experiments.imdb.answers.predict import Prediction
from experiments.imdb.answers.reading import Reader
from experiments.imdb.reviews.vocabulary import Vocabulary
from experiments.imdb.serving.batching import Batcher, OverloadedError
from experiments.imdb.serving.requests import Limits, as_number, as_object, as_text, as_texts, read_body
from experiments.imdb.serving.session import Session, begin, follow, units

__all__ = ["Model", "make_app"]

_HOSTS = ("127.0.0.1", "localhost")


class Model(NamedTuple):
    """What is served."""

    facts: dict[str, Any]  # for `/health`
    vocabulary: Vocabulary
    sequence_length: int
    reader: Reader
    predict: Callable[[Sequence[str]], list[Prediction]]


def make_app(model: Model, page: str, limits: Limits) -> Starlette:
    """Builds the application."""
    batcher = Batcher(model.predict, limits.max_texts, limits.max_waiting)
    limiter = MovingWindowRateLimiter(MemoryStorage())
    rate = parse(f"{limits.requests_per_second}/second")
    num_sessions = 0

    def is_within_rate() -> bool:
        return limiter.hit(rate)

    async def predict(request: Request) -> Response:
        if not is_within_rate():
            raise HTTPException(429, _too_fast(limits), {"Retry-After": "1"})
        texts = as_texts(await read_body(request, limits), limits)
        try:
            predictions = await batcher.submit(texts)
        except OverloadedError as error:
            raise HTTPException(503, str(error), {"Retry-After": "1"}) from error
        return JSONResponse({"predictions": [_answer(prediction) for prediction in predictions]})

    async def read(socket: WebSocket) -> None:
        nonlocal num_sessions
        if not _is_own_page(socket):
            await socket.close(1008)
            return
        await socket.accept()
        if num_sessions >= limits.max_sessions:
            await socket.close(1013, f"{limits.max_sessions} pages are open already: close one.")
            return
        num_sessions += 1
        try:
            session = begin(model.reader, model.sequence_length)
            while (message := await socket.receive())["type"] == "websocket.receive":
                session, answer = await _heed(model, limits, session, message.get("text") or "", is_within_rate)
                await socket.send_text(json.dumps(answer, separators=(",", ":")))
        except WebSocketDisconnect:
            pass
        finally:
            num_sessions -= 1

    async def show_page(request: Request) -> Response:
        return HTMLResponse(page, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", **model.facts})

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(batcher.run())
        yield
        task.cancel()

    return Starlette(
        routes=[
            Route("/", show_page),
            Route("/health", health),
            Route("/predict", predict, methods=["POST"]),
            WebSocketRoute("/read", read),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(_HOSTS))],
        exception_handlers={HTTPException: _say, Exception: _say_unexpected},  # type: ignore[dict-item]
        lifespan=lifespan,
    )


async def _heed(
    model: Model, limits: Limits, session: Session, message: str, is_within_rate: Callable[[], bool]
) -> tuple[Session, dict[str, Any]]:
    """Does what the page asks for: to read a text, {"text": ...}, or to show what a word did, {"word": number}.

    An answer about a word, an error too, names the word, so that nobody takes it for one about the text.
    """
    about: dict[str, Any] = {}
    try:
        content = as_object(message)
        if "word" in content:
            about = {"word": content["word"]}
        if not is_within_rate():
            return session, about | {"error": _too_fast(limits)}
        if about:
            return session, about | {"units": units(session, as_number(content["word"]))}
        text = as_text(content, "text", limits)
    except HTTPException as error:
        return session, about | {"error": error.detail}
    except ValueError as error:
        return session, about | {"error": str(error)}
    session, update = await asyncio.to_thread(follow, model.reader, model.vocabulary, session, text)
    return session, update._asdict()


def _answer(prediction: Prediction) -> dict[str, Any]:
    """Leaves the text out: whoever asked has it."""
    return {name: value for name, value in prediction._asdict().items() if name != "text"}


def _too_fast(limits: Limits) -> str:
    return f"More than {limits.requests_per_second:,} requests in a second: slow down."


def _is_own_page(socket: WebSocket) -> bool:
    """Says whether a WebSocket was opened by the page that is served here, or by a program."""
    origin = socket.headers.get("origin")
    return origin is None or origin == f"http://{socket.headers.get('host')}"


async def _say(request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _say_unexpected(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"The server failed: {type(error).__name__}."}, 500)
