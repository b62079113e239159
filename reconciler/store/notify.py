"""A hint from one process to the others that there is work: NOTIFY, after a commit.

At most one in ten milliseconds goes out of a process, whatever happens in it:
a NOTIFY inside each transaction would make all commits of the database wait
for one another. Whoever listens must look by himself, too. Not here: the work.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import psycopg

from reconciler.errors import ReconcilerError
from reconciler.store.database import Connection, Database

CHANNEL = "reconciler_executions"
_GAP = 0.01  # seconds
_LONGEST_PAUSE = 30.0


async def notify(database: Database, *, channel: str = CHANNEL) -> None:
    """Tell all listeners now, for a process that is about to end."""
    with suppress(ReconcilerError):  # a hint; they look anyway
        await database.execute(f"SELECT pg_notify('{channel}', '')".encode(), {})


class Notifier:
    """Tells all listeners, soon, that something changed."""

    def __init__(self, database: Database, *, channel: str = CHANNEL) -> None:
        self._database = database
        self._statement = f"SELECT pg_notify('{channel}', '')".encode()
        self._sending: asyncio.Task[None] | None = None
        self._again = False

    def poke(self) -> None:
        """Ask for a notification; many in a row become one. Call it after the commit."""
        if self._sending is not None and not self._sending.done():
            self._again = True
            return
        self._sending = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        while True:
            self._again = False
            with suppress(ReconcilerError):  # a hint; they look anyway
                await self._database.execute(self._statement, {}, prepare=True)
            await asyncio.sleep(_GAP)
            if not self._again:
                return

    async def close(self) -> None:
        """Stop sending."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
            self._sending = None


class Listener:
    """Hears notifications, over a connection of its own that it opens again when it broke."""

    def __init__(self, database: Database, *, channel: str = CHANNEL) -> None:
        self._database = database
        self._channel = channel
        self._connection: Connection | None = None
        self._pause = 0.0
        self._not_before = 0.0

    async def wait(self, seconds: float) -> bool:
        """Wait up to *seconds* for a notification; tells whether one came."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        connection = await self._open(until)
        if connection is None:
            await asyncio.sleep(max(0.0, until - loop.time()))
            return False
        try:
            left = max(0.0, until - loop.time())
            return bool([note async for note in connection.notifies(timeout=left, stop_after=1)])
        except psycopg.Error:
            await self.close()
            await asyncio.sleep(max(0.0, until - loop.time()))
        return False

    async def _open(self, until: float) -> Connection | None:
        """Connect if need be; None: no connection now, and no time to wait for one."""
        if self._connection is not None:
            return self._connection
        loop = asyncio.get_running_loop()
        if loop.time() < self._not_before:
            return None
        try:
            async with asyncio.timeout_at(max(until, loop.time() + 1.0)):
                connection = await self._database.connect()
                await connection.execute(f'LISTEN "{self._channel}"'.encode())
        except (ReconcilerError, psycopg.Error, TimeoutError):
            self._pause = min(max(1.0, self._pause * 2), _LONGEST_PAUSE)
            self._not_before = loop.time() + self._pause
            return None
        self._pause = 0.0
        self._connection = connection
        return connection

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()
