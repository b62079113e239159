"""The rows of the seed's tables by id, for the kinds: read some columns, write some columns.

People appear by e-mail, in lower case: `createdBy` of an automation, `user` of
a credential, the members of an organization. Not here: what the columns mean.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from psycopg.types.json import Jsonb

from reconciler.errors import ConfigError, ReconcilerError
from reconciler.resource.unreadable import bounded
from reconciler.store import statements
from reconciler.store.database import Connection, Database
from reconciler.store.shapes import MEMBERSHIPS, SHAPES, USERS, Shape
from reconciler.store.writes import RowDelete, RowWrite, Write

Columns: TypeAlias = dict[str, Any]

_COLUMNS = """
SELECT c.relname, array_agg(a.attname::text)
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY(%s) AND c.relname = ANY(%s)
  AND a.attnum > 0 AND NOT a.attisdropped
GROUP BY c.relname
"""


class Rows:
    """Reads and writes rows; *new_id* makes the ids of users that aren't there yet."""

    def __init__(self, database: Database, *, new_id: Callable[[], str]) -> None:
        self._database = database
        self._new_id = new_id
        self._present: dict[str, frozenset[str]] = {}

    async def select_rows(
        self, table: str, ids: Collection[str], columns: Collection[str] | None = None
    ) -> dict[str, Columns]:
        """Load rows by id; an id without a row is absent from the answer.

        Without *columns* all columns of the table are read. JSON that nobody can read is an
        `Unreadable`, which equals nothing that specs declare: it stops neither its row nor the
        others. Raises DatabaseUnreachable.
        """
        if not ids:
            return {}
        async with self._database.transaction() as connection:
            if table == MEMBERSHIPS:
                return await self._select_members(connection, ids)
            wanted = await self._wanted(connection, table, columns)
            statement = statements.select_by_ids(table, wanted)
            cursor = await connection.execute(statement, {"ids": list(ids)})
            rows = await cursor.fetchall()
        found = {row[0]: dict(zip(wanted, row[1:], strict=True)) for row in rows}
        for row in found.values():
            for column in _shape(table).json & row.keys():
                row[column] = bounded(row[column])
        return found

    async def _wanted(
        self, connection: Connection, table: str, columns: Collection[str] | None
    ) -> tuple[str, ...]:
        shape = _shape(table)
        if columns is not None and not shape.host:
            return tuple(columns)
        present = await self._columns(connection, table)
        if columns is None:
            return (*sorted(present), *shape.people)
        return tuple(column for column in columns if column in present)

    async def _select_members(
        self, connection: Connection, ids: Collection[str]
    ) -> dict[str, Columns]:
        found: dict[str, dict[str, str]] = {}
        cursor = await connection.execute(statements.SELECT_MEMBERS, {"ids": list(ids)})
        async for organization, email, role in cursor:
            found.setdefault(organization, {})[email] = role
        return {organization: {"members": members} for organization, members in found.items()}

    async def find_row_ids(
        self, table: str, column: str, values: Collection[str]
    ) -> dict[str, str]:
        """Find rows by the value of one column; a value that several rows share is an error."""
        _shape(table)
        found: dict[str, str] = {}
        async with self._database.transaction() as connection:
            statement = statements.select_keys(table, column)
            cursor = await connection.execute(statement, {"values": list(values)})
            async for value, row_id in cursor:
                if value in found:
                    message = f'table "{table}" has several rows whose "{column}" is "{value}"'
                    raise ReconcilerError(message, hint="name the one that is meant by its id")
                found[value] = row_id
        return found

    async def user_id_for(self, email: str, *, now: datetime) -> str:
        """Find the user with this e-mail, or make one; raises ConfigError when the host forbids."""
        async with self._database.transaction() as connection:
            await self.prepare(connection, [RowWrite(table=USERS, row_id="", columns={})])
            await self._ensure_user(connection, email, now)
            cursor = await connection.execute(statements.SELECT_USER, {"email": email})
            row = await cursor.fetchone()
        assert row is not None
        return str(row[0])

    async def upsert_row(
        self,
        connection: Connection,
        table: str,
        row_id: str,
        columns: Mapping[str, Any],
        now: datetime,
    ) -> None:
        """Write one row inside a transaction of `Database.transaction`."""
        write = RowWrite(table=table, row_id=row_id, columns=columns)
        await self.write(connection, [write], now)

    async def delete_row(self, connection: Connection, table: str, row_id: str) -> None:
        """Delete one row inside a transaction of `Database.transaction`."""
        await self._delete(connection, RowDelete(table=table, row_id=row_id))

    async def write(self, connection: Connection, writes: Sequence[Write], now: datetime) -> None:
        """Carry out *writes* in order, inside a transaction and in one round trip.

        Raises ConfigError when a table wants a column that we don't know, ConflictError when a
        row like this is already there.
        """
        await self.prepare(connection, writes)
        async with connection.pipeline():
            await self.send(connection, writes, now)

    async def send(self, connection: Connection, writes: Sequence[Write], now: datetime) -> None:
        """Put *writes* into the caller's pipeline; `prepare` must have come before it."""
        for write in writes:
            if isinstance(write, RowDelete):
                await self._delete(connection, write)
            elif write.table == MEMBERSHIPS:
                await self._replace_members(connection, write, now)
            else:
                await self._upsert(connection, write, now)

    async def prepare(self, connection: Connection, writes: Sequence[Write]) -> None:
        """Look up what must be known before the pipeline starts: the host's columns."""
        for write in writes:
            shape = _shape(write.table)
            if shape.host or shape.people or write.table == MEMBERSHIPS:
                await self._columns(connection, USERS)
            if shape.host and isinstance(write, RowWrite):
                present = await self._columns(connection, write.table)
                for column in write.columns:
                    if column not in present:
                        message = f'the host\'s table "{write.table}" has no column "{column}"'
                        raise ConfigError(message, hint=f'add "{column}" to the table')

    async def _upsert(self, connection: Connection, write: RowWrite, now: datetime) -> None:
        shape = _shape(write.table)
        values: Columns = {"key": write.row_id, "now": now}
        for column, value in write.columns.items():
            if column in shape.people:
                await self._ensure_user(connection, value, now)
            wrapped = Jsonb(value) if column in shape.json and value is not None else value
            values[f"c_{column}"] = wrapped
        stamps = self._stamps(write.table, shape)
        statement = statements.upsert(write.table, tuple(write.columns), stamps, write.create)
        await connection.execute(statement, values)

    async def _ensure_user(self, connection: Connection, email: str, now: datetime) -> None:
        statement = statements.insert_user(self._stamps(USERS, SHAPES[USERS]))
        values = {"id": self._new_id(), "email": email, "now": now}
        await connection.execute(statement, values)

    async def _replace_members(
        self, connection: Connection, write: RowWrite, now: datetime
    ) -> None:
        members: Mapping[str, str] = write.columns["members"]
        for email in members:
            await self._ensure_user(connection, email, now)
        values = {"key": write.row_id, "emails": list(members), "roles": list(members.values())}
        await connection.execute(statements.REPLACE_MEMBERS, values)

    async def _delete(self, connection: Connection, write: RowDelete) -> None:
        of_members = write.table == MEMBERSHIPS
        statement = statements.DELETE_MEMBERS if of_members else statements.delete(write.table)
        await connection.execute(statement, {"key": write.row_id})

    def _stamps(self, table: str, shape: Shape) -> tuple[str, ...]:
        """Name the time columns that a write sets; a host's table may lack them."""
        stamps = tuple(name for name in (shape.created, shape.updated) if name)
        if not shape.host:
            return stamps
        return tuple(name for name in stamps if name in self._present[table])

    async def _columns(self, connection: Connection, table: str) -> frozenset[str]:
        if table not in self._present:
            schemas = sorted({shape.schema for shape in SHAPES.values()})
            cursor = await connection.execute(_COLUMNS, (schemas, list(SHAPES)))
            self._present |= {name: frozenset(columns) async for name, columns in cursor}
        return self._present.get(table, frozenset())


_MEMBERS_SHAPE = Shape(schema="reconciler", key="organization_id", created=None, updated=None)


def _shape(table: str) -> Shape:
    if table == MEMBERSHIPS:
        return _MEMBERS_SHAPE
    try:
        return SHAPES[table]
    except KeyError:
        message = f'table "{table}" is not one of ours to read or write'
        raise ReconcilerError(message) from None
