"""Runs that are asked for become rows, each key once. Not here: who may ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from reconciler.store.database import Connection
from reconciler.store.executions.claim import WAITS
from reconciler.store.executions.encoding import clean, encode, encode_clean
from reconciler.trigger.execution import Accepted, NewExecution, Refusal, Status

DEFAULT_MAX_QUEUED: Final = 100_000
DEFAULT_TIMEOUT: Final = 300  # seconds
DEFAULT_RETRIES: Final = 3

# statement_timestamp(): the database's clock, and stable enough for an index. Cut, not rounded:
# a row that is due now must not be due in half a millisecond.
# As the columns keep it: in milliseconds.
NOW: Final = "date_trunc('milliseconds', statement_timestamp() AT TIME ZONE 'UTC')"

# Of `checked` (automation, room, refusal): how many wait already, counted no further than the room.
CROWD: Final = f"""crowd AS MATERIALIZED (
    SELECT c.automation, (
        SELECT count(*) FROM (
            SELECT FROM workflow_executions AS e
            WHERE e."automationId" = c.automation AND {WAITS} LIMIT c.room
        ) AS waiting
    ) AS waiting
    FROM (SELECT DISTINCT automation, room FROM checked WHERE refusal IS NULL) AS c
)"""

# The data goes as one array of JSON: as an array of texts, each quote would be escaped once more.
_INSERT = f"""
WITH asked AS MATERIALIZED (
    SELECT * FROM ROWS FROM (
        unnest(
            %(ids)s::text[], %(automations)s::text[], %(causes)s::text[], %(triggers)s::text[],
            %(keys)s::text[], %(scheduled)s::timestamptz[], %(run_at)s::timestamptz[],
            %(priorities)s::smallint[], %(retry_of)s::text[], %(methods)s::text[],
            %(metadata)s::text[]
        ), jsonb_array_elements(%(data)s::jsonb)
    ) WITH ORDINALITY AS v(
        id, automation, cause, trigger, key, scheduled, run_at, priority, retry_of, method,
        metadata, data, place)
), checked AS MATERIALIZED (
    SELECT v.*, a."orgId" AS organization, r.automation_id IS NULL AS bare, s.revision,
        r.timeout_seconds, r.max_retries, r.queue_deadline_seconds,
        COALESCE(r.max_queued, {DEFAULT_MAX_QUEUED}) AS room,
        CASE
            WHEN a.id IS NULL OR (v.trigger IS NOT NULL AND t.id IS NULL) THEN 'unknown'
            WHEN NOT a."isActive" THEN 'inactive'
            WHEN NOT t."isActive" AND v.retry_of IS NULL THEN 'inactive'
        END AS refusal
    FROM asked AS v
    LEFT JOIN automations AS a ON a.id = v.automation
    LEFT JOIN workflow_triggers AS t ON t.id = v.trigger AND t."automationId" = v.automation
    LEFT JOIN reconciler.automation_runtime AS r ON r.automation_id = v.automation
    LEFT JOIN reconciler.resources AS s ON s.row_id = v.automation
), {CROWD}, admitted AS MATERIALIZED (
    SELECT c.*, w.waiting + row_number() OVER (PARTITION BY c.automation ORDER BY c.place)
        <= c.room AS fits
    FROM checked AS c JOIN crowd AS w ON w.automation = c.automation
    WHERE c.refusal IS NULL
), equipped AS (
    INSERT INTO reconciler.automation_runtime (automation_id)
    SELECT DISTINCT automation FROM admitted WHERE bare ORDER BY automation
    ON CONFLICT (automation_id) DO NOTHING
), fresh AS (
    INSERT INTO workflow_executions (
        id, "automationId", "orgId", status, "startedAt", "triggerData", metadata, "triggerId",
        "scheduledFor", "idempotencyKey", "runAt", priority, "maxAttempts", "timeoutSeconds",
        revision, "retryOf", cause, method, "queueDeadline", "createdAt", "updatedAt"
    )
    SELECT id, automation, organization, 'QUEUED', {NOW}, data, metadata::jsonb, trigger,
        scheduled AT TIME ZONE 'UTC', key, COALESCE(run_at AT TIME ZONE 'UTC', {NOW}), priority,
        COALESCE(max_retries, {DEFAULT_RETRIES}) + 1,
        COALESCE(timeout_seconds, {DEFAULT_TIMEOUT}), revision, retry_of, cause, method,
        GREATEST(run_at AT TIME ZONE 'UTC', {NOW}) + make_interval(secs => queue_deadline_seconds),
        {NOW}, {NOW}
    FROM admitted WHERE fits ORDER BY place
    ON CONFLICT ("automationId", "idempotencyKey") WHERE "idempotencyKey" IS NOT NULL
    DO NOTHING
    RETURNING id, "triggerId", "retryOf"
), counted AS (
    UPDATE workflow_triggers AS t
    SET "triggerCount" = t."triggerCount" + f.fires, "lastTriggeredAt" = {NOW}
    FROM (
        SELECT "triggerId" AS id, count(*) AS fires FROM fresh
        WHERE %(count)s AND "triggerId" IS NOT NULL AND "retryOf" IS NULL GROUP BY 1 ORDER BY 1
    ) AS f
    WHERE t.id = f.id
)
SELECT c.id, f.id IS NOT NULL, COALESCE(c.refusal, CASE WHEN NOT w.fits THEN 'full' END)
FROM checked AS c
LEFT JOIN fresh AS f ON f.id = c.id
LEFT JOIN admitted AS w ON w.id = c.id
""".encode()

# A statement of its own: it sees what another connection committed while the insert waited for it.
_KNOWN = b"""
SELECT v.id, e.id, e.status
FROM unnest(%(ids)s::text[], %(automations)s::text[], %(keys)s::text[]) AS v(id, automation, key)
CROSS JOIN LATERAL (
    SELECT x.id, x.status::text AS status FROM workflow_executions AS x
    WHERE x."automationId" = v.automation AND x."idempotencyKey" = v.key LIMIT 1
) AS e
"""

# Who set a bound wants it exact: one at a time counts and inserts.
BOUNDED: Final = b"""
SELECT pg_advisory_xact_lock(1919247215, hashtext(b.id)) FROM (
    SELECT automation_id AS id FROM reconciler.automation_runtime
    WHERE automation_id = ANY(%(automations)s) AND max_queued IS NOT NULL
    ORDER BY automation_id
) AS b
"""


async def insert(
    connection: Connection,
    new: Sequence[NewExecution],
    new_id: Callable[[], str],
    *,
    count: bool = True,
) -> list[Accepted]:
    """Insert *new* within a transaction; the answers are in their order.

    *count* False: the caller counts the triggers, with something else that it writes there.
    """
    texts = [encode(one.trigger_data) for one in new]
    ids = [new_id() for _ in new]
    asked = [
        (id_, one, text) for id_, one, text in zip(ids, new, texts, strict=True) if text is not None
    ]
    found: dict[str, Accepted] = {}
    if asked:
        rows = [(id_, one) for id_, one, _ in asked]
        await connection.execute(
            BOUNDED, {"automations": sorted({one.automation_id for one in new})}, prepare=True
        )
        cursor = await connection.execute(_INSERT, _values(asked, count=count), prepare=True)
        found = {row[0]: _accepted(*row) async for row in cursor}
        await _look_up_known(connection, rows, found)
    unstorable = Accepted(refusal=Refusal.UNSTORABLE)
    return [found.get(id_, unstorable) for id_ in ids]


def _values(
    asked: Sequence[tuple[str, NewExecution, str]], *, count: bool = True
) -> dict[str, Any]:
    new = [one for _, one, _ in asked]
    return {
        "count": count,
        "ids": [id_ for id_, _, _ in asked],
        "data": f"[{','.join(text for _, _, text in asked)}]",
        "automations": [one.automation_id for one in new],
        "causes": [one.cause.value for one in new],
        "triggers": [one.trigger_id for one in new],
        "keys": [clean(one.idempotency_key) for one in new],
        "scheduled": [one.scheduled_for for one in new],
        "run_at": [one.run_at for one in new],
        "priorities": [one.priority for one in new],
        "retry_of": [one.retry_of for one in new],
        "methods": [one.method for one in new],
        "metadata": [encode_clean(dict(one.metadata)) if one.metadata else None for one in new],
    }


def _accepted(id_: str, fresh: bool, refusal: str | None) -> Accepted:
    if fresh:
        return Accepted(id=id_, status=Status.QUEUED, fresh=True)
    return Accepted(refusal=None if refusal is None else Refusal(refusal))


async def _look_up_known(
    connection: Connection, rows: Sequence[tuple[str, NewExecution]], found: dict[str, Accepted]
) -> None:
    """Find the first execution of each key that was not inserted, whatever the reason was."""
    missing = [(id_, one) for id_, one in rows if one.idempotency_key and found[id_].id is None]
    if not missing:
        return
    values = {
        "ids": [id_ for id_, _ in missing],
        "automations": [one.automation_id for _, one in missing],
        "keys": [clean(one.idempotency_key) for _, one in missing],
    }
    cursor = await connection.execute(_KNOWN, values, prepare=True)
    async for id_, first, status in cursor:
        found[id_] = Accepted(id=first, status=Status(status))
