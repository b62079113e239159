"""One client's connection: uvicorn's HTTP/1.1 with the clocks and caps that it lacks.

A client that sends half a header, or nothing, is dropped; a header has a size and a number of
lines, and so has what is sent between and after the pieces of a body; when there are too many connections the oldest that is not being served makes room. Not
here: the body (`reconciler.web.limits`) and listening (`reconciler.web.server`).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from reconciler.web.answers import raw_error
from reconciler.web.corked import Corked

# What is no HTTP is answered; a line for each would let anybody fill our log.
logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """What a connection may take; seconds, bytes, numbers."""

    header_seconds: float = 5.0
    idle_seconds: float = 30.0  # between two requests
    header_bytes: int = 32 * 1024  # request line and all headers; or trailers
    header_lines: int = 100
    connections: int = 2000


class State(ServerState):
    """What the connections of a server share."""

    def __init__(self) -> None:
        super().__init__()
        self.empty = asyncio.Event()  # set when the last connection has gone


class Connection(HttpToolsProtocol):
    """A connection that can't be held for ever."""

    def __init__(
        self, config: Config, state: State, app_state: dict[str, Any], clocks: Clocks
    ) -> None:
        super().__init__(config, state, app_state)
        self.timeout_keep_alive = clocks.idle_seconds  # type: ignore[assignment]
        self._state = state
        self._clocks = clocks
        self._bare_bytes = 0  # since the last byte of a body
        self._in_head = True
        self._timer: asyncio.TimerHandle | None = None
        self._corked: Corked

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock; make room when there is none."""
        if len(self.connections) >= self._clocks.connections:
            self._make_room()
        corked = Corked(transport)
        self._corked = corked
        super().connection_made(corked)  # type: ignore[arg-type]
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_timer()
        super().connection_lost(exc)
        if not self.connections:
            self._state.empty.set()

    def data_received(self, data: bytes) -> None:
        """Parse, and drop a header or a trailer that is too long."""
        self._bare_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._bare_bytes and self._timer is None:
            self._start_timer()  # half the next header on a connection that was idle
        if self._bare_bytes > self._clocks.header_bytes:
            self._refuse(431, "header-too-large", "the header is too large")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the lines; those after a body are left out, nobody may decide by them."""
        if not self._in_head:
            return
        super().on_header(name, value)
        if len(self.headers) > self._clocks.header_lines:
            message = "too many header lines"
            raise ValueError(message)  # the parser turns it into a 400

    def on_headers_complete(self) -> None:
        """Stop the clock: from here on the body's counts."""
        self._stop_timer()
        self._in_head, self._bare_bytes = False, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Begin to count anew: a body's own bytes are counted by the application."""
        self._bare_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect another header."""
        super().on_message_complete()
        self._in_head, self._bare_bytes = True, 0

    def on_response_complete(self) -> None:
        """Send the answer."""
        self._corked.flush()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Say in our own form that this is not HTTP."""
        self._refuse(400, "malformed", msg)

    @property
    def serving(self) -> bool:
        """Whether a request is being answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _refuse(self, status: int, code: str, message: str) -> None:
        if not self.transport.is_closing():
            self.transport.write(raw_error(status, code, message))
            self.transport.close()

    def _make_room(self) -> None:
        idle = (c for c in self.connections if isinstance(c, Connection) and not c.serving)
        oldest = next(idle, None)
        if oldest is not None:
            oldest.transport.abort()
            self.connections.discard(oldest)

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self._clocks.header_seconds, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.abort()
