"""Executions as people and programs see them: one in full, or a page of a list.

A page goes on after the last row of the one before (createdAt and id), so that
new rows do not shift it. Not here: who may see which organization.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from reconciler.errors import UsageError
from reconciler.resource.payload import Value
from reconciler.store.database import Database
from reconciler.store.executions.decoding import cause_of
from reconciler.trigger.execution import Cause, Status

MAX_PAGE = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which executions to list; None: whatever it is. *since* and *until* bound createdAt."""

    organization_id: str | None = None
    automation_id: str | None = None
    statuses: Collection[Status] | None = None
    causes: Collection[Cause] | None = None
    trigger_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt of an execution."""

    attempt: int
    worker: str
    n8n_execution_id: str | None
    n8n_version_id: str | None
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    error: str | None
    error_node: str | None
    milliseconds: int | None
    adopted_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """An execution in a list: all but its data."""

    id: str
    automation_id: str
    organization_id: str
    organization: str | None  # its name in the specs
    automation: str  # its name in the specs, or its title
    status: Status
    cause: Cause
    trigger_id: str | None
    trigger_name: str | None
    created_at: datetime
    run_at: datetime
    started_at: datetime | None  # None: no attempt has begun
    completed_at: datetime | None
    milliseconds: int | None
    attempt: int
    max_attempts: int
    retry_count: int
    n8n_execution_id: str | None
    n8n_version_id: str | None
    revision: str | None
    retry_of: str | None
    scheduled_for: datetime | None
    cancel_requested_at: datetime | None
    error_message: str | None
    error_node: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """An execution with its data and its attempts."""

    summary: Summary
    trigger_data: Value
    output: Value
    output_truncated: bool
    error_stack: str | None
    metadata: Value
    idempotency_key: str | None
    method: str | None
    timeout_seconds: int | None
    worker: str | None
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some executions, newest first; *cursor* asks for those after them, None: no more."""

    executions: tuple[Summary, ...]
    cursor: str | None


_SUMMARY = """
e.id, e."automationId", e."orgId", s.organization, COALESCE(s.name, a.name), e.status::text,
COALESCE(e.cause, 'api'), e."triggerId", t.name, e."createdAt", e."runAt",
CASE WHEN e.attempt > 0 OR e.cause IS NULL OR e.cause = 'native' THEN e."startedAt" END,
e."completedAt", e."executionTime", e.attempt, e."maxAttempts", e."retryCount",
e."n8nExecutionId", e."n8nVersionId", e.revision, e."retryOf", e."scheduledFor",
e."cancelRequestedAt", e."errorMessage", e."errorNode"
"""
_NAMES = """
JOIN automations AS a ON a.id = e."automationId"
LEFT JOIN reconciler.resources AS s ON s.row_id = e."automationId"
LEFT JOIN workflow_triggers AS t ON t.id = e."triggerId"
"""
_WIDTH = 25  # columns of a summary

_GET = f"""
SELECT {_SUMMARY}, e."triggerData", e."outputData", e."outputTruncated", e."errorStack",
    e.metadata, e."idempotencyKey", e.method, e."timeoutSeconds", e."leaseOwner"
FROM workflow_executions AS e {_NAMES}
WHERE e.id = %(id)s AND (%(organization)s::text IS NULL OR e."orgId" = %(organization)s)
""".encode()

# The attempt that runs has a row of its own only when it ends, or is taken over; its run of n8n is
# noted in the execution.
_ATTEMPTS = b"""
SELECT b.attempt, b.worker, COALESCE(b.n8n_execution_id, e."n8nExecutionId"), b.n8n_version_id,
    b.started_at, b.finished_at, b.outcome, b.error, b.error_node, b.milliseconds, b.adopted_at
FROM reconciler.execution_attempts AS b LEFT JOIN workflow_executions AS e
    ON e.id = %(id)s AND e.status = 'RUNNING' AND e.attempt = b.attempt
WHERE b.execution_id = %(id)s
UNION ALL
SELECT attempt, COALESCE("leaseOwner", 'nobody'), "n8nExecutionId", NULL,
    "startedAt" AT TIME ZONE 'UTC', NULL, NULL, NULL, NULL, NULL, NULL
FROM workflow_executions AS e WHERE id = %(id)s AND status = 'RUNNING' AND NOT EXISTS (
    SELECT FROM reconciler.execution_attempts AS b
    WHERE b.execution_id = %(id)s AND b.attempt = e.attempt
)
ORDER BY attempt
"""

# A range for the index; its end is good enough where a language sorts some letters elsewhere.
_BEGINNING = b"""
SELECT id FROM workflow_executions
WHERE id >= %(start)s AND id <= %(start)s || repeat('z', 24) AND starts_with(id, %(start)s)
ORDER BY id LIMIT 2
"""

_CONDITIONS = {
    "organization_id": 'e."orgId" = %(organization_id)s',
    "automation_id": 'e."automationId" = %(automation_id)s',
    "trigger_id": 'e."triggerId" = %(trigger_id)s',
    "statuses": 'e.status = ANY(%(statuses)s::"ExecutionStatus"[])',
    "causes": "COALESCE(e.cause, 'api') = ANY(%(causes)s)",
    "since": "e.\"createdAt\" >= %(since)s::timestamptz AT TIME ZONE 'UTC'",
    "until": "e.\"createdAt\" < %(until)s::timestamptz AT TIME ZONE 'UTC'",
    "after": "(e.\"createdAt\", e.id) < (%(after)s::timestamptz AT TIME ZONE 'UTC', %(after_id)s)",
}


