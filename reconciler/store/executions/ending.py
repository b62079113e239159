"""Runs that end without having run: cancelled, too late, or of an automation that is off.

A run that a worker has is only flagged; its worker stops it. None of these count
as executed. Not here: how a run ends that was begun.
"""

from __future__ import annotations

import enum

from reconciler.store.database import Database
from reconciler.store.executions.claim import HEADS, WAITS

_NOW = "(clock_timestamp() AT TIME ZONE 'UTC')"
_BATCH = 1000
_MOST = 5  # batches at a time: who calls has leases to prolong


class Cancelled(enum.StrEnum):
    """What became of a wish to cancel."""

    DONE = "cancelled"  # it had not begun, and never will
    ASKED = "asked"  # its worker stops it
    ENDED = "ended"  # too late
    UNKNOWN = "unknown"  # no such execution in this organization


_CANCEL = f"""
WITH found AS MATERIALIZED (
    SELECT e.id, e.status FROM workflow_executions AS e
    WHERE e.id = %(id)s AND (%(organization)s::text IS NULL OR e."orgId" = %(organization)s)
    FOR NO KEY UPDATE
), ended AS (
    UPDATE workflow_executions AS e SET status = 'CANCELLED', "completedAt" = {_NOW},
        "cancelRequestedAt" = {_NOW}, "updatedAt" = {_NOW}, "errorMessage" = 'cancelled'
    FROM found AS f WHERE e.id = f.id AND f.status = 'QUEUED'
), asked AS (
    UPDATE workflow_executions AS e
    SET "cancelRequestedAt" = COALESCE(e."cancelRequestedAt", {_NOW}), "updatedAt" = {_NOW}
    FROM found AS f WHERE e.id = f.id AND f.status = 'RUNNING'
)
SELECT CASE status WHEN 'QUEUED' THEN 'cancelled' WHEN 'RUNNING' THEN 'asked' ELSE 'ended' END
FROM found
""".encode()

# A run that waits for its next attempt has begun; one that was put back unspent has not.
_LATE = f"""
UPDATE workflow_executions SET status = 'CANCELLED', "completedAt" = {_NOW},
    "updatedAt" = {_NOW}, "errorMessage" = 'waited longer than its queue deadline'
WHERE id = ANY(ARRAY(
    SELECT id FROM workflow_executions
    WHERE status = 'QUEUED' AND attempt = 0
        AND "queueDeadline" < (statement_timestamp() AT TIME ZONE 'UTC')
    ORDER BY "queueDeadline" LIMIT {_BATCH} FOR UPDATE SKIP LOCKED
)) AND status = 'QUEUED' RETURNING id
""".encode()

_OFF = f"""
WITH RECURSIVE {HEADS}
UPDATE workflow_executions SET status = 'CANCELLED', "completedAt" = {_NOW},
    "updatedAt" = {_NOW}, "errorMessage" = 'its automation was switched off'
WHERE id = ANY(ARRAY(
    SELECT e.id FROM heads AS h JOIN automations AS a ON a.id = h.id AND NOT a."isActive"
    JOIN workflow_executions AS e ON e."automationId" = a.id AND {WAITS}
    LIMIT {_BATCH} FOR UPDATE OF e SKIP LOCKED
)) AND status = 'QUEUED' RETURNING id
""".encode()


async def cancel(database: Database, organization_id: str | None, id_: str) -> Cancelled:
    """Cancel a run that waits, or ask for the end of one that runs; None: in any organization."""
    values = {"organization": organization_id, "id": id_}
    rows = await database.execute(_CANCEL, values, prepare=True)
    return Cancelled(rows[0][0]) if rows else Cancelled.UNKNOWN


async def expire(database: Database) -> int:
    """Cancel what waited past its deadline or waits for an automation that is off.

    Some thousands of each at most: the rest goes next time.
    """
    ended = 0
    for statement in (_LATE, _OFF):
        for _ in range(_MOST):
            rows = await database.execute(statement, {}, prepare=True)
            ended += len(rows)
            if len(rows) < _BATCH:
                break
    return ended
