"""Attempts that ended become the past: rows, attempts, counters, average, breaker, in one commit.

A row is written only if the worker still owns it with this attempt, so that
nothing is completed twice. Locks are taken in the order executions, automations
with their runtime rows, each by id: two workers never wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reconciler.store.database import Connection
from reconciler.store.executions.encoding import clean, encode_clean
from reconciler.trigger.average import fold
from reconciler.trigger.breaker import Breaker, Position, Verdict, after
from reconciler.trigger.execution import TERMINAL, Ended, Status

_NOW = "(clock_timestamp() AT TIME ZONE 'UTC')"

# A retry that was asked for is none when somebody cancelled meanwhile, or no attempt is left.
_FINAL = """
CASE WHEN v.status <> 'QUEUED' THEN v.status
    WHEN e."cancelRequestedAt" IS NOT NULL THEN 'CANCELLED'
    WHEN v.counts AND e.attempt >= e."maxAttempts" THEN COALESCE(v.outcome, 'FAILED')
    ELSE 'QUEUED' END"""
_AGAIN = f"({_FINAL}) = 'QUEUED'"

# The rows of automations are locked in order, and read as they are then.
_LOCKED = """
locked AS MATERIALIZED (
    SELECT a.id, clock_timestamp() AS now, r.breaker, r.breaker_until, r.open_count,
        r.consecutive_failures, r.window_started_at, r.window_total, r.window_failed,
        r.probe_execution_id
    FROM automations AS a JOIN reconciler.automation_runtime AS r ON r.automation_id = a.id
    WHERE a.id = ANY(ARRAY(SELECT automation FROM ended)) ORDER BY a.id
    FOR NO KEY UPDATE OF a, r
)
SELECT e.id, e.attempt, e.automation, e.status, e.took, e.counts, l.*
FROM ended AS e LEFT JOIN locked AS l ON l.id = e.automation
"""

_END = f"""
WITH ended AS (
    UPDATE workflow_executions AS e SET
        status = ({_FINAL})::"ExecutionStatus",
        attempt = CASE WHEN {_AGAIN} AND NOT v.counts THEN e.attempt - 1 ELSE e.attempt END,
        "retryCount" = CASE WHEN {_AGAIN} AND v.counts THEN e."retryCount" + 1
            ELSE e."retryCount" END,
        "runAt" = CASE WHEN {_AGAIN} THEN {_NOW} + make_interval(secs => v.retry_in)
            ELSE e."runAt" END,
        "completedAt" = CASE WHEN {_AGAIN} THEN NULL ELSE {_NOW} END,
        "executionTime" = CASE WHEN {_AGAIN} THEN NULL ELSE
            LEAST(extract(epoch FROM {_NOW} - e."startedAt") * 1000, 2147483647)::integer END,
        "n8nExecutionId" = CASE WHEN {_AGAIN} THEN NULL
            ELSE COALESCE(v.run, e."n8nExecutionId") END,
        "n8nVersionId" = COALESCE(v.version, e."n8nVersionId"),
        "outputData" = v.output::jsonb, "outputTruncated" = v.truncated,
        "errorMessage" = CASE WHEN v.message IS NULL AND ({_FINAL}) = 'CANCELLED'
            THEN 'cancelled' ELSE v.message END,
        "errorStack" = v.stack, "errorNode" = v.node,
        "leaseOwner" = NULL, "leaseExpiresAt" = NULL, "updatedAt" = {_NOW}
    FROM unnest(
        %(ids)s::text[], %(attempts)s::smallint[], %(statuses)s::text[], %(outcomes)s::text[],
        %(retries)s::float8[], %(counts)s::boolean[], %(runs)s::text[], %(versions)s::text[],
        %(outputs)s::text[], %(truncated)s::boolean[], %(messages)s::text[], %(stacks)s::text[],
        %(nodes)s::text[], %(milliseconds)s::integer[]
    ) AS v(id, attempt, status, outcome, retry_in, counts, run, version, output, truncated,
        message, stack, node, milliseconds)
    WHERE e.id = v.id AND e.attempt = v.attempt AND e."leaseOwner" = %(worker)s
    RETURNING e.id, v.attempt, e."automationId" AS automation, e.status::text AS status,
        e."executionTime" AS took, v.counts OR e.status <> 'QUEUED' AS spent,
        COALESCE(v.outcome, v.status) AS outcome, v.run, v.version, v.message, v.node,
        v.milliseconds, v.counts
), unspent AS (
    DELETE FROM reconciler.execution_attempts AS b USING ended AS d
    WHERE NOT d.spent AND b.execution_id = d.id AND b.attempt = d.attempt
), noted AS (
    UPDATE reconciler.execution_attempts AS b SET finished_at = clock_timestamp(),
        outcome = CASE d.outcome WHEN 'QUEUED' THEN 'FAILED' ELSE d.outcome END,
        error = d.message, error_node = d.node, milliseconds = d.milliseconds,
        n8n_execution_id = COALESCE(d.run, b.n8n_execution_id), n8n_version_id = d.version
    FROM ended AS d WHERE d.spent AND b.execution_id = d.id AND b.attempt = d.attempt
), {_LOCKED}
""".encode()

_REQUEUE = f"""
WITH ended AS (
    UPDATE workflow_executions AS e SET
        status = CASE WHEN e."cancelRequestedAt" IS NULL THEN 'QUEUED'
            ELSE 'CANCELLED' END::"ExecutionStatus",
        "completedAt" = CASE WHEN e."cancelRequestedAt" IS NOT NULL THEN {_NOW} END,
        "errorMessage" = CASE WHEN e."cancelRequestedAt" IS NOT NULL THEN 'cancelled' END,
        attempt = e.attempt - 1, "n8nExecutionId" = NULL,
        "leaseOwner" = NULL, "leaseExpiresAt" = NULL, "updatedAt" = {_NOW}
    WHERE e.id = ANY(%(ids)s) AND e.status = 'RUNNING' AND e."leaseOwner" = %(worker)s
    RETURNING e.id, e.attempt + 1 AS attempt, e."automationId" AS automation, e.status::text,
        NULL::integer AS took, false AS counts
), unspent AS (
    DELETE FROM reconciler.execution_attempts AS b USING ended AS d
    WHERE b.execution_id = d.id AND b.attempt = d.attempt
), {_LOCKED}
""".encode()

_COUNT = f"""
WITH v AS MATERIALIZED (
    SELECT * FROM unnest(
        %(automations)s::text[], %(left)s::integer[], %(good)s::integer[], %(bad)s::integer[],
        %(tried)s::boolean[], %(first)s::float8[], %(weight)s::float8[], %(addend)s::float8[],
        %(positions)s::text[], %(until)s::timestamptz[], %(opened)s::integer[],
        %(in_a_row)s::integer[], %(window)s::timestamptz[], %(total)s::integer[],
        %(failed)s::integer[], %(probes)s::text[]
    ) AS v(automation, gone, good, bad, tried, first, weight, addend, position, until, opened,
        in_a_row, since, total, failed, probe)
), counted AS (
    UPDATE automations AS a SET
        "executionCount" = a."executionCount" + v.good + v.bad,
        "successCount" = a."successCount" + v.good,
        "failureCount" = a."failureCount" + v.bad,
        "avgExecutionTime" = CASE WHEN v.good = 0 THEN a."avgExecutionTime"
            ELSE COALESCE(a."avgExecutionTime", v.first) * v.weight + v.addend END,
        "lastExecutedAt" = {_NOW}
    FROM v WHERE a.id = v.automation AND v.tried
)
UPDATE reconciler.automation_runtime AS r SET running = GREATEST(r.running - v.gone, 0),
    breaker = v.position, breaker_until = v.until, open_count = v.opened,
    consecutive_failures = v.in_a_row, window_started_at = v.since, window_total = v.total,
    window_failed = v.failed, probe_execution_id = v.probe, updated_at = clock_timestamp()
