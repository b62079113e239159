"""Events as they are remembered: what was sent, by whom, and what became of it.

Not here: sending and dispatching (`reconciler.store.events`).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconciler.resource.payload import Json
from reconciler.store.database import Database

_COLUMNS = """
SELECT e.organization_id, coalesce(r.name, o.name), e.id, e.type, e.created_at, e.dispatched_at,
       e.due_at, e.attempts, e.executions, e.error, e.sent_by, {data}
FROM reconciler.events e
JOIN public.organization o ON o.id = e.organization_id
LEFT JOIN reconciler.resources r ON r.row_id = o.id AND r.kind = 'Organization'
"""
_STATES = {
    "waiting": "e.dispatched_at IS NULL",
    "dispatched": "e.dispatched_at IS NOT NULL AND e.error IS NULL",
    "failed": "e.dispatched_at IS NOT NULL AND e.error IS NOT NULL",
}
_LIST = (
    _COLUMNS.format(data="NULL")
    + """
WHERE (%(organization)s::text IS NULL OR e.organization_id = %(organization)s)
  AND (%(type)s::text IS NULL OR e.type = %(type)s)
  AND ({state})
  AND (%(before)s::timestamptz IS NULL OR (e.created_at, e.id) < (%(before)s, %(before_id)s))
ORDER BY e.created_at DESC, e.id DESC LIMIT %(limit)s
"""
)
_GET = (
    _COLUMNS.format(data="CASE WHEN octet_length(e.data::text) <= 1048576 THEN e.data END")
    + """
WHERE e.id = %(id)s AND (%(organization)s::text IS NULL OR e.organization_id = %(organization)s)
ORDER BY e.created_at DESC LIMIT 1
"""
)
_RETRY = b"""
UPDATE reconciler.events SET dispatched_at = NULL, due_at = clock_timestamp(), error = NULL
WHERE organization_id = %(organization)s AND id = %(id)s
"""
_PRUNE = b"""
DELETE FROM reconciler.events e USING (
    SELECT organization_id, id FROM reconciler.events
    WHERE dispatched_at < clock_timestamp() - make_interval(secs => %(seconds)s)
    ORDER BY dispatched_at LIMIT %(limit)s
) AS old
WHERE e.organization_id = old.organization_id AND e.id = old.id
RETURNING 1
"""


class EventState(enum.StrEnum):
    """What became of an event."""

    WAITING = "waiting"  # for the dispatcher, or for room in a queue
    DISPATCHED = "dispatched"
    FAILED = "failed"  # dispatched as far as it could be: its error says what could not


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """An event; *organization* is its name in the specs, *data* only when one is asked for."""

    organization_id: str
    organization: str
    id: str
    type: str
    created_at: datetime
    dispatched_at: datetime | None
    due_at: datetime
    attempts: int
    executions: int
    error: str | None
    sent_by: str | None
    data: Json = None

    @property
    def state(self) -> EventState:
        """What became of it."""
        if self.dispatched_at is None:
            return EventState.WAITING
        return EventState.DISPATCHED if self.error is None else EventState.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events to list; *before* is where the page before ended: creation and id."""

    organization_id: str | None = None
    type: str | None = None
    state: EventState | None = None
    before: tuple[datetime, str] | None = None
    limit: int = 50


class EventRecords:
    """Reads the table of events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: EventFilter) -> list[EventRecord]:
        """List events, newest first."""
        values = {
            "organization": wanted.organization_id,
            "type": wanted.type,
            "before": wanted.before and wanted.before[0],
            "before_id": wanted.before and wanted.before[1],
            "limit": wanted.limit,
        }
        state = "true" if wanted.state is None else _STATES[wanted.state]
        return [_record(row) for row in await self._rows(_LIST.format(state=state), values)]

    async def get(self, organization_id: str | None, id_: str) -> EventRecord | None:
        """Read one event with its data (unless they are too large to be dispatched)."""
        rows = await self._rows(_GET, {"organization": organization_id, "id": id_})
        return _record(rows[0]) if rows else None

    async def again(self, organization_id: str, id_: str) -> None:
        """Have an event dispatched again; what it started already is not started twice."""
        values = {"organization": organization_id, "id": id_}
        await self._database.execute(_RETRY, values)

    async def prune(self, seconds: float, limit: int) -> int:
        """Delete up to *limit* events that were dispatched longer ago than *seconds*."""
        values = {"seconds": seconds, "limit": limit}
        return len(await self._database.execute(_PRUNE, values))

    async def _rows(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        async with self._database.transaction() as connection:
            cursor = await connection.execute(statement.encode(), values)
            return await cursor.fetchall()


def _record(row: tuple[Any, ...]) -> EventRecord:
    return EventRecord(
        organization_id=row[0],
        organization=row[1],
        id=row[2],
        type=row[3],
        created_at=row[4],
        dispatched_at=row[5],
        due_at=row[6],
        attempts=row[7],
        executions=row[8],
        error=row[9],
        sent_by=row[10],
        data=row[11],
    )
