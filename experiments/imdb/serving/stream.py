"""The WebSocket of the live page: it follows a text that is being written.

    {"text": "..."}  ->  what changed, as in `session.Update`; "class" beside it names the class that is shown
    {"word": number} ->  {"word": number, "units": gates and states of that word}

A WebSocket is opened by this server's own page or by a program; those of other sites' pages are refused.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.websockets import WebSocket, WebSocketDisconnect

from experiments.imdb.answers.log_odds import class_number
from experiments.imdb.serving.model import Model
from experiments.imdb.serving.requests import Limits, as_number, as_object, as_text
from experiments.imdb.serving.session import Session, begin, follow, units

__all__ = ["Stream"]


class Stream:
    """Serves any number of pages at the same time, up to the limit.

    Args:
        model: reads the texts.
        limits: of texts and open pages.
        is_within_rate: counts a message and returns whether it is within the rate limit.
    """

    def __init__(self, model: Model, limits: Limits, is_within_rate: Callable[[], bool]) -> None:
        self.model, self.limits, self.is_within_rate = model, limits, is_within_rate
        self.num_sessions = 0

    async def serve(self, socket: WebSocket) -> None:
        """Answers the messages of one page until it closes."""
        if not _is_own_page(socket):
            await socket.close(1008)
            return
        await socket.accept()
        if self.num_sessions >= self.limits.max_sessions:
            await socket.close(1013, f"{self.limits.max_sessions} pages are open already: close one.")
            return
        self.num_sessions += 1
        try:
            session = begin(self.model.reader, self.model.sequence_length)
            while (message := await socket.receive())["type"] == "websocket.receive":
                session, answer = await self._answer(session, message.get("text") or "")
                await socket.send_text(json.dumps(answer, separators=(",", ":")))
        except WebSocketDisconnect:
            pass
        finally:
            self.num_sessions -= 1

    async def _answer(self, session: Session, message: str) -> tuple[Session, dict[str, Any]]:
        """Reads a text or returns the units of a word.

        An answer about a word, also an error, names the word, so the page can't take it for an answer about the text.
        """
        about: dict[str, Any] = {}
        try:
            content = as_object(message)
            if "word" in content:
                about = {"word": content["word"]}
            if not self.is_within_rate():
                return session, about | {"error": self.limits.too_fast}
            if about:
                return session, about | {"units": units(session, as_number(content["word"]))}
            text = as_text(content, "text", self.limits)
            of_class = as_text(content, "class", self.limits) if content.get("class") is not None else None
            if of_class is not None:
                class_number(self.model.classes, of_class)
        except HTTPException as error:
            return session, about | {"error": error.detail}
        except ValueError as error:
            return session, about | {"error": str(error)}
        model = self.model
        reading = follow, model.reader, model.vocabulary, session, text, model.classes, of_class
        session, update = await asyncio.to_thread(*reading)
        return session, update._asdict()


def _is_own_page(socket: WebSocket) -> bool:
    """Says whether a WebSocket was opened by the page of this server, or by a program, which sends no origin."""
    origin = socket.headers.get("origin")
    return origin is None or origin == f"http://{socket.headers.get('host')}"