FROM v WHERE r.automation_id = v.automation
""".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A row that was written: its attempt, its automation, its state now."""

    id: str
    attempt: int
    automation: str
    status: Status
    milliseconds: int | None  # None unless it has ended
    counts: bool  # says something about the workflow


@dataclass(slots=True)
class _Tally:
    """What a batch means for one automation."""

    left: int = 0
    bad: int = 0
    tried: bool = False
    times: list[float] = field(default_factory=list)  # of those that succeeded, in order
    verdicts: list[tuple[str, Verdict]] = field(default_factory=list)


async def complete(connection: Connection, worker: str, ended: Sequence[Ended]) -> list[Written]:
    """Write how attempts ended, within a transaction; gives those that were still *worker*'s."""
    ordered = sorted(ended, key=lambda one: one.id)
    return await _settle(connection, _END, _values(worker, ordered))


async def requeue(connection: Connection, worker: str, ids: Iterable[str]) -> list[Written]:
    """Put rows back that never began in n8n, within a transaction; no attempt is spent."""
    return await _settle(connection, _REQUEUE, {"worker": worker, "ids": sorted(ids)})


async def _settle(
    connection: Connection, statement: bytes, values: Mapping[str, Any]
) -> list[Written]:
    cursor = await connection.execute(statement, values, prepare=True)
    rows = await cursor.fetchall()
    written = [_written(row) for row in rows]
    if written:
        states = {row[6]: (row[7], _breaker(row)) for row in rows if row[6] is not None}
        await connection.execute(_COUNT, _counts(_tallied(written), states), prepare=True)
    return written


