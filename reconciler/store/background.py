"""What lies behind the state of a resource or an execution, for `why` and `status`.

Not here: what it means (`reconciler.engine.why`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconciler.resource.address import Address
from reconciler.resource.payload import Object
from reconciler.store.database import Database
from reconciler.store.executions.claim import DEFAULT_CONCURRENCY
from reconciler.store.operations import StepRecord, read_steps

_NOW = b"SELECT clock_timestamp()"
_KNOWN = b"""
SELECT organization, kind, name, row_id, object_id, revision, applied_at, removed_at, conditions
FROM reconciler.resources
WHERE organization = %(organization)s AND kind = %(kind)s AND name = %(name)s
"""
_ADDRESS = b"""
SELECT organization, kind, name FROM reconciler.resources WHERE row_id = %(id)s
"""
_STEPS = b"""
SELECT operation_id, ordinal, organization, kind, name, action, reason, intended_at, finished_at,
       outcome, error
FROM reconciler.operation_steps
WHERE organization = %(organization)s AND kind = %(kind)s AND name = %(name)s
ORDER BY intended_at DESC LIMIT 5
"""
_RUNTIME = f"""
SELECT a."isActive", coalesce(r.running, 0), coalesce(r.max_concurrency, {DEFAULT_CONCURRENCY}),
       coalesce(r.breaker, 'CLOSED'), r.breaker_until, coalesce(r.consecutive_failures, 0),
       coalesce(r.open_count, 0), a."executionCount", a."successCount", a."failureCount",
       a."avgExecutionTime",
       (SELECT count(*) FROM workflow_executions e
        WHERE e."automationId" = a.id AND e.status = 'QUEUED'),
       (SELECT count(*) FROM workflow_executions e
        WHERE e."automationId" = a.id AND e.status = 'QUEUED' AND (e.priority, e."runAt", e.id) < (
            SELECT o.priority, o."runAt", o.id FROM workflow_executions o
            WHERE o.id = %(execution)s))
FROM automations a LEFT JOIN reconciler.automation_runtime r ON r.automation_id = a.id
WHERE a.id = %(id)s
""".encode()
_PAUSED = b"""
SELECT s.organization, s.kind, s.name, CASE r.breaker WHEN 'OPEN' THEN r.breaker_until END
FROM reconciler.automation_runtime r
JOIN reconciler.resources s ON s.row_id = r.automation_id AND s.kind = 'Automation'
WHERE r.breaker <> 'CLOSED' AND s.removed_at IS NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A resource as the inventory has it."""

    address: Address
    row_id: str
    object_id: str | None
    revision: str | None
    applied_at: datetime | None
    removed_at: datetime | None
    conditions: Sequence[Object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """An automation as the runtime has it; *ahead*: what waits before a certain execution."""

    active: bool
    running: int
    concurrency: int
    breaker: str
    breaker_until: datetime | None
    failures_in_a_row: int
    openings: int
    executions: int
    successes: int
    failures: int
    average_milliseconds: float | None
    queued: int
    ahead: int


class Background:
    """Reads it; the times are the database's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def now(self) -> datetime:
        """Tell the time of the database."""
        [row] = await self._rows(_NOW, {})
        moment: datetime = row[0]
        return moment

    async def known(self, address: Address) -> Known | None:
        """Look a resource up in the inventory."""
        rows = await self._rows(_KNOWN, _named(address))
        if not rows:
            return None
        row = rows[0]
        return Known(
            address=Address(*row[:3]),
            row_id=row[3],
            object_id=row[4],
            revision=row[5],
            applied_at=row[6],
            removed_at=row[7],
            conditions=row[8],
        )

    async def address(self, row_id: str) -> Address | None:
        """Tell which resource a row belongs to."""
        rows = await self._rows(_ADDRESS, {"id": row_id})
        return Address(*rows[0]) if rows else None

    async def steps(self, address: Address) -> list[StepRecord]:
        """Read what was done to a resource last, newest first."""
        return read_steps(await self._rows(_STEPS, _named(address)))

    async def runtime(self, automation_id: str, execution: str | None = None) -> Runtime | None:
        """Read how an automation runs."""
        rows = await self._rows(_RUNTIME, {"id": automation_id, "execution": execution})
        if not rows:
            return None
        row = rows[0]
        return Runtime(
            active=row[0],
            running=row[1],
            concurrency=row[2],
            breaker=row[3],
            breaker_until=row[4],
            failures_in_a_row=row[5],
            openings=row[6],
            executions=row[7],
            successes=row[8],
            failures=row[9],
            average_milliseconds=row[10],
            queued=row[11],
            ahead=row[12],
        )

    async def paused(self) -> dict[Address, datetime | None]:
        """List the automations whose breaker is not closed, with the end of the pause if known."""
        return {Address(*row[:3]): row[3] for row in await self._rows(_PAUSED, {})}

    async def _rows(self, statement: bytes, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        async with self._database.transaction() as connection:
            cursor = await connection.execute(statement, values)
            return await cursor.fetchall()


def _named(address: Address) -> dict[str, str]:
    return {
        "organization": address.organization,
        "kind": address.kind,
        "name": address.name,
    }
