"""Waiting for executions to end: one question for all who wait, however many they are.

Not here: what they do with the result.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from reconciler.errors import ReconcilerError
from reconciler.store.database import Database

_INTERVAL = 0.05  # seconds between two questions
_SLOWEST = 1.0

_ENDED = b"""
SELECT id FROM workflow_executions WHERE id = ANY(%(ids)s) AND status NOT IN ('QUEUED', 'RUNNING')
"""


class Waiters:
    """Everybody in this process who waits for an execution to end."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._came = asyncio.Event()

    async def wait(self, id_: str, seconds: float) -> bool:
        """Wait up to *seconds* for an execution to end; tells whether it has."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(id_, set()).add(future)
        self._came.set()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            return False
        finally:
            self._forget(id_, future)
        return True

    def ended(self, id_: str) -> None:
        """Say that an execution ended in this process: those who wait need not ask."""
        for future in self._waiting.get(id_, ()):
            if not future.done():
                future.set_result(None)

    def _forget(self, id_: str, future: asyncio.Future[None]) -> None:
        futures = self._waiting.get(id_, set())
        futures.discard(future)
        if not futures:
            self._waiting.pop(id_, None)

    async def _ask(self) -> None:
        pause = _INTERVAL
        while self._waiting:
            # A database that is away answers nobody; they wait until their time is over.
            with suppress(ReconcilerError):
                rows = await self._database.execute(
                    _ENDED, {"ids": list(self._waiting)}, prepare=True
                )
                pause = _INTERVAL if rows else min(pause * 1.2, _SLOWEST)
                for (id_,) in rows:
                    self.ended(id_)
            # Who comes later wants a quick answer, too, however long the others have waited.
            self._came.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._came.wait(), pause)
                pause = _INTERVAL
                await asyncio.sleep(pause)
