"""The connection to PostgreSQL: connected on first use, a few connections, clear errors.

psycopg is used directly. SQLAlchemy would triple the start-up time of a
command; it describes the tables (`reconciler.store.tables`) and migrates them
(`reconciler.store.migrate`). Not here: any SQL about our tables.
"""

from __future__ import annotations

import asyncio
import logging
import select
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.pq import TransactionStatus

from reconciler.errors import ConfigError, DatabaseTooNew, DatabaseTooOld
from reconciler.store.cursor import Cursor
from reconciler.store.failures import UPGRADE_HINT, refused, translate
from reconciler.store.patience import Patience
from reconciler.store.times import utc_adapters
from reconciler.store.url import Target, parse_url
from reconciler.store.version import HEAD, KNOWN

Connection: TypeAlias = psycopg.AsyncConnection[tuple[Any, ...]]

# Without a handler Python prints psycopg's remarks about broken pipelines to stderr; the
# errors behind them reach the caller anyway.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

OLDEST_SERVER = 14
_NEVER = 2**31 - 1
_IDLE_IN_TRANSACTION = 60.0  # seconds; no transaction of ours spans a call to another server


class _Adapting:
    """Hands psycopg our adapters when a connection is made."""

    connection = None

    def __init__(self, adapters: AdaptersMap) -> None:
        self.adapters = adapters


@dataclass(slots=True)
class _Pooled:
    """A connection between two uses."""

    connection: Connection
    patience: Patience

    async def close(self) -> None:
        """Close it."""
        self.patience.close()
        await self.connection.close()


class Database:
    """A PostgreSQL database; nothing is connected before the first transaction."""

    def __init__(
        self,
        url: str,
        *,
        application_name: str = "reconciler",
        pool_size: int = 4,
        statement_timeout: float = 30.0,
        lock_timeout: float = 5.0,
        scans: bool = True,
    ) -> None:
        """Remember where to connect (timeouts in seconds); raises ConfigError for a bad URL.

        Without *scans* plans are made once and read whole tables only where no index will do: right
        for a few statements that are prepared while tables are small and used when they are large.
        """
        self.target: Target = parse_url(url, application_name=application_name)
        self._settings = _settings(statement_timeout, lock_timeout, scans=scans)
        self._patience = 2 * statement_timeout  # for a server that doesn't even end statements
        self._slots = asyncio.Semaphore(pool_size)
        self._idle: list[_Pooled] = []
        self._context = _Adapting(utc_adapters())

    @property
    def place(self) -> str:
        """Host, port and database: safe to print."""
        return self.target.place

    async def connect(self) -> Connection:
        """Open a connection of its own, in autocommit mode, that the caller closes.

        Raises DatabaseUnreachable, or ConfigError for a server that is too old.
        """
        try:
            connection = await psycopg.AsyncConnection.connect(
                self.target.conninfo,
                autocommit=True,
                # Only what asks for it is prepared: generic plans and poolers are trouble.
                prepare_threshold=_NEVER,
                context=self._context,
                cursor_factory=Cursor,
            )
        except psycopg.Error as error:
            raise refused(error, self.target) from error
        try:
            self._require_server(connection.info.server_version)
            with closing(Patience(connection, self._patience)) as patience, patience:
                await connection.execute(self._settings)
        except BaseException as error:  # a cancelled call must not leave it open, either
            await connection.close()
            if isinstance(error, psycopg.Error):
                raise refused(error, self.target) from error
            raise
        return connection

    def _require_server(self, version: int) -> None:
        if version < OLDEST_SERVER * 10_000:
            message = f"PostgreSQL at {self.place} is version {version // 10_000}"
            raise ConfigError(message, hint=f"version {OLDEST_SERVER} or later is needed")

    @asynccontextmanager
    async def transaction(self, *, pipelined: bool = False) -> AsyncIterator[Connection]:
        """Give a connection in a transaction; commits at the end, rolls back on any exception.

        *pipelined*: a statement whose result nobody fetches goes with the next, or the commit.
        Raises DatabaseUnreachable when the connection breaks before the commit
        (nothing was written), DatabaseLost when it breaks during the commit.
        """
        async with self._slots:
            pooled = await self._take(autocommit=False)
            connection = pooled.connection
            committing = False
            try:
                async with AsyncExitStack() as stack:
                    stack.enter_context(pooled.patience)
                    if pipelined:
                        await stack.enter_async_context(connection.pipeline())
                    yield connection
                    committing = True
                    await connection.commit()
            except psycopg.Error as error:
                broken = connection.closed
                raise translate(
                    error, self.target, broken=broken, committing=committing
                ) from _safe_cause(error)
            finally:
                await self._give_back(pooled)

    async def execute(
        self, statement: bytes, values: Mapping[str, Any], *, prepare: bool = False
    ) -> list[tuple[Any, ...]]:
        """Execute one statement that is its own transaction, in one round trip; return its rows.

        *prepare* keeps its plan on the connection, for what is asked again and again.
        Raises DatabaseLost when the connection breaks: nobody knows whether it was done.
        """
        async with self._slots:
            pooled = await self._take(autocommit=True)
            connection = pooled.connection
            try:
                with pooled.patience:
                    cursor = await connection.execute(statement, values, prepare=prepare)
                    rows = [] if cursor.rownumber is None else await cursor.fetchall()
            except psycopg.Error as error:
                broken = connection.closed
                raise translate(
                    error, self.target, broken=broken, committing=True
                ) from _safe_cause(error)
            finally:
                await self._give_back(pooled)
            return rows

    async def _take(self, *, autocommit: bool) -> _Pooled:
        while self._idle:
            # One that is in this mode already, if there is one: it holds the plans that are wanted.
            places = range(len(self._idle) - 1, -1, -1)
            fitting = (n for n in places if self._idle[n].connection.autocommit is autocommit)
            pooled = self._idle.pop(next(fitting, -1))
            if not _stirred(pooled.connection):
                break
            await pooled.close()
        else:
            connection = await self.connect()
            pooled = _Pooled(connection, Patience(connection, self._patience))
        if pooled.connection.autocommit is not autocommit:
            await pooled.connection.set_autocommit(autocommit)
        return pooled

    async def _give_back(self, pooled: _Pooled) -> None:
        connection = pooled.connection
        try:
            if _busy(connection):
                with pooled.patience, suppress(psycopg.Error):
                    await connection.rollback()
        finally:
            if connection.closed or _busy(connection):
                await pooled.close()
            else:
                self._idle.append(pooled)

    async def ready(self) -> None:
        """Check server and schema version.

        Raises DatabaseTooOld, DatabaseTooNew, DatabaseUnreachable, ConfigError.
        """
        async with self.transaction() as connection:
            current = await schema_version(connection)
        require_version(current, self.place)

    async def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            await self._idle.pop().close()

    async def __aenter__(self) -> Self:
        """Return itself: connecting waits for the first use."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all connections."""
        await self.close()


