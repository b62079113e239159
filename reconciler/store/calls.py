"""API calls that ask for a run: let in within the same rate window as the automation's webhooks.

One transaction: the window is locked, a known key takes no place in it, then the row is inserted.
Not here: webhooks, which are taken in many at a time (`reconciler.store.deliveries`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from reconciler.errors import ConflictError
from reconciler.store.database import Connection, Database
from reconciler.store.events import Inserting
from reconciler.store.executions.repeat import repeats
from reconciler.trigger.execution import Accepted, NewExecution, Status
from reconciler.trigger.rate import Taken, Window, take

_ATTEMPTS: Final = 4
_EQUIP = b"""
INSERT INTO reconciler.webhook_rates (automation_id)
SELECT id FROM automations WHERE id = %(id)s ON CONFLICT DO NOTHING
"""
_LOCK = b"""
SELECT slot, slot_seconds, counts, extract(epoch FROM clock_timestamp())::float8
FROM reconciler.webhook_rates WHERE automation_id = %(id)s FOR UPDATE
"""
# A statement of its own, after the lock: it sees what another daemon committed before it let go.
_KNOWN = b"""
SELECT id, status::text, extract(epoch FROM clock_timestamp())::float8 FROM (SELECT 1) AS one
LEFT JOIN workflow_executions ON "automationId" = %(id)s AND "idempotencyKey" = %(key)s
"""
_KEEP = b"""
UPDATE reconciler.webhook_rates
SET slot = %(slot)s, slot_seconds = %(size)s, counts = %(counts)s
WHERE automation_id = %(id)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """What became of a call; *accepted* None: there were too many."""

    accepted: Accepted | None
    retry_after: float = 0.0  # seconds
    repeated: bool = True  # False: the key is known, and was for another input or trigger


class Calls:
    """Takes API calls in."""

    def __init__(self, database: Database, executions: Inserting) -> None:
        self._database = database
        self._executions = executions

    async def accept(self, new: NewExecution, limit: int, period: float) -> Called:
        """Ask for a run, at most *limit* in any *period* (seconds).

        Raises ConflictError when others were in the way again and again.
        """
        called = await self._persist(new, limit, period)
        first = called.accepted
        if first is None or first.fresh or first.id is None:
            return called
        return replace(called, repeated=await repeats(self._database, first.id, new))

    async def _persist(self, new: NewExecution, limit: int, period: float) -> Called:
        for _ in range(_ATTEMPTS - 1):
            with suppress(ConflictError):  # nothing was written
                return await self._accept(new, limit, period)
        return await self._accept(new, limit, period)

    async def _accept(self, new: NewExecution, limit: int, period: float) -> Called:
        async with self._database.transaction() as connection:
            await connection.execute(_EQUIP, {"id": new.automation_id})
            known, taken = await _look(connection, new, limit, period)
            if known is not None:
                return Called(accepted=known)
            if taken is not None and not taken.granted:
                return Called(accepted=None, retry_after=taken.retry_after)
            [accepted] = await self._executions.insert([new], connection)
            if accepted.fresh and taken is not None:
                window = taken.window
                values = {"slot": window.slot, "size": window.slot_seconds}
                counts = {"counts": list(window.counts), "id": new.automation_id}
                await connection.execute(_KEEP, {**values, **counts})
            return Called(accepted=accepted)


async def _look(
    connection: Connection, new: NewExecution, limit: int, period: float
) -> tuple[Accepted | None, Taken | None]:
    """Lock the window; give the first execution with this key, or a place (None: no automation)."""
    cursor = await connection.execute(_LOCK, {"id": new.automation_id})
    row = await cursor.fetchone()
    if row is None:
        return None, None
    key = {"id": new.automation_id, "key": new.idempotency_key}
    cursor = await connection.execute(_KNOWN, key)
    found = await cursor.fetchone()
    assert found is not None
    if found[0] is not None:
        return Accepted(id=found[0], status=Status(found[1])), None
    window = Window(slot=row[0], slot_seconds=row[1], counts=tuple(row[2]))
    return None, take(window, 1, limit=limit, seconds=period, now=found[2])
