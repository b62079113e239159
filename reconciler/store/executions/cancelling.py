"""Cancelling all executions that filters choose, in batches: what a backlog of thousands needs.

Not here: cancelling one by its id, and what ends by itself (`reconciler.store.executions.ending`).
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Iterable
from typing import Any

from reconciler.errors import ConflictError
from reconciler.store.database import Database
from reconciler.store.executions import read
from reconciler.store.executions.read import Filters

_NOW = "(clock_timestamp() AT TIME ZONE 'UTC')"
_BATCH = 1000  # rows of one transaction: a claim that wants one of them waits no longer than that
_PATIENCE = 10.0  # seconds that a row may be locked by somebody else
_PAUSE = 0.05  # seconds between two looks at rows that somebody has locked


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """How many executions wait, and how many run whose end nobody has asked for yet."""

    queued: int = 0
    running: int = 0

    def __add__(self, other: Open) -> Open:
        """Add up two of them."""
        return Open(queued=self.queued + other.queued, running=self.running + other.running)

    @property
    def total(self) -> int:
        """Both."""
        return self.queued + self.running


async def count(database: Database, filters: Filters) -> Open:
    """Count what `cancel_all` would cancel now."""
    where, values = _open(filters)
    statement = f"SELECT e.status::text, count(*) FROM {where} GROUP BY e.status"
    return _tally(await database.execute(statement.encode(), values))


async def cancel_all(database: Database, filters: Filters) -> Open:
    """Cancel what waits and ask for the end of what runs; gives how many it were of each.

    What is asked for after the beginning is left alone, or an inflow could keep this busy for ever.
    Raises ConflictError when somebody keeps rows locked; those before are cancelled then.
    """
    [(now,)] = await database.execute(b"SELECT clock_timestamp()", {})
    until = now if filters.until is None else min(now, filters.until)
    where, values = _open(dataclasses.replace(filters, until=until))
    statement, left = _cancelling(where), f"SELECT count(*) FROM {where}".encode()
    done, patient_until = Open(), time.monotonic() + _PATIENCE
    while True:
        batch = _tally(await database.execute(statement, values))
        if batch.total:
            done += batch
            patient_until = time.monotonic() + _PATIENCE
            continue
        [(locked,)] = await database.execute(left, values)
        if not locked:
            return done
        if time.monotonic() > patient_until:
            message = f"{done.total} were cancelled, {locked} are locked by another session"
            raise ConflictError(message, hint="try again")
        await asyncio.sleep(_PAUSE)


def _cancelling(where: str) -> bytes:
    """Write the statement for a batch; it waits for nobody's locks, so it can't deadlock."""
    return f"""
        WITH found AS MATERIALIZED (
            SELECT e.id, e.status FROM {where} LIMIT {_BATCH} FOR NO KEY UPDATE OF e SKIP LOCKED
        ), ended AS (
            UPDATE workflow_executions AS e SET status = 'CANCELLED', "completedAt" = {_NOW},
                "cancelRequestedAt" = {_NOW}, "updatedAt" = {_NOW}, "errorMessage" = 'cancelled'
            FROM found AS f WHERE e.id = f.id AND f.status = 'QUEUED'
        ), asked AS (
            UPDATE workflow_executions AS e SET "cancelRequestedAt" = {_NOW}, "updatedAt" = {_NOW}
            FROM found AS f WHERE e.id = f.id AND f.status = 'RUNNING'
        )
        SELECT status::text, count(*) FROM found GROUP BY status
    """.encode()


def _open(filters: Filters) -> tuple[str, dict[str, Any]]:
    asked, values = read.conditions(filters)
    still = [
        "e.status IN ('QUEUED', 'RUNNING')",
        "(e.status = 'QUEUED' OR e.\"cancelRequestedAt\" IS NULL)",
    ]
    return f"workflow_executions AS e WHERE {' AND '.join([*still, *asked])}", values


def _tally(rows: Iterable[tuple[Any, ...]]) -> Open:
    counted = {row[0]: row[1] for row in rows}
    return Open(queued=counted.get("QUEUED", 0), running=counted.get("RUNNING", 0))