async def schema_version(connection: Connection) -> str | None:
    """Read the revision of the schema; None: the database was never upgraded."""
    cursor = await connection.execute("SELECT to_regclass('reconciler.schema_version') IS NOT NULL")
    row = await cursor.fetchone()
    if row is None or not row[0]:
        return None
    cursor = await connection.execute("SELECT version_num FROM reconciler.schema_version")
    row = await cursor.fetchone()
    return None if row is None else str(row[0])


def require_version(current: str | None, place: str) -> None:
    """Compare the schema with this code; raises DatabaseTooOld or DatabaseTooNew."""
    if current is not None and current not in KNOWN:
        message = f"the database at {place} was upgraded by a newer reconciler (revision {current})"
        raise DatabaseTooNew(message, hint=f"install that version; this one knows {HEAD}")
    if current != HEAD:
        found = "has no tables of ours" if current is None else f"is at revision {current}"
        message = f"the database at {place} {found}, revision {HEAD} is needed"
        raise DatabaseTooOld(message, hint=UPGRADE_HINT)


def _settings(statement_timeout: float, lock_timeout: float, *, scans: bool) -> str:
    """Write the session's settings as one script: some poolers refuse them at connection time."""
    values = {
        "statement_timeout": f"{round(statement_timeout * 1000)}",
        "lock_timeout": f"{round(lock_timeout * 1000)}",
        "idle_in_transaction_session_timeout": f"{round(_IDLE_IN_TRANSACTION * 1000)}",
        "timezone": "'UTC'",
        "search_path": "public",
        "client_min_messages": "warning",
        **({} if scans else {"enable_seqscan": "off", "plan_cache_mode": "force_generic_plan"}),
    }
    return "; ".join(f"SET {name} TO {value}" for name, value in values.items())


def _busy(connection: Connection) -> bool:
    return connection.info.transaction_status != TransactionStatus.IDLE


def _stirred(connection: Connection) -> bool:
    """Whether the server said something to an idle connection: nearly always good-bye."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP)
    return bool(poll.poll(0))


def _safe_cause(error: psycopg.Error) -> psycopg.Error | None:
    """Keep the cause for `--debug`, unless its DETAIL may show the row."""
    return None if isinstance(error, psycopg.IntegrityError) else error