async def get(database: Database, organization_id: str | None, id_: str) -> Execution | None:
    """Read one execution with its attempts; None as organization: of any."""
    values = {"id": id_, "organization": organization_id}
    async with database.transaction() as connection:
        cursor = await connection.execute(_GET, values, prepare=True)
        row = await cursor.fetchone()
        if row is None:
            return None
        cursor = await connection.execute(_ATTEMPTS, {"id": id_}, prepare=True)
        attempts = tuple([_attempt(one) async for one in cursor])
    data = row[_WIDTH:]
    return Execution(
        summary=_summary(row),
        trigger_data=data[0],
        output=data[1],
        output_truncated=data[2],
        error_stack=data[3],
        metadata=data[4],
        idempotency_key=data[5],
        method=data[6],
        timeout_seconds=data[7],
        worker=data[8],
        attempts=attempts,
    )


async def beginning(database: Database, start: str) -> list[str]:
    """Find ids that begin with *start*; two are as good as many."""
    return [row[0] for row in await database.execute(_BEGINNING, {"start": start})]


async def page(database: Database, filters: Filters, limit: int, cursor: str | None) -> Page:
    """Read up to *limit* executions, newest first; raises UsageError for a bad *cursor*."""
    values = _filled(filters)
    if cursor is not None:
        values["after"], values["after_id"] = _place(cursor)
    count = max(1, min(limit, MAX_PAGE))
    rows = await database.execute(_listing(values, count + 1), values)
    found = tuple(_summary(row) for row in rows[:count])
    return Page(executions=found, cursor=_cursor(found[-1]) if len(rows) > count else None)


def _filled(filters: Filters) -> dict[str, Any]:
    return {
        "organization_id": filters.organization_id,
        "automation_id": filters.automation_id,
        "trigger_id": filters.trigger_id,
        "statuses": _words(filters.statuses),
        "causes": _words(filters.causes),
        "since": filters.since,
        "until": filters.until,
    }


def conditions(filters: Filters) -> tuple[list[str], dict[str, Any]]:
    """Give the conditions that *filters* put on a row of executions named e, and their values."""
    values = _filled(filters)
    return _asked(values), values


def _asked(values: Mapping[str, Any]) -> list[str]:
    return [text for name, text in _CONDITIONS.items() if values.get(name) is not None]


def _listing(values: Mapping[str, Any], count: int) -> bytes:
    """Write the statement; the page is found first, by an index, and only its rows are joined."""
    asked = _asked(values)
    where = f"WHERE {' AND '.join(asked)}" if asked else ""
    return f"""
        SELECT {_SUMMARY} FROM (
            SELECT e.* FROM workflow_executions AS e {where}
            ORDER BY e."createdAt" DESC, e.id DESC LIMIT {count}
        ) AS e {_NAMES} ORDER BY e."createdAt" DESC, e.id DESC
    """.encode()


def _words(values: Collection[Status] | Collection[Cause] | None) -> list[str] | None:
    return None if values is None else sorted(value.value for value in values)


def _cursor(last: Summary) -> str:
    text = f"{last.created_at.isoformat()} {last.id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[datetime, str]:
    at: datetime | None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        moment, _, id_ = base64.urlsafe_b64decode(padded.encode("ascii")).decode().partition(" ")
        at = datetime.fromisoformat(moment)
        at = None if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):  # OverflowError: in UTC it is before year 1 or after 9999
        at, id_ = None, ""
    if at is None or not id_ or "\0" in id_:
        message = "this cursor is not one that a list gave"
        raise UsageError(message, hint="leave it out to begin with the newest")
    return at, id_


def _summary(row: tuple[Any, ...]) -> Summary:
    return Summary(
        id=row[0],
        automation_id=row[1],
        organization_id=row[2],
        organization=row[3],
        automation=row[4],
        status=Status(row[5]),
        cause=cause_of(row[6]),
        trigger_id=row[7],
        trigger_name=row[8],
        created_at=row[9],
        run_at=row[10],
        started_at=row[11],
        completed_at=row[12],
        milliseconds=row[13],
        attempt=row[14],
        max_attempts=row[15],
        retry_count=row[16],
        n8n_execution_id=row[17],
        n8n_version_id=row[18],
        revision=row[19],
        retry_of=row[20],
        scheduled_for=row[21],
        cancel_requested_at=row[22],
        error_message=row[23],
        error_node=row[24],
    )


def _attempt(row: tuple[Any, ...]) -> Attempt:
    return Attempt(
        attempt=row[0],
        worker=row[1],
        n8n_execution_id=row[2],
        n8n_version_id=row[3],
        started_at=row[4],
        finished_at=row[5],
        outcome=row[6],
        error=row[7],
        error_node=row[8],
        milliseconds=row[9],
        adopted_at=row[10],
    )
