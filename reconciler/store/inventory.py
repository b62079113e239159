"""The inventory: what we applied, and what we were about to apply when something went wrong.

An entry is written before the call to n8n (`intend`) and after it (`settle`),
each time in one commit together with the step of the operation and the seed's
rows. Not here: who decides what to write (`reconciler.engine`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeAlias

import psycopg
from psycopg.types.json import Jsonb

from reconciler.errors import ConflictError
from reconciler.plan.state import Recorded
from reconciler.resource.address import Address
from reconciler.resource.payload import Object
from reconciler.store import entries, holds, journal
from reconciler.store.database import Database
from reconciler.store.rows import Rows
from reconciler.store.writes import StepIntent, StepOutcome, Write

Cursor: TypeAlias = psycopg.AsyncCursor[tuple[Any, ...]]

_AT_ONCE = 100  # entries decoded before others get a turn
_PLAN_AGAIN = "somebody else was here: plan again"


class Inventory:
    """`reconciler.resources`; every method is one transaction."""

    def __init__(self, database: Database, *, new_id: Callable[[], str]) -> None:
        """Use *database*; *new_id* makes the ids of users that rows refer to."""
        self._database = database
        self.rows = Rows(database, new_id=new_id)

    async def load(self, organizations: Collection[str] | None = None) -> dict[Address, Recorded]:
        """Load all entries, tombstones included, in one SELECT; None means all organizations."""
        async with self._database.transaction() as connection:
            cursor = connection.cursor(binary=True)
            await cursor.execute(entries.LOAD, {"organizations": _listed(organizations)})
            found: dict[Address, Recorded] = {}
            while rows := await cursor.fetchmany(_AT_ONCE):
                found |= entries.read_all(rows)
                await asyncio.sleep(0)  # n8n's next page is asked for while we decode
            return found

    async def digests(self, organizations: Collection[str] | None = None) -> dict[Address, str]:
        """Load the digests of the payloads that were applied, without the payloads."""
        async with self._database.transaction() as connection:
            values = {"organizations": _listed(organizations)}
            cursor = await connection.execute(entries.DIGESTS, values)
            return {Address(*row[:3]): row[3] async for row in cursor}

    async def intend(self, recorded: Recorded, step: StepIntent | None = None) -> None:
        """Write down what is about to be tried, before it is tried.

        The payload that was applied last stays as it is. Raises ConflictError when the address
        is recorded with another row id: another machine was first.
        """
        if step is None:
            await self.intend_all([(recorded, None)])
            return
        values = {**entries.values(recorded), **journal.intent_values(step)}
        rows = await self._database.execute(entries.INTEND_STEP, values)
        _require_same(rows[0][0], recorded.address)

    async def intend_all(self, intents: Sequence[tuple[Recorded, StepIntent | None]]) -> None:
        """Do the same for several entries in one commit."""
        async with self._database.transaction() as connection, _same_ids() as written:
            async with connection.pipeline():
                for recorded, step in intents:
                    cursor = await connection.execute(entries.INTEND, entries.values(recorded))
                    written.append((recorded.address, cursor))
                    if step is not None:
                        await connection.execute(journal.INTENDED, journal.intent_values(step))

    async def distrust(self, addresses: Sequence[Address]) -> None:
        """Forget the version marks of entries; nothing else of them is touched."""
        values = {
            "organizations": [address.organization for address in addresses],
            "kinds": [address.kind for address in addresses],
            "names": [address.name for address in addresses],
        }
        await self._database.execute(entries.DISTRUST, values)

    async def object_created(self, address: Address, object_id: str) -> None:
        """Remember the id that n8n gave, at once and before anything else happens."""
        values = {**entries.key(address), "object_id": object_id}
        rows = await self._database.execute(entries.OBJECT_CREATED, values)
        _require(len(rows), address)

    async def settle(
        self,
        recorded: Recorded,
        writes: Sequence[Write] = (),
        outcome: StepOutcome | None = None,
        *,
        now: datetime,
    ) -> None:
        """Record the outcome of a step: rows, entry and step in one commit.

        Raises ConflictError like `intend`, and what `Rows.write` raises.
        """
        async with self._database.transaction() as connection, _same_ids() as written:
            await self.rows.prepare(connection, writes)
            async with connection.pipeline():
                await self.rows.send(connection, writes, now)
                values = {**entries.values(recorded), "now": now}
                cursor = await connection.execute(entries.SETTLE, values)
                written.append((recorded.address, cursor))
                await journal.conclude(connection, outcome)

    async def settle_all(self, entries_: Sequence[Recorded], *, now: datetime) -> None:
        """Bring several entries up to date in one commit; nothing else changes."""
        async with self._database.transaction() as connection, _same_ids() as written:
            async with connection.pipeline():
                for recorded in entries_:
                    values = {**entries.values(recorded), "now": now}
                    cursor = await connection.execute(entries.SETTLE, values)
                    written.append((recorded.address, cursor))

    async def move(
        self,
        old: Address,
        new: Address,
        others: Sequence[Recorded] = (),
        step: StepIntent | None = None,
        *,
        now: datetime,
    ) -> None:
        """Give an entry a new address, ids and all, and rewrite the *others* that refer to it.

        The *step* is done with it: nothing else is. Holds of the resource hold it by its new name.
        Raises ConflictError when the new address is taken.
        """
        async with self._database.transaction() as connection, _same_ids() as written:
            values = {**entries.key(old), "new_name": new.name, "now": now}
            values |= {"new_organization": new.organization, "new_kind": new.kind}
            cursor = await connection.execute(entries.MOVE, values)
            _require(cursor.rowcount, old)
            await connection.execute(holds.FOLLOW, values)
            if step is not None:
                await connection.execute(journal.INTENDED, journal.intent_values(step))
                done = StepOutcome(operation=step.operation, ordinal=step.ordinal)
                await journal.conclude(connection, done)
            for other in others:
                rewritten = {**entries.values(other), "now": now}
                cursor = await connection.execute(entries.SETTLE, rewritten)
                written.append((other.address, cursor))

    async def set_conditions(self, address: Address, conditions: Sequence[Object]) -> None:
        """Replace the conditions that `status` shows for an entry."""
        async with self._database.transaction() as connection:
            values = {**entries.key(address), "conditions": Jsonb(list(conditions))}
            cursor = await connection.execute(entries.SET_CONDITIONS, values)
            _require(cursor.rowcount, address)

    async def conditions(
        self, organizations: Collection[str] | None = None
    ) -> dict[Address, list[Object]]:
        """Load the conditions of all entries that have any."""
        async with self._database.transaction() as connection:
            values = {"organizations": _listed(organizations)}
            cursor = await connection.execute(entries.CONDITIONS, values)
            return {Address(*row[:3]): row[3] async for row in cursor}


@asynccontextmanager
async def _same_ids() -> AsyncIterator[list[tuple[Address, Cursor]]]:
    """Check afterwards, when the pipeline has its answers, that each entry kept its row id."""
    written: list[tuple[Address, Cursor]] = []
    yield written
    for address, cursor in written:
        _require_same(cursor.rowcount, address)


def _require_same(count: int, address: Address) -> None:
    if count != 1:
        message = f"{address} is recorded with another id: another machine was first"
        raise ConflictError(message, hint=_PLAN_AGAIN)


def _listed(organizations: Collection[str] | None) -> list[str] | None:
    return None if organizations is None else list(organizations)


def _require(count: int, address: Address) -> None:
    if count != 1:
        raise ConflictError(f"{address} is no longer recorded", hint=_PLAN_AGAIN)
