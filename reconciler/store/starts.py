"""How occurrences that are due become executions: the ordinary ones by one short statement.

It takes those with which nothing is special and says no word about the others, which go the way of
any run that is asked for. What it inserts is what `reconciler.store.executions.insert` does, a
test compares them. Its look-ups are lateral and limited: a plan that was made while a table was
small must not read all of it later. Not here: which occurrences run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from reconciler.store.database import Connection
from reconciler.store.executions.claim import WAITS
from reconciler.store.executions.encoding import encode
from reconciler.store.executions.insert import DEFAULT_RETRIES, DEFAULT_TIMEOUT, NOW, insert
from reconciler.trigger.execution import Accepted, Cause, NewExecution, Status

# From here on all that waits is counted: is there room? It is far below the bound that an
# automation has by default; who sets one of his own wants it exact.
_FEW: Final = 50

# The caller holds the trigger's row, which is active.
_ORDINARY: Final = f"""
INSERT INTO workflow_executions (
    id, "automationId", "orgId", status, "startedAt", "triggerData", "triggerId", "scheduledFor",
    "idempotencyKey", "runAt", "maxAttempts", "timeoutSeconds", revision, cause, "queueDeadline",
    "createdAt", "updatedAt"
)
SELECT v.id, v.automation, a."orgId", 'QUEUED', {NOW}, v.data, v.trigger,
    v.scheduled AT TIME ZONE 'UTC', v.key, COALESCE(v.run_at AT TIME ZONE 'UTC', {NOW}),
    COALESCE(r.max_retries, {DEFAULT_RETRIES}) + 1, COALESCE(r.timeout_seconds, {DEFAULT_TIMEOUT}),
    (SELECT x.revision FROM reconciler.resources AS x WHERE x.row_id = v.automation LIMIT 1),
    '{Cause.SCHEDULE.value}',
    GREATEST(v.run_at AT TIME ZONE 'UTC', {NOW}) + make_interval(secs => r.queue_deadline_seconds),
    {NOW}, {NOW}
FROM ROWS FROM (
    unnest(
        %(ids)s::text[], %(automations)s::text[], %(triggers)s::text[], %(keys)s::text[],
        %(scheduled)s::timestamptz[], %(run_at)s::timestamptz[]
    ), jsonb_array_elements(%(data)s::jsonb)
) WITH ORDINALITY AS v(id, automation, trigger, key, scheduled, run_at, data, place)
CROSS JOIN LATERAL (
    SELECT x."orgId" FROM automations AS x WHERE x.id = v.automation AND x."isActive" LIMIT 1
) AS a
CROSS JOIN LATERAL (
    SELECT x.* FROM reconciler.automation_runtime AS x
    WHERE x.automation_id = v.automation AND x.max_queued IS NULL LIMIT 1
) AS r
WHERE (
    SELECT e.id FROM workflow_executions AS e WHERE e."automationId" = v.automation AND {WAITS}
    ORDER BY e.priority, e."runAt", e.id OFFSET {_FEW} LIMIT 1
) IS NULL
ORDER BY v.place
ON CONFLICT ("automationId", "idempotencyKey") WHERE "idempotencyKey" IS NOT NULL
DO NOTHING
RETURNING id
""".encode()


async def start(
    connection: Connection, new: Sequence[NewExecution], new_id: Callable[[], str]
) -> list[Accepted]:
    """Insert *new*, occurrences of schedules that are locked; the answers are in their order.

    The caller counts the triggers.
    """
    if not new:
        return []
    texts = [encode(one.trigger_data) for one in new]
    if None in texts:
        return await insert(connection, new, new_id, count=False)
    ids = [new_id() for _ in new]
    cursor = await connection.execute(_ORDINARY, _values(ids, new, texts), prepare=True)
    fresh = {id_ for (id_,) in await cursor.fetchall()}
    others = [one for id_, one in zip(ids, new, strict=True) if id_ not in fresh]
    answers = iter(await insert(connection, others, new_id, count=False))
    return [
        Accepted(id=id_, status=Status.QUEUED, fresh=True) if id_ in fresh else next(answers)
        for id_ in ids
    ]


def _values(
    ids: Sequence[str], new: Sequence[NewExecution], texts: Sequence[str | None]
) -> dict[str, Any]:
    return {
        "ids": list(ids),
        "automations": [one.automation_id for one in new],
        "triggers": [one.trigger_id for one in new],
        "keys": [one.idempotency_key for one in new],
        "scheduled": [one.scheduled_for for one in new],
        "run_at": [one.run_at for one in new],
        "data": f"[{','.join(text for text in texts if text is not None)}]",
    }
