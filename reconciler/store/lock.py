"""One writer at a time: a PostgreSQL advisory lock, and who holds it.

The lock belongs to a connection of its own: it ends with the process, however
that ends. Not here: what is done under it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import errors
from psycopg.pq import ConnStatus

from reconciler.errors import DatabaseLost, LockHeld
from reconciler.store.database import Connection, Database
from reconciler.store.failures import translate

KEY = (0x7265636F, 1)  # "reco", the writers
_NAME = "writer"

_TRY = "SELECT pg_try_advisory_lock(%s, %s)"
_WAIT = "SELECT pg_advisory_lock(%s, %s)"
_ALIVE = "SELECT"
_LEASE = "SET idle_session_timeout TO {}"
_UNLOCK = "SELECT pg_advisory_unlock(%s, %s)"

_SIGN = """
INSERT INTO reconciler.locks (name, backend_pid, actor, host, process_id, operation)
VALUES (%(name)s, pg_backend_pid(), %(actor)s, %(host)s, %(process_id)s, %(operation)s)
ON CONFLICT (name) DO UPDATE SET
    backend_pid = EXCLUDED.backend_pid, actor = EXCLUDED.actor, host = EXCLUDED.host,
    process_id = EXCLUDED.process_id, operation = EXCLUDED.operation,
    acquired_at = EXCLUDED.acquired_at
"""
_CROSS_OUT = "DELETE FROM reconciler.locks WHERE name = %s AND backend_pid = pg_backend_pid()"

_OWNER = """
SELECT l.pid, a.application_name
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
  AND l.classid = %s::oid AND l.objid = %s::oid
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_SIGNATURE = """
SELECT actor, host, process_id, operation, acquired_at,
       extract(epoch FROM clock_timestamp() - acquired_at)::float8
FROM reconciler.locks WHERE name = %s AND backend_pid = %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds the lock; what a process that has just got it hasn't written yet is None."""

    backend_pid: int
    application: str
    actor: str | None = None
    host: str | None = None
    process_id: int | None = None
    operation: str | None = None
    since: datetime | None = None
    seconds: float | None = None

    def __str__(self) -> str:
        if self.since is None:
            return f"{self.application or 'another process'} (connection {self.backend_pid})"
        moment = self.since.strftime("%Y-%m-%d %H:%M:%S UTC")
        return (
            f"{self.actor} on {self.host} (pid {self.process_id}), running {self.operation} "
            f"since {moment}, {self.seconds or 0:.0f} s ago"
        )


class HeldLock:
    """The lock while we have it."""

    def __init__(self, connection: Connection, place: str) -> None:
        self._connection = connection
        self._place = place
        self._descriptor = connection.fileno()
        self._watching = False
        self._lost = False

    async def keep(self, seconds: float) -> None:
        """Show PostgreSQL for ever that this process works; it ends silent ones after *seconds*."""
        while not self._lost:
            await asyncio.sleep(seconds / 4)
            self.unwatch()
            try:
                await self._connection.execute(_ALIVE)
            except psycopg.Error:
                self._lost = True
            else:
                self.watch()

    @property
    def still_held(self) -> bool:
        """Whether the connection that holds the lock is alive, as far as we have been told."""
        return not self._lost

    def check(self) -> None:
        """Raise DatabaseLost when the lock is gone: nothing may be written any more."""
        if self._lost:
            message = f"the lock in the database at {self._place} was lost with its connection"
            raise DatabaseLost(message, hint="run it again: what was done is found and kept")

    def watch(self) -> None:
        """Notice at once when the server closes the connection."""
        asyncio.get_running_loop().add_reader(self._descriptor, self._stirred)
        self._watching = True

    def unwatch(self) -> None:
        """Stop watching; must come before any other use of the connection."""
        # Once: a lost connection is closed, and its descriptor soon is another connection's.
        if self._watching:
            self._watching = False
            asyncio.get_running_loop().remove_reader(self._descriptor)

    def _stirred(self) -> None:
        raw = self._connection.pgconn
        with suppress(psycopg.Error):
            raw.consume_input()
        if raw.status == ConnStatus.BAD:
            self._lost = True
            self.unwatch()