def _written(row: tuple[Any, ...]) -> Written:
    return Written(
        id=row[0],
        attempt=row[1],
        automation=row[2],
        status=Status(row[3]),
        milliseconds=row[4],
        counts=row[5],
    )


def _values(worker: str, ended: Sequence[Ended]) -> dict[str, Any]:
    return {
        "worker": worker,
        "ids": [one.id for one in ended],
        "attempts": [one.attempt for one in ended],
        "statuses": [one.status.value for one in ended],
        "outcomes": [None if one.outcome is None else one.outcome.value for one in ended],
        "retries": [max(0.0, float(one.retry_in or 0)) for one in ended],
        "counts": [one.counts for one in ended],
        "runs": [one.n8n_execution_id for one in ended],
        "versions": [one.n8n_version_id for one in ended],
        "outputs": [None if one.output is None else encode_clean(one.output) for one in ended],
        "truncated": [one.output_truncated for one in ended],
        "messages": [clean(one.error_message) for one in ended],
        "stacks": [clean(one.error_stack) for one in ended],
        "nodes": [clean(one.error_node) for one in ended],
        "milliseconds": [min(one.milliseconds, 2**31 - 1) for one in ended],
    }


def _tallied(written: Iterable[Written]) -> dict[str, _Tally]:
    tallies: dict[str, _Tally] = {}
    for one in written:
        tally = tallies.setdefault(one.automation, _Tally())
        tally.left += 1
        tally.tried |= one.counts or one.status in (Status.FAILED, Status.TIMEOUT)
        tally.verdicts.append((one.id, _verdict(one)))
        if one.status is Status.SUCCESS:
            tally.times.append(float(one.milliseconds or 0))
        tally.bad += one.status in (Status.FAILED, Status.TIMEOUT)
    return tallies


def _verdict(one: Written) -> Verdict:
    if one.status is Status.SUCCESS:
        return Verdict.GOOD
    if one.status is Status.CANCELLED or not one.counts:
        return Verdict.SILENT
    return Verdict.BAD if one.status in TERMINAL else Verdict.WEAK


def _breaker(row: tuple[Any, ...]) -> Breaker:
    return Breaker(
        position=Position(row[8]),
        until=row[9],
        opened=row[10],
        in_a_row=row[11],
        window_started=row[12],
        window_total=row[13],
        window_failed=row[14],
        probe=row[15],
    )


def _counts(
    tallies: dict[str, _Tally], states: dict[str, tuple[datetime, Breaker]]
) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    for automation, (now, breaker) in states.items():
        tally = tallies[automation]
        times = fold(tally.times)
        new = after(breaker, tally.verdicts, now)
        row: tuple[Any, ...] = (
            *(automation, tally.left, len(tally.times), tally.bad, tally.tried),
            *(times.first, times.weight, times.addend),
            *(new.position.value, new.until, new.opened, new.in_a_row),
            *(new.window_started, new.window_total, new.window_failed, new.probe),
        )
        for name, value in zip(_COLUMNS, row, strict=True):
            columns[name].append(value)
    return columns


_COLUMNS = (
    *("automations", "left", "good", "bad", "tried", "first", "weight", "addend"),
    *("positions", "until", "opened", "in_a_row", "window", "total", "failed", "probes"),
)
