"""Attempts that ended become the past: rows, attempts, counters, average, breaker, in one commit.

A row is written only if the worker still owns it with this attempt (and since the same claim, where
the attempt is not spent), so that nothing is completed twice. Locks are taken in the order
executions, automations with their runtime rows, each by id: two workers never wait for each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reconciler.store.database import Connection
from reconciler.store.executions.encoding import clean, encode_clean
from reconciler.store.executions.lease import OWNED
from reconciler.trigger.average import fold
from reconciler.trigger.breaker import Breaker, Position, Verdict, after
from reconciler.trigger.execution import TERMINAL, Ended, Status

_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False)
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
SELECT e.id, e.attempt, e.automation, e.status, e.took, e.counts, NOT e.spent, l.*
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
    FROM json_to_recordset(%(rows)s::json) AS v(
        id text, attempt smallint, status text, outcome text, retry_in float8, counts boolean,
        run text, version text, output json, truncated boolean, message text, stack text,
        node text, milliseconds integer, began timestamptz)
    WHERE e.id = ANY({OWNED}) AND e.id = v.id AND e.attempt = v.attempt
        AND e."leaseOwner" = %(worker)s
        AND (v.began IS NULL OR e."startedAt" = v.began AT TIME ZONE 'UTC')
    RETURNING e.id, v.attempt, e."automationId" AS automation, e.status::text AS status,
        e."startedAt" AS began, e."executionTime" AS took,
        v.counts OR e.status <> 'QUEUED' AS spent,
        COALESCE(v.outcome, v.status) AS outcome, v.run, v.version, v.message, v.node,
        v.milliseconds, v.counts
), noted AS (
    INSERT INTO reconciler.execution_attempts AS b (
        execution_id, attempt, worker, started_at, finished_at, outcome, error, error_node,
        milliseconds, n8n_execution_id, n8n_version_id)
    SELECT d.id, d.attempt, %(worker)s, d.began AT TIME ZONE 'UTC', clock_timestamp(),
        CASE d.outcome WHEN 'QUEUED' THEN 'FAILED' ELSE d.outcome END, d.message, d.node,
        d.milliseconds, d.run, d.version
    FROM ended AS d WHERE d.spent
    ON CONFLICT (execution_id, attempt) DO UPDATE SET
        finished_at = EXCLUDED.finished_at, outcome = EXCLUDED.outcome, error = EXCLUDED.error,
        error_node = EXCLUDED.error_node, milliseconds = EXCLUDED.milliseconds,
        n8n_execution_id = COALESCE(EXCLUDED.n8n_execution_id, b.n8n_execution_id),
        n8n_version_id = EXCLUDED.n8n_version_id
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
    WHERE e.id = ANY({OWNED}) AND e.status = 'RUNNING' AND e."leaseOwner" = %(worker)s
    RETURNING e.id, e.attempt + 1 AS attempt, e."automationId" AS automation, e.status::text,
        NULL::integer AS took, false AS counts, false AS spent
), {_LOCKED}
""".encode()

# An attempt that is not spent is as if it had never been.
_UNSPENT = b"""
DELETE FROM reconciler.execution_attempts AS b
USING unnest(%(ids)s::text[], %(attempts)s::smallint[]) AS v(id, attempt)
WHERE b.execution_id = v.id AND b.attempt = v.attempt
"""

_COUNT = f"""
WITH v AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(rows)s::json) AS v(
        automation text, gone integer, good integer, bad integer, tried boolean, first float8,
        weight float8, addend float8, position text, until timestamptz, opened integer,
        in_a_row integer, since timestamptz, total integer, failed integer, probe text)
), counted AS (
    UPDATE automations AS a SET
        "executionCount" = a."executionCount" + v.good + v.bad,
        "successCount" = a."successCount" + v.good,
        "failureCount" = a."failureCount" + v.bad,
        "avgExecutionTime" = CASE WHEN v.good = 0 THEN a."avgExecutionTime"
            ELSE COALESCE(a."avgExecutionTime", v.first) * v.weight + v.addend END,
        "lastExecutedAt" = {_NOW}
    FROM v WHERE a.id = ANY(%(ids)s) AND a.id = v.automation AND v.tried
)
UPDATE reconciler.automation_runtime AS r SET running = GREATEST(r.running - v.gone, 0),
    breaker = v.position, breaker_until = v.until, open_count = v.opened,
    consecutive_failures = v.in_a_row, window_started_at = v.since, window_total = v.total,
    window_failed = v.failed, probe_execution_id = v.probe, updated_at = clock_timestamp()
FROM v WHERE r.automation_id = ANY(%(ids)s) AND r.automation_id = v.automation
""".encode()


_COUNTED = frozenset({Status.SUCCESS, Status.FAILED, Status.TIMEOUT})


