"""The number of running rows of each automation, corrected where somebody else changed rows.

Our own statements keep it right; an UPDATE by hand of a running row would block
its automation for ever. Safe beside claims and completions: a claim locks the number
before it commits its rows, a completion commits both together, and we count after we
got that lock. Not here: the other counters, they are history.
"""

from __future__ import annotations

from reconciler.store.database import Database

_SUSPECTS = b"""
SELECT r.automation_id FROM reconciler.automation_runtime AS r
FULL JOIN (
    SELECT "automationId" AS id, count(*) AS running FROM workflow_executions
    WHERE status = 'RUNNING' AND "leaseExpiresAt" IS NOT NULL GROUP BY 1
) AS e ON e.id = r.automation_id
WHERE r.running <> COALESCE(e.running, 0) ORDER BY 1
"""
_LOCK = b"SELECT FROM reconciler.automation_runtime WHERE automation_id = %(id)s FOR UPDATE"
_CORRECT = b"""
UPDATE reconciler.automation_runtime AS r SET running = e.running
FROM (
    SELECT count(*) AS running FROM workflow_executions
    WHERE "automationId" = %(id)s AND status = 'RUNNING' AND "leaseExpiresAt" IS NOT NULL
) AS e
WHERE r.automation_id = %(id)s AND r.running <> e.running RETURNING r.automation_id
"""


async def recount(database: Database) -> list[str]:
    """Correct each wrong number under its lock; gives the automations that had one."""
    corrected = []
    for (suspect,) in await database.execute(_SUSPECTS, {}):
        async with database.transaction() as connection:
            await connection.execute(_LOCK, {"id": suspect})
            cursor = await connection.execute(_CORRECT, {"id": suspect})
            corrected += [row[0] for row in await cursor.fetchall()]
    return corrected