class WriterLock:
    """The right to write, for one operation of one process."""

    def __init__(
        self, database: Database, *, actor: str, host: str, process_id: int, operation: str
    ) -> None:
        """Say who asks and what for: others see it while they wait."""
        self._database = database
        self._signature = {"name": _NAME, "actor": actor, "host": host}
        self._signature |= {"process_id": str(process_id), "operation": operation}

    @asynccontextmanager
    async def acquire(
        self,
        timeout: float = 0.0,
        on_wait: Callable[[Holder], None] | None = None,
        *,
        lease: float | None = None,
    ) -> AsyncIterator[HeldLock]:
        """Take the lock, waiting up to *timeout* seconds; *on_wait* hears whom we wait for.

        With a *lease* a process that hangs or is stopped for so many seconds loses the lock.
        Raises LockHeld, whose message names the holder.
        """
        connection = await self._database.connect()
        try:
            try:
                await self._take(connection, timeout, on_wait)
                await self._sign(connection)
                if lease is not None:
                    await connection.execute(_LEASE.format(max(1, round(lease * 1000))))
            except psycopg.Error as error:
                broken = connection.closed
                raise translate(
                    error, self._database.target, broken=broken, committing=False
                ) from error
            held = HeldLock(connection, self._database.place)
            held.watch()
            keeping = [] if lease is None else [asyncio.create_task(held.keep(lease))]
            try:
                yield held
            finally:
                for task in keeping:
                    task.cancel()
                    await asyncio.wait([task])
                held.unwatch()
                await self._release(connection)
        finally:
            await connection.close()

    async def _take(
        self, connection: Connection, timeout: float, on_wait: Callable[[Holder], None] | None
    ) -> None:
        if await _try(connection):
            return
        found = await _holder(connection)
        if timeout > 0:
            if on_wait is not None and found is not None:
                on_wait(found)
            await connection.execute("SET statement_timeout TO 0")
            await connection.execute(f"SET lock_timeout TO {max(1, round(timeout * 1000))}")
            with suppress(errors.LockNotAvailable):
                await connection.execute(_WAIT, KEY)
                return
        elif await _try(connection):  # it may have ended while we asked who it is
            return
        found = await _holder(connection) or found
        message = f"the lock is held by {found or 'another process'}"
        raise LockHeld(message, hint="wait for it to end, or pass --lock-timeout")

    async def _sign(self, connection: Connection) -> None:
        # Before the first upgrade there is no table to sign in.
        with suppress(errors.UndefinedTable):
            await connection.execute(_SIGN, self._signature)

    async def _release(self, connection: Connection) -> None:
        with suppress(psycopg.Error):
            with suppress(errors.UndefinedTable):
                await connection.execute(_CROSS_OUT, (_NAME,))
            await connection.execute(_UNLOCK, KEY)


async def holder(database: Database) -> Holder | None:
    """Tell who holds the lock now; None: nobody."""
    async with database.transaction() as connection:
        return await _holder(connection)


async def _try(connection: Connection) -> bool:
    cursor = await connection.execute(_TRY, KEY)
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def _holder(connection: Connection) -> Holder | None:
    cursor = await connection.execute(_OWNER, KEY)
    owner = await cursor.fetchone()
    if owner is None:
        return None
    signature = await _signature(connection, owner[0])
    names = ("actor", "host", "process_id", "operation", "since", "seconds")
    signed: dict[str, Any] = dict(zip(names, signature, strict=True)) if signature else {}
    return Holder(backend_pid=owner[0], application=owner[1] or "", **signed)


async def _signature(connection: Connection, backend_pid: int) -> tuple[Any, ...] | None:
    cursor = await connection.execute("SELECT to_regclass('reconciler.locks') IS NOT NULL")
    row = await cursor.fetchone()
    if row is None or not row[0]:
        return None
    cursor = await connection.execute(_SIGNATURE, (_NAME, backend_pid))
    return await cursor.fetchone()