@dataclass(slots=True)
class Written:
    """A row that was written: its attempt, its automation, its state now."""

    id: str
    attempt: int
    automation: str
    status: Status
    milliseconds: int | None  # None unless it has ended
    counts: bool  # says something about the workflow
    unspent: bool  # the attempt never was


@dataclass(slots=True)
class _Tally:
    """What a batch means for one automation."""

    left: int = 0
    bad: int = 0
    tried: bool = False
    times: list[float] = field(default_factory=list)  # of those that succeeded, in order
    verdicts: list[tuple[str, Verdict]] = field(default_factory=list)


async def complete(connection: Connection, worker: str, ended: Sequence[Ended]) -> list[Written]:
    """Write how attempts ended, in their order, within a transaction.

    Gives those that were still *worker*'s.
    """
    return await _settle(connection, _END, _values(worker, ended))


async def requeue(connection: Connection, worker: str, ids: Iterable[str]) -> list[Written]:
    """Put rows back that never began in n8n, within a transaction; no attempt is spent."""
    return await _settle(connection, _REQUEUE, {"worker": worker, "ids": sorted(ids)})


async def _settle(
    connection: Connection, statement: bytes, values: Mapping[str, Any]
) -> list[Written]:
    cursor = await connection.execute(statement, values, prepare=True)
    order = {id_: place for place, id_ in enumerate(values["ids"])}
    rows = sorted(await cursor.fetchall(), key=lambda row: order[row[0]])
    written = [_written(row) for row in rows]
    unspent = [one for one in written if one.unspent]
    if unspent:
        gone = {"ids": [u.id for u in unspent], "attempts": [u.attempt for u in unspent]}
        await connection.execute(_UNSPENT, gone)
    if written:
        states = {row[7]: (row[8], _breaker(row)) for row in rows if row[7] is not None}
        await connection.execute(_COUNT, _counts(_tallied(written), states), prepare=True)
    return written


def _written(row: tuple[Any, ...]) -> Written:
    id_, attempt, automation, status, milliseconds, counts, unspent = row[:7]
    return Written(id_, attempt, automation, Status(status), milliseconds, counts, unspent)


def _values(worker: str, ended: Sequence[Ended]) -> dict[str, Any]:
    rows = ",".join(_row(one) for one in ended)
    # The ids once more: a plan that was made while the tables were small must not read them whole.
    return {"worker": worker, "ids": [one.id for one in ended], "rows": f"[{rows}]"}


def _row(one: Ended) -> str:
    """Write what is not NULL of an end as JSON: one text costs less than fourteen arrays."""
    fields: dict[str, Any] = {
        "id": one.id,
        "attempt": one.attempt,
        "status": one.status.value,
        "counts": one.counts,
        "truncated": one.output_truncated,
        "retry_in": max(0.0, one.retry_in or 0.0),
        "milliseconds": min(one.milliseconds, 2**31 - 1),
    }
    if one.outcome is not None:
        fields["outcome"] = one.outcome.value
    if one.began_at is not None:
        fields["began"] = one.began_at.isoformat()
    for name, text in (
        ("run", one.n8n_execution_id),
        ("version", one.n8n_version_id),
        ("message", one.error_message),
        ("stack", one.error_stack),
        ("node", one.error_node),
    ):
        if text is not None:
            fields[name] = clean(text)
    row = _ENCODER.encode(fields)
    return row if one.output is None else f'{row[:-1]}, "output": {encode_clean(one.output)}}}'


def _tallied(written: Iterable[Written]) -> dict[str, _Tally]:
    tallies: dict[str, _Tally] = {}
    for one in written:
        tally = tallies.setdefault(one.automation, _Tally())
        tally.left += 1
        tally.tried |= one.counts or one.status in _COUNTED
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
        position=Position(row[9]),
        until=row[10],
        opened=row[11],
        in_a_row=row[12],
        window_started=row[13],
        window_total=row[14],
        window_failed=row[15],
        probe=row[16],
    )


def _counts(
    tallies: dict[str, _Tally], states: dict[str, tuple[datetime, Breaker]]
) -> dict[str, Any]:
    rows = []
    for automation, (now, breaker) in states.items():
        tally = tallies[automation]
        times = fold(tally.times)
        new = after(breaker, tally.verdicts, now)
        rows.append(
            {
                "automation": automation,
                "gone": tally.left,
                "good": len(tally.times),
                "bad": tally.bad,
                "tried": tally.tried,
                "first": times.first,
                "weight": times.weight,
                "addend": times.addend,
                "position": new.position.value,
                "until": _moment(new.until),
                "opened": new.opened,
                "in_a_row": new.in_a_row,
                "since": _moment(new.window_started),
                "total": new.window_total,
                "failed": new.window_failed,
                "probe": new.probe,
            }
        )
    return {"ids": list(states), "rows": json.dumps(rows)}


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
