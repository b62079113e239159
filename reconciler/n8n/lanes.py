"""HTTP connections to n8n that are used by one request at a time each.

A client's pool looks at all of its connections, their sockets included, when a request begins and
when it ends: with many at once that takes longer than the requests. A lane is a client with a
pool of its own, and the one that was used last is taken first. Not here: what is sent
(`reconciler.n8n.entry`).
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from typing import Final

import httpx

from reconciler.n8n.client import Limits, http_client, tls_context
from reconciler.n8n.location import Location

_IDLE: Final = 10.0  # seconds from when an unused lane is closed; n8n has hung up by then


class Lanes:
    """As many lanes as requests are under way; close them with `aclose`."""

    def __init__(
        self,
        location: Location,
        limits: Limits,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """A *transport* is for tests; all lanes share it."""
        self._location = location
        self._limits = limits
        self._transport = transport
        self._tls = tls_context(location)
        self._all: set[httpx.AsyncClient] = set()
        self._idle: deque[tuple[float, httpx.AsyncClient]] = deque()  # the oldest first

    async def aclose(self) -> None:
        """Close all lanes; requests under way break."""
        for client in list(self._all):
            await client.aclose()
        self._all.clear()
        self._idle.clear()

    async def post(
        self, url: str, content: bytes, headers: dict[str, str], seconds: float
    ) -> httpx.Response:
        """Send *content*; waits up to *seconds* for each part of the answer. Raises httpx's errors."""
        _, client = self._idle.pop() if self._idle else (0.0, self._open())
        try:
            request = client.build_request("POST", url, headers=headers, content=content)
            request.extensions["timeout"] = {**request.extensions["timeout"], "read": seconds}
            return await client.send(request)
        finally:
            self._idle.append((time.monotonic(), client))
            await self._tidy()

    async def _tidy(self) -> None:
        """Close lanes that nobody has needed for a while."""
        while self._idle and self._idle[0][0] < time.monotonic() - _IDLE:
            _, client = self._idle.popleft()
            self._all.discard(client)
            with suppress(
                Exception
            ):  # the answer that is waiting to be read has nothing to do with it
                await client.aclose()

    def _open(self) -> httpx.AsyncClient:
        client = http_client(self._location, self._limits, self._transport, self._tls)
        self._all.add(client)
        return client
