"""Runs that n8n started by itself, as executions: each once, with the counters in the same commit.

The key is n8n's workflow and execution id: a workflow's id occurs in one n8n only, so that another
n8n (or the same one behind another address) is not mistaken for it. Such a run takes no place of
the automation's concurrency and says nothing to its breaker: we did not start it. Not here: finding
them (`reconciler.runtime.collector`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconciler.resource.payload import Value
from reconciler.store.database import Connection, Database
from reconciler.store.executions.encoding import clean, encode_clean
from reconciler.trigger.average import fold
from reconciler.trigger.execution import Status
from reconciler.workflow.entry import ENTRY_NAME

_NOW = "(clock_timestamp() AT TIME ZONE 'UTC')"

_TAKE = b"""
INSERT INTO reconciler.native_cursor AS c (name, seen_until, holder, held_until)
SELECT 'n8n', COALESCE(min(a."createdAt") AT TIME ZONE 'UTC', clock_timestamp()), %(holder)s,
    clock_timestamp() + make_interval(secs => %(seconds)s)
FROM automations AS a
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
WHERE c.holder = excluded.holder OR c.held_until < clock_timestamp()
RETURNING c.seen_until
"""
_KEEP = b"""
UPDATE reconciler.native_cursor SET seen_until = GREATEST(seen_until, %(until)s)
WHERE name = 'n8n' AND holder = %(holder)s
"""
_LET_GO = b"""
UPDATE reconciler.native_cursor SET held_until = clock_timestamp()
WHERE name = 'n8n' AND holder = %(holder)s
"""
_HOMES = b"""
SELECT a.id, a."n8nWorkflowId", a."createdAt" AT TIME ZONE 'UTC',
    COALESCE(jsonb_typeof(a.metadata #> '{reconciler,entry}') = 'array'
        AND a.metadata #> '{reconciler,entry}' <> '[]', false),
    ARRAY(
        SELECT n.value ->> 'type' FROM json_each(
            CASE WHEN json_typeof(s.payload::json #> '{n8n,nodes}') = 'object'
                THEN s.payload::json #> '{n8n,nodes}' ELSE '{}' END
        ) AS n
        WHERE n.key <> %(entry)s AND n.value ->> 'disabled' IS DISTINCT FROM 'true'
    )
FROM automations AS a LEFT JOIN reconciler.resources AS s ON s.row_id = a.id
WHERE a."n8nWorkflowId" = ANY(%(workflows)s)
"""
_ENDED = b"""
SELECT e."idempotencyKey", e."completedAt" AT TIME ZONE 'UTC' FROM unnest(%(automations)s::text[], %(keys)s::text[]) AS v(a, key)
JOIN workflow_executions AS e ON e."automationId" = v.a AND e."idempotencyKey" = v.key
WHERE e.status <> 'RUNNING'
"""
_STARTED_BY_US = b"""
SELECT 1 FROM workflow_executions WHERE "automationId" = %(automation)s
    AND "n8nExecutionId" = %(run)s AND cause IS DISTINCT FROM 'native' LIMIT 1
"""
_OPEN = b"""
SELECT e."automationId", e."idempotencyKey", e."n8nExecutionId",
    e."cancelRequestedAt" IS NOT NULL
FROM workflow_executions AS e
WHERE e.status = 'RUNNING' AND e."leaseExpiresAt" IS NULL AND e.cause = 'native'
"""
_WRITE = f"""
INSERT INTO workflow_executions AS e (
    id, "automationId", "orgId", status, "startedAt", "completedAt", "executionTime", "triggerData",
    "outputData", "outputTruncated", "errorMessage", "errorStack", "errorNode", metadata, cause,
    "idempotencyKey", "n8nExecutionId", "n8nVersionId", attempt, "maxAttempts", "runAt",
    "createdAt", "updatedAt", revision
)
SELECT v.id, v.automation, a."orgId", v.status::"ExecutionStatus", v.begun AT TIME ZONE 'UTC',
    v.over AT TIME ZONE 'UTC',
    LEAST(extract(epoch FROM v.over - v.begun) * 1000, 2147483647)::integer,
    v.entered::jsonb, v.output::jsonb, v.truncated, v.message, v.stack, v.node, v.metadata::jsonb,
    'native', v.key, v.run, v.version, 1, 1, v.begun AT TIME ZONE 'UTC',
    v.begun AT TIME ZONE 'UTC', {_NOW}, s.revision
FROM (
    SELECT id, automation, status, COALESCE(begun, ended, clock_timestamp()) AS begun,
        CASE WHEN status <> 'RUNNING' THEN COALESCE(ended, clock_timestamp()) END AS over,
        entered, output, truncated, message, stack, node, metadata, key, run, version
    FROM unnest(
        %(ids)s::text[], %(automations)s::text[], %(statuses)s::text[], %(begun)s::timestamptz[],
        %(ended)s::timestamptz[], %(entered)s::text[], %(outputs)s::text[],
        %(truncated)s::boolean[], %(messages)s::text[], %(stacks)s::text[], %(nodes)s::text[],
        %(metadata)s::text[], %(keys)s::text[], %(runs)s::text[], %(versions)s::text[]
    ) AS u(id, automation, status, begun, ended, entered, output, truncated, message, stack, node,
        metadata, key, run, version)
) AS v
JOIN automations AS a ON a.id = v.automation
LEFT JOIN reconciler.resources AS s ON s.row_id = a.id
ORDER BY v.automation, v.key
ON CONFLICT ("automationId", "idempotencyKey") WHERE "idempotencyKey" IS NOT NULL
DO UPDATE SET status = excluded.status,
    "completedAt" = excluded."completedAt", "executionTime" =
        LEAST(extract(epoch FROM excluded."completedAt" - e."startedAt") * 1000, 2147483647)::integer,
    "triggerData" = CASE WHEN excluded."triggerData" = '{{}}'::jsonb THEN e."triggerData"
        ELSE excluded."triggerData" END,
    "outputData" = excluded."outputData", "outputTruncated" = excluded."outputTruncated",
    "errorMessage" = excluded."errorMessage", "errorStack" = excluded."errorStack",
    "errorNode" = excluded."errorNode", metadata = COALESCE(excluded.metadata, e.metadata),
    "n8nVersionId" = COALESCE(excluded."n8nVersionId", e."n8nVersionId"),
    "updatedAt" = excluded."updatedAt"
WHERE e.status = 'RUNNING' AND excluded.status <> 'RUNNING'
RETURNING e.id, e."automationId", e.status::text, e."executionTime"
""".encode()
_NOTE = b"""
INSERT INTO reconciler.execution_attempts AS b (
    execution_id, attempt, worker, n8n_execution_id, n8n_version_id, started_at, finished_at,
    outcome, error, error_node, milliseconds)
SELECT e.id, 1, 'n8n', e."n8nExecutionId", e."n8nVersionId", e."startedAt" AT TIME ZONE 'UTC',
    e."completedAt" AT TIME ZONE 'UTC', CASE WHEN e.status <> 'RUNNING' THEN e.status::text END,
    e."errorMessage", e."errorNode", e."executionTime"
FROM workflow_executions AS e WHERE e.id = ANY(%(ids)s)
ON CONFLICT (execution_id, attempt) DO UPDATE SET finished_at = excluded.finished_at,
    outcome = excluded.outcome, error = excluded.error, error_node = excluded.error_node,
    milliseconds = excluded.milliseconds
"""
_LOCK = b"SELECT id FROM automations WHERE id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE"
_COUNT = f"""
UPDATE automations AS a SET "executionCount" = a."executionCount" + v.good + v.bad,
    "successCount" = a."successCount" + v.good, "failureCount" = a."failureCount" + v.bad,
    "avgExecutionTime" = CASE WHEN v.good = 0 THEN a."avgExecutionTime"
        ELSE COALESCE(a."avgExecutionTime", v.first) * v.weight + v.addend END,
    "lastExecutedAt" = {_NOW}
FROM unnest(
    %(ids)s::text[], %(good)s::integer[], %(bad)s::integer[], %(first)s::float8[],
    %(weight)s::float8[], %(addend)s::float8[]
) AS v(id, good, bad, first, weight, addend)
WHERE a.id = v.id
""".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The automation that a workflow belongs to."""

    automation_id: str
    workflow_id: str
    since: datetime  # runs before that are none of ours
    entered: bool  # our runtime starts it too, through the managed entry
    node_types: tuple[str, ...]  # of its enabled nodes, our entry apart


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeRun:
    """A run as it will stand in its row; *status* is RUNNING or a terminal one."""

    automation_id: str
    key: str  # see `key_of`
    n8n_execution_id: str
    status: Status
    started_at: datetime | None = None  # None: as it stands in the row, or now
    stopped_at: datetime | None = None
    version_id: str | None = None
    trigger_data: Value = None
    output: Value = None
    output_truncated: bool = False
    error_message: str | None = None
    error_stack: str | None = None
    error_node: str | None = None
    metadata: Value = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A row that is RUNNING because n8n still was at it."""

    automation_id: str
    key: str
    n8n_execution_id: str
    cancel_requested: bool


def key_of(workflow_id: str, n8n_execution_id: str, began: datetime | None = None) -> str:
    """Make the idempotency key of a run; with *began* where n8n gave its id to an earlier one, too."""
    key = f"n8n:{workflow_id}:{n8n_execution_id}"
    return key if began is None else f"{key}:{began.timestamp():.0f}"


class NativeRuns:
    """The recorded runs, and how far the search for them has come."""

    def __init__(self, database: Database, *, new_id: Callable[[], str]) -> None:
        self._database = database
        self._new_id = new_id

    async def take(self, holder: str, seconds: float) -> datetime | None:
        """Become the one who collects, for *seconds*; gives the time up to which all is recorded.

        None: another daemon is at it.
        """
        rows = await self._database.execute(_TAKE, {"holder": holder, "seconds": seconds})
        return rows[0][0] if rows else None

    async def keep(self, holder: str, until: datetime) -> None:
        """Note that all runs that started before *until* are recorded or open."""
        await self._database.execute(_KEEP, {"holder": holder, "until": until})

    async def let_go(self, holder: str) -> None:
        """Let another daemon go on."""
        await self._database.execute(_LET_GO, {"holder": holder})

    async def homes(self, workflow_ids: Collection[str]) -> dict[str, Home]:
        """Find the automations of workflows, by workflow id."""
        values = {"workflows": sorted(workflow_ids), "entry": ENTRY_NAME}
        return {
            row[1]: Home(
                automation_id=row[0],
                workflow_id=row[1],
                since=row[2],
                entered=row[3],
                node_types=tuple(type_ for type_ in row[4] if type_),
            )
            for row in await self._database.execute(_HOMES, values)
        }

    async def ended(self, runs: Sequence[tuple[str, str]]) -> dict[str, datetime]:
        """Tell which of the (automation id, key) are recorded with their end; gives keys and ends."""
        values = {"automations": [one[0] for one in runs], "keys": [one[1] for one in runs]}
        rows = await self._database.execute(_ENDED, values)
        return {row[0]: row[1] for row in rows if row[1] is not None}

    async def started_by_us(self, automation_id: str, n8n_execution_id: str) -> bool:
        """Whether an execution of ours became this run."""
        values = {"automation": automation_id, "run": n8n_execution_id}
        return bool(await self._database.execute(_STARTED_BY_US, values))

    async def open(self) -> list[OpenRun]:
        """Give the recorded runs that had not ended."""
        return [
            OpenRun(
                automation_id=row[0],
                key=row[1],
                n8n_execution_id=row[2],
                cancel_requested=row[3],
            )
            for row in await self._database.execute(_OPEN, {})
        ]

    async def record(self, runs: Sequence[NativeRun]) -> list[Status]:
        """Write runs that are not written yet, or not with their end; gives the new ends."""
        if not runs:
            return []
        async with self._database.transaction() as connection:
            cursor = await connection.execute(_WRITE, self._values(runs))
            written = await cursor.fetchall()
            await connection.execute(_NOTE, {"ids": [row[0] for row in written]})
            ended = [row for row in written if row[2] != Status.RUNNING]
            if ended:
                await _count(connection, ended)
        return [Status(row[2]) for row in ended]

    def _values(self, runs: Sequence[NativeRun]) -> dict[str, list[Any]]:
        return {
            "ids": [self._new_id() for _ in runs],
            "automations": [one.automation_id for one in runs],
            "statuses": [one.status.value for one in runs],
            "begun": [one.started_at for one in runs],
            "ended": [one.stopped_at for one in runs],
            "entered": [encode_clean({} if (d := one.trigger_data) is None else d) for one in runs],
            "outputs": [None if one.output is None else encode_clean(one.output) for one in runs],
            "truncated": [one.output_truncated for one in runs],
            "messages": [clean(one.error_message) for one in runs],
            "stacks": [clean(one.error_stack) for one in runs],
            "nodes": [clean(one.error_node) for one in runs],
            "metadata": [
                None if one.metadata is None else encode_clean(one.metadata) for one in runs
            ],
            "keys": [one.key for one in runs],
            "runs": [one.n8n_execution_id for one in runs],
            "versions": [one.version_id for one in runs],
        }


async def _count(connection: Connection, ended: Sequence[tuple[Any, ...]]) -> None:
    columns: dict[str, list[Any]] = {
        name: [] for name in ("ids", "good", "bad", "first", "weight", "addend")
    }
    for automation in sorted({row[1] for row in ended}):
        rows = [row for row in ended if row[1] == automation]
        good = [float(row[3] or 0) for row in rows if row[2] == Status.SUCCESS]
        bad = sum(row[2] in (Status.FAILED, Status.TIMEOUT) for row in rows)
        if not good and not bad:
            continue
        folded = fold(good)
        values = (automation, len(good), bad, folded.first, folded.weight, folded.addend)
        for name, value in zip(columns, values, strict=True):
            columns[name].append(value)
    await connection.execute(_LOCK, {"ids": columns["ids"]})
    await connection.execute(_COUNT, columns)
