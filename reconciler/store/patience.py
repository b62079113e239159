"""Hangs up on a server that says nothing for too long: a frozen one would hold us for ever.

A timer per connection, set anew only when it rings too early: nearly every call ends long before.
Not here: PostgreSQL's own timeouts (`reconciler.store.database`).
"""

from __future__ import annotations

import asyncio
import os
import socket
from types import TracebackType
from typing import Any

import psycopg


class Patience:
    """Breaks *connection* when what runs inside `with` takes more than *seconds*."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._until: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        """Begin to wait."""
        loop = asyncio.get_running_loop()
        self._until = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_at(self._until, self._ring)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """It has answered."""
        self._until = None

    def close(self) -> None:
        """Forget the connection: it is closed."""
        self._until = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        if self._until is None or self._connection.closed:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._until:
            self._timer = loop.call_at(self._until, self._ring)
            return
        with socket.socket(fileno=os.dup(self._connection.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)
