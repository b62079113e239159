"""Removes history that is old or too much, in small batches that hold nobody up.

Only what has ended: a queued or running execution is never touched, however old. Attempts go
with their execution. Not here: when it happens (`reconciler.runtime.retention`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciler.store.database import Database

_ENDED: Final = "status IN ('SUCCESS', 'FAILED', 'TIMEOUT', 'CANCELLED')"
_CUTOFF: Final = "(clock_timestamp() - make_interval(days => %(days)s))"

_OLD: Final[Mapping[str, str]] = {
    "workflow_executions": f"""
        DELETE FROM workflow_executions WHERE id = ANY(ARRAY(
            SELECT id FROM workflow_executions
            WHERE "completedAt" IS NOT NULL AND "completedAt" < {_CUTOFF} AT TIME ZONE 'UTC'
                AND {_ENDED}
            ORDER BY "completedAt" LIMIT %(batch)s FOR UPDATE SKIP LOCKED))
    """,
    "webhook_deliveries": f"""
        DELETE FROM reconciler.webhook_deliveries WHERE id = ANY(ARRAY(
            SELECT id FROM (
                SELECT id, received_at FROM reconciler.webhook_deliveries
                ORDER BY id LIMIT %(batch)s FOR UPDATE SKIP LOCKED) AS first
            WHERE received_at < {_CUTOFF}))
    """,
    "events": f"""
        DELETE FROM reconciler.events AS event USING (
            SELECT organization_id, id FROM reconciler.events
            WHERE dispatched_at IS NOT NULL AND dispatched_at < {_CUTOFF}
            ORDER BY dispatched_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED) AS old
        WHERE event.organization_id = old.organization_id AND event.id = old.id
    """,
}

# The newest M stay, whatever their status: an automation that is behind keeps its queue anyway.
_BEYOND: Final = f"""
DELETE FROM workflow_executions WHERE id = ANY(ARRAY(
    SELECT execution.id FROM (
        SELECT "createdAt", id FROM workflow_executions WHERE "automationId" = %(automation)s
        ORDER BY "createdAt" DESC, id DESC OFFSET %(keep)s LIMIT 1) AS first
    JOIN workflow_executions AS execution ON execution."automationId" = %(automation)s
        AND (execution."createdAt", execution.id) <= (first."createdAt", first.id)
    WHERE execution.{_ENDED}
    ORDER BY execution."createdAt", execution.id LIMIT %(batch)s
    FOR UPDATE OF execution SKIP LOCKED))
"""
_AUTOMATIONS: Final = "SELECT id FROM automations WHERE id > %(after)s ORDER BY id LIMIT 500"


class Retention:
    """Removes one batch at a time."""

    def __init__(self, database: Database, *, batch: int = 500) -> None:
        self._database = database
        self._batch = batch

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that grow old."""
        return tuple(_OLD)

    async def remove_old(self, table: str, days: int) -> int:
        """Remove up to a batch of rows that ended more than *days* ago; tell how many."""
        return await self._remove(_OLD[table], {"days": days})

    async def remove_beyond(self, automation_id: str, keep: int) -> int:
        """Remove up to a batch of the oldest beyond the newest *keep* of an automation."""
        return await self._remove(_BEYOND, {"automation": automation_id, "keep": keep})

    async def automations(self, after: str) -> list[str]:
        """Name the next automations, by id, behind *after*."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(_AUTOMATIONS, {"after": after})
            return [str(row[0]) for row in await cursor.fetchall()]

    @property
    def batch(self) -> int:
        """How many rows are removed at once, at most."""
        return self._batch

    async def _remove(self, statement: str, values: Mapping[str, Any]) -> int:
        async with self._database.transaction() as connection:
            cursor = await connection.execute(statement.encode(), {**values, "batch": self._batch})
            return cursor.rowcount
