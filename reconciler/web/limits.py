"""What is asked of every request before anyone looks at it: size, time, framing, encoding.

The body is read here, within its limits, and handed on in one piece, so a handler never
waits for a slow client. Not here: the header's limits (`reconciler.web.connection`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.web.answers import Refused, send_refused


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """How large a body may be and how long it may take; bytes, seconds."""

    bytes: int = 1024 * 1024
    seconds: float = 10.0


class Limited:
    """An application behind the limits."""

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what is too large, too slow or ambiguous; pass on the rest, body included."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._body(scope, receive)
        except Refused as why:
            # The rest of the body was not read: the connection can't be used again.
            await send_refused(send, why, close=True)
            return
        if body is not None:
            await self._app(scope, _Given(body, receive), send)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """Read the body; None when the client has gone."""
        declared = _check_head(scope)
        most = self._limits.bytes
        if declared is not None and declared > most:
            raise _too_large(most)
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await _read(receive, most)
        except TimeoutError:
            raise Refused(408, "too-slow", "the body did not arrive in time") from None


class _Given:
    """Hands out a body that was read, then listens for the end of the connection."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _read(receive: Receive, most: int) -> bytes | None:
    message = await receive()
    if message["type"] != "http.request":
        return None
    first: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(first) > most:
            raise _too_large(most)
        return first
    parts, size = [first], len(first)
    while message.get("more_body"):
        if size > most:
            raise _too_large(most)
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    if size > most:
        raise _too_large(most)
    return b"".join(parts)


def _check_head(scope: Scope) -> int | None:
    """Give the declared length; raises Refused for a head that two readers may read in two ways."""
    names = [name for name, _ in scope["headers"]]
    if b"transfer-encoding" in names and b"content-length" in names:
        raise Refused(400, "malformed", "Content-Length and Transfer-Encoding exclude each other")
    if names.count(b"host") != 1 and scope["http_version"] == "1.1":
        raise Refused(400, "malformed", "a request has one Host header")
    declared = None
    for name, value in scope["headers"]:
        if name == b"content-length":
            # The parser let digits pass only; a number of 400 digits is too large, not an error.
            declared = int(value) if len(value) < 20 else 10**20
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise Refused(415, "encoded", "a body must not be compressed")
    return declared


def _too_large(most: int) -> Refused:
    return Refused(413, "too-large", f"a body has at most {most} bytes")
