"""Old executions go, some at a time, so that nobody waits for it. Not here: how old is old."""

from __future__ import annotations

from reconciler.store.database import Database

# What ended long ago was made before that: the index on "createdAt" finds it.
_LONG_AGO = "(statement_timestamp() AT TIME ZONE 'UTC') - make_interval(days => %(days)s)"
_OLD = f"""
DELETE FROM workflow_executions WHERE id = ANY(ARRAY(
    SELECT id FROM workflow_executions
    WHERE "createdAt" < {_LONG_AGO} AND "completedAt" < {_LONG_AGO}
        AND status NOT IN ('QUEUED', 'RUNNING')
    ORDER BY "createdAt" LIMIT %(batch)s FOR UPDATE SKIP LOCKED
)) RETURNING id
""".encode()

_LARGE = b"""
SELECT a.id, e."createdAt", e.id FROM automations AS a CROSS JOIN LATERAL (
    SELECT x."createdAt", x.id FROM workflow_executions AS x
    WHERE x."automationId" = a.id AND x.status NOT IN ('QUEUED', 'RUNNING')
    ORDER BY x."createdAt" DESC, x.id DESC OFFSET %(keep)s LIMIT 1
) AS e
"""

# Rows of one statement are of the same time: their ids decide.
_BEYOND = b"""
DELETE FROM workflow_executions WHERE id = ANY(ARRAY(
    SELECT id FROM workflow_executions
    WHERE "automationId" = %(automation)s
        AND ("createdAt", id) <= (%(newest)s::timestamptz AT TIME ZONE 'UTC', %(id)s)
        AND status NOT IN ('QUEUED', 'RUNNING')
    ORDER BY "createdAt", id LIMIT %(batch)s FOR UPDATE SKIP LOCKED
)) RETURNING id
"""


async def prune(
    database: Database, *, days: int | None, keep: int | None, batch: int, most: int
) -> int:
    """Delete executions that ended more than *days* ago or are beyond *keep* of an automation.

    Each *batch* is a commit of its own; after *most* rows the rest waits for the next time.
    """
    deleted = 0
    if days is not None:
        deleted += await _batches(database, _OLD, {"days": days}, batch, most)
    if keep is not None and deleted < most:
        for automation, newest, id_ in await database.execute(_LARGE, {"keep": keep}):
            if deleted < most:
                values = {"automation": automation, "newest": newest, "id": id_}
                deleted += await _batches(database, _BEYOND, values, batch, most - deleted)
    return deleted


async def _batches(
    database: Database, statement: bytes, values: dict[str, object], batch: int, most: int
) -> int:
    deleted = 0
    while deleted < most:
        size = min(batch, most - deleted)
        rows = await database.execute(statement, {**values, "batch": size})
        deleted += len(rows)
        if len(rows) < size:
            break
    return deleted
