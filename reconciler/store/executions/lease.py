"""What a worker says about the rows it owns while they run. Not here: how they end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.store.database import Database

_NOW = "(statement_timestamp() AT TIME ZONE 'UTC')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a heartbeat found: the rows that are still the worker's, and those to be stopped."""

    alive: frozenset[str] = frozenset()
    cancelled: frozenset[str] = frozenset()


# Rows of a worker, locked by id: whoever locks several of them does it in this order.
OWNED = """ARRAY(
        SELECT d.id FROM workflow_executions AS d
        WHERE d.id = ANY(%(ids)s) AND d."leaseOwner" = %(worker)s ORDER BY d.id FOR NO KEY UPDATE
    )"""

# Locked by id, as completions lock them: otherwise the two could wait for each other.
_BEAT = f"""
UPDATE workflow_executions
SET "leaseExpiresAt" = {_NOW} + make_interval(secs => %(lease)s)
WHERE id = ANY(ARRAY(
    SELECT id FROM workflow_executions
    WHERE status = 'RUNNING' AND "leaseOwner" = %(worker)s ORDER BY id FOR NO KEY UPDATE
))
RETURNING id, "cancelRequestedAt" IS NOT NULL
""".encode()

_STARTED = f"""
UPDATE workflow_executions AS e SET "n8nExecutionId" = v.run, "updatedAt" = {_NOW}
FROM unnest(%(ids)s::text[], %(attempts)s::smallint[], %(runs)s::text[])
    AS v(id, attempt, run)
WHERE e.id = ANY({OWNED}) AND e.id = v.id AND e.attempt = v.attempt
    AND e."leaseOwner" = %(worker)s
""".encode()

_RELEASE = f"""
UPDATE workflow_executions
SET "leaseOwner" = NULL, "leaseExpiresAt" = {_NOW} - interval '1 second', "updatedAt" = {_NOW}
WHERE id = ANY({OWNED}) AND "leaseOwner" = %(worker)s
""".encode()


async def beat(database: Database, worker: str, lease: float) -> Beat:
    """Prolong the leases of all rows of *worker* by *lease* seconds from now."""
    rows = await database.execute(_BEAT, {"worker": worker, "lease": lease}, prepare=True)
    return Beat(
        alive=frozenset(row[0] for row in rows),
        cancelled=frozenset(row[0] for row in rows if row[1]),
    )


async def note_started(
    database: Database, worker: str, started: Sequence[tuple[str, int, str]]
) -> None:
    """Record which run of n8n each (id, attempt, n8n's execution id) became."""
    if not started:
        return
    values = {
        "worker": worker,
        "ids": [id_ for id_, _, _ in started],
        "attempts": [attempt for _, attempt, _ in started],
        "runs": [run for _, _, run in started],
    }
    await database.execute(_STARTED, values, prepare=True)


async def release(database: Database, worker: str, ids: Sequence[str]) -> None:
    """Give rows away, with the attempt that runs: anyone may take them over at once."""
    if ids:
        await database.execute(_RELEASE, {"worker": worker, "ids": list(ids)})
