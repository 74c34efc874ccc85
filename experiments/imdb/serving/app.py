"""The web application: `/` is a page, `/read` a WebSocket that follows a text, `/predict` answers texts as JSON.

    POST /predict  {"texts": ["...", ...]}  ->  {"predictions": [{"probability": ..., "label": ..., ...}, ...]}
    GET /health                             ->  {"status": "ok", "cell": ..., "step": ...}

An error is JSON too, {"error": "..."}, with the HTTP status for it. Requests that do not name a loopback host are
refused, so that no other site's page can use the address.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

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

from experiments.imdb.answers.predict import Prediction
from experiments.imdb.serving.batching import Batcher, OverloadedError
from experiments.imdb.serving.model import Model
from experiments.imdb.serving.requests import Limits, as_texts, read_body
from experiments.imdb.serving.stream import Stream

__all__ = ["make_app"]

_HOSTS = ("127.0.0.1", "localhost")


def make_app(model: Model, page: str, limits: Limits) -> Starlette:
    """Builds the application."""
    batcher = Batcher(model.predict, limits.max_texts, limits.max_waiting)
    limiter = MovingWindowRateLimiter(MemoryStorage())
    rate = parse(f"{limits.requests_per_second}/second")

    def is_within_rate() -> bool:
        return limiter.hit(rate)

    async def predict(request: Request) -> Response:
        if not is_within_rate():
            raise HTTPException(429, limits.too_fast, {"Retry-After": "1"})
        texts = as_texts(await read_body(request, limits), limits)
        try:
            predictions = await batcher.submit(texts)
        except OverloadedError as error:
            raise HTTPException(503, str(error), {"Retry-After": "1"}) from error
        return JSONResponse({"predictions": [_answer(prediction) for prediction in predictions]})

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
            WebSocketRoute("/read", Stream(model, limits, is_within_rate).serve),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(_HOSTS))],
        exception_handlers={HTTPException: _error, Exception: _unexpected_error},  # type: ignore[dict-item]
        lifespan=lifespan,
    )


def _answer(prediction: Prediction) -> dict[str, Any]:
    """Returns a prediction without its text, which the client has."""
    return {name: value for name, value in prediction._asdict().items() if name != "text"}


async def _error(request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _unexpected_error(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"The server failed: {type(error).__name__}."}, 500)
