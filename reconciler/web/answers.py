"""What an answer looks like: `{"error": {"code", "message"}}` for everything that went wrong.

Not here: who answers what.
"""

from __future__ import annotations

import http
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from starlette.responses import JSONResponse
from starlette.types import Send

from reconciler.errors import (
    ConfigError,
    ConflictError,
    DeadlineExceeded,
    GuardRefused,
    ReconcilerError,
    UnreachableError,
    UsageError,
)
from reconciler.resource.json_text import json_text

RETRY_AFTER: Final = 5  # seconds: what we ask for while a server of ours is away
_SEPARATORS: Final = (",", ":")
_ENCODER: Final = json.JSONEncoder(separators=_SEPARATORS)
_ALWAYS: Final = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class Refused(Exception):
    """A request that is answered with an error; raise it anywhere below the application.

    *code* is a word for machines, such as rate-limited.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def refused(error: ReconcilerError) -> Refused:
    """Say what an error of ours means to a caller over HTTP."""
    match error:
        case UnreachableError():
            headers = {"Retry-After": str(RETRY_AFTER)}
            return Refused(503, "unavailable", "a server that this needs is away", headers)
        case DeadlineExceeded():
            headers = {"Retry-After": str(RETRY_AFTER)}
            return Refused(503, "unavailable", "a server that this needs is too slow", headers)
        case UsageError():
            return Refused(422, "invalid", error.message)
        case ConflictError():
            return Refused(409, "conflict", error.message)
        case GuardRefused():
            return Refused(403, "refused", error.message)
        case ConfigError():
            return Refused(503, "misconfigured", "the server is not set up for this")
        case _:
            return Refused(500, "unexpected", "something unexpected happened")


def error_body(code: str, message: str, **more: Any) -> dict[str, Any]:
    """Write the body of an error."""
    return {"error": {"code": code, "message": message, **more}}


class Document(JSONResponse):
    """An answer with values that others made: they may be nested deeper than FastAPI writes."""

    def render(self, content: Any) -> bytes:
        """Write it as JSON."""
        return _json(content)


def _json(body: Any) -> bytes:
    try:
        return _ENCODER.encode(body).encode()
    except RecursionError:
        return json_text(body, separators=_SEPARATORS).encode()


async def send_json(
    send: Send,
    status: int,
    body: Mapping[str, Any],
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Answer with JSON, without a framework."""
    content = _json(body)
    length = (b"content-length", str(len(content)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*_ALWAYS, length, *headers],
        }
    )
    await send({"type": "http.response.body", "body": content})


async def send_refused(send: Send, why: Refused, *, close: bool = False) -> None:
    """Answer with an error; *close* also ends the connection, whose body was not read."""
    headers = [(name.lower().encode(), value.encode()) for name, value in why.headers.items()]
    if close:
        headers.append((b"connection", b"close"))
    await send_json(send, why.status, error_body(why.code, why.message), headers)


def raw_error(status: int, code: str, message: str) -> bytes:
    """Write a whole response for a request that could not even be read."""
    body = json.dumps(error_body(code, message), separators=(",", ":")).encode()
    phrase = http.HTTPStatus(status).phrase
    head = (
        f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
