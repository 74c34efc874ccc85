"""Limits of requests, and checks that raise the HTTP status for what is wrong."""

import json
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

__all__ = ["Limits", "as_number", "as_object", "as_text", "as_texts", "read_body"]


@dataclass(frozen=True)
class Limits:
    """Limits that keep one client from using up the machine."""

    max_characters: int = 20_000  # of a text
    max_texts: int = 32  # of a request, and of a batch
    max_waiting: int = 1024  # texts, of all requests together
    max_sessions: int = 32  # open pages
    requests_per_second: int = 1000  # rate limit over all clients, WebSocket messages included

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}.")
        if self.max_texts > self.max_waiting:
            raise ValueError(f"max_texts ({self.max_texts}) must not be above max_waiting ({self.max_waiting}).")

    @property
    def max_bytes(self) -> int:
        """The longest body of a request: that of its longest texts, every character escaped."""
        return self.max_message * self.max_texts

    @property
    def max_message(self) -> int:
        """The longest message of a page: that of its longest text, every character escaped as a surrogate pair."""
        return 12 * self.max_characters + 1024

    @property
    def too_fast(self) -> str:
        """The error beyond the rate limit."""
        return f"More than {self.requests_per_second:,} requests in a second: slow down."


async def read_body(request: Request, limits: Limits) -> bytes:
    """Reads a request's body, up to the limit."""
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


def as_texts(body: bytes, limits: Limits) -> list[str]:
    """Returns the texts of a request."""
    content = as_object(body)
    texts = content.get("texts")
    if not isinstance(texts, list) or not texts:
        raise HTTPException(400, 'The request must be {"texts": ["...", ...]}, with one text or more.')
    if len(texts) > limits.max_texts:
        raise HTTPException(413, f"The request has {len(texts):,} texts, more than {limits.max_texts}.")
    return [as_text({f"texts[{number}]": text}, f"texts[{number}]", limits) for number, text in enumerate(texts)]


def as_object(body: str | bytes) -> dict[str, Any]:
    """Parses a JSON object."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"This is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise HTTPException(400, f"This is not an object but a {type(content).__name__}.")
    return content


def as_text(content: dict[str, Any], name: str, limits: Limits) -> str:
    """Returns a text of an object."""
    text = content.get(name)
    if not isinstance(text, str):
        raise HTTPException(400, f"{name} must be a string, not a {type(text).__name__}.")
    if len(text) > limits.max_characters:
        raise HTTPException(413, f"{name} has {len(text):,} characters, more than {limits.max_characters:,}.")
    return text


def as_number(value: Any) -> int:
    """Returns a word's number.

    Raises:
        ValueError: it is not a whole number.
    """
    if type(value) is not int:
        raise ValueError(f"word must be a number, not a {type(value).__name__}.")
    return value
