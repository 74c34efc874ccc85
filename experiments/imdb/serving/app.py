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
from dataclasses import dataclass
from typing import Any, NamedTuple

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from experiments.imdb.predict import Prediction
from experiments.imdb.reading import Reader
from experiments.imdb.serving.batching import Batcher, OverloadedError
from experiments.imdb.serving.session import Session, begin, follow, units
from experiments.imdb.vocabulary import Vocabulary

__all__ = ["Limits", "Model", "make_app"]

_HOSTS = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Limits:
    """What is refused, so that one client can't use up the machine."""

    max_characters: int = 20_000  # of a text
    max_texts: int = 32  # of a request, and of a batch
    max_waiting: int = 1024  # texts, of all requests together
    max_sessions: int = 32  # pages that are open
    requests_per_second: int = 1000  # of all programs of this machine together, messages of pages included

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}.")
        if self.max_texts > self.max_waiting:
            raise ValueError(f"max_texts ({self.max_texts}) must not be above max_waiting ({self.max_waiting}).")

    @property
    def max_bytes(self) -> int:
        """Of a request's body: what its texts take at most, every character escaped."""
        return self.max_message * self.max_texts

    @property
    def max_message(self) -> int:
        """Of a page's message: what its text takes at most, every character escaped as a surrogate pair."""
        return 12 * self.max_characters + 1024


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
        texts = _texts(await _body(request, limits), limits)
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
        content = _object(message)
        if "word" in content:
            about = {"word": content["word"]}
        if not is_within_rate():
            return session, about | {"error": _too_fast(limits)}
        if about:
            return session, about | {"units": units(session, _number(content["word"]))}
        text = _text(content, "text", limits)
    except HTTPException as error:
        return session, about | {"error": error.detail}
    except ValueError as error:
        return session, about | {"error": str(error)}
    session, update = await asyncio.to_thread(follow, model.reader, model.vocabulary, session, text)
    return session, update._asdict()


async def _body(request: Request, limits: Limits) -> bytes:
    """Reads a request's body, no further than the limit."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, 'Send JSON: Content-Type: application/json, and {"texts": ["..."]}.')
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > limits.max_bytes:
                raise HTTPException(413, f"The request has more than {limits.max_bytes:,} bytes.")
    except ClientDisconnect as error:
        raise HTTPException(400, "The request ended too early.") from error
    return bytes(body)


def _texts(body: bytes, limits: Limits) -> list[str]:
    """Takes the texts out of a request."""
    content = _object(body)
    texts = content.get("texts")
    if not isinstance(texts, list) or not texts:
        raise HTTPException(400, 'The request must be {"texts": ["...", ...]}, with one text or more.')
    if len(texts) > limits.max_texts:
        raise HTTPException(413, f"The request has {len(texts):,} texts, more than {limits.max_texts}.")
    return [_text({f"texts[{number}]": text}, f"texts[{number}]", limits) for number, text in enumerate(texts)]


def _object(body: str | bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"This is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise HTTPException(400, f"This is not an object but a {type(content).__name__}.")
    return content


def _text(content: dict[str, Any], name: str, limits: Limits) -> str:
    text = content.get(name)
    if not isinstance(text, str):
        raise HTTPException(400, f"{name} must be a string, not a {type(text).__name__}.")
    if len(text) > limits.max_characters:
        raise HTTPException(413, f"{name} has {len(text):,} characters, more than {limits.max_characters:,}.")
    return text


def _number(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"word must be a number, not a {type(value).__name__}.")
    return value


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
