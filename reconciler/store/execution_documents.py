"""Executions and events as JSON documents: one form for the API and the command line.

Each field is named here: nothing gets out because it is in the row. Not here: who may see what.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from reconciler.store.event_records import EventRecord
from reconciler.store.events import Started
from reconciler.store.executions import Attempt, Execution, Summary


def summary_document(one: Summary, *, data: bool) -> dict[str, Any]:
    """Describe an execution in a list; without *data*, what a workflow said is left out."""
    document: dict[str, Any] = {
        "id": one.id,
        "organization": one.organization,
        "automation": one.automation,
        "automationId": one.automation_id,
        "status": one.status.value,
        "cause": one.cause.value,
        "trigger": one.trigger_name,
        "triggerId": one.trigger_id,
        "createdAt": _time(one.created_at),
        "runAt": _time(one.run_at),
        "startedAt": _time(one.started_at),
        "completedAt": _time(one.completed_at),
        "milliseconds": one.milliseconds,
        "attempt": one.attempt,
        "maxAttempts": one.max_attempts,
        "retryCount": one.retry_count,
        "n8nExecutionId": one.n8n_execution_id,
        "n8nVersionId": one.n8n_version_id,
        "revision": one.revision,
        "retryOf": one.retry_of,
        "scheduledFor": _time(one.scheduled_for),
        "cancelRequestedAt": _time(one.cancel_requested_at),
    }
    if data:
        document |= {"errorMessage": one.error_message, "errorNode": one.error_node}
    return document


def execution_document(one: Execution, *, data: bool) -> dict[str, Any]:
    """Describe an execution in full; without *data*, what went in and came out is left out."""
    document = summary_document(one.summary, data=data)
    document |= {
        "timeoutSeconds": one.timeout_seconds,
        "method": one.method,
        "idempotencyKey": one.idempotency_key,
        "worker": one.worker,
        "outputTruncated": one.output_truncated,
        "attempts": [attempt_document(attempt, data=data) for attempt in one.attempts],
    }
    if data:
        document |= {
            "triggerData": one.trigger_data,
            "output": one.output,
            "errorStack": one.error_stack,
            "metadata": one.metadata,
        }
    return document


def attempt_document(one: Attempt, *, data: bool) -> dict[str, Any]:
    """Describe an attempt."""
    document: dict[str, Any] = {
        "attempt": one.attempt,
        "worker": one.worker,
        "startedAt": _time(one.started_at),
        "finishedAt": _time(one.finished_at),
        "outcome": one.outcome,
        "milliseconds": one.milliseconds,
        "n8nExecutionId": one.n8n_execution_id,
        "n8nVersionId": one.n8n_version_id,
        "adoptedAt": _time(one.adopted_at),
    }
    if data:
        document |= {"error": one.error, "errorNode": one.error_node}
    return document


def event_document(one: EventRecord, *, data: bool = False) -> dict[str, Any]:
    """Describe an event; *data* adds what it carries."""
    document: dict[str, Any] = {
        "id": one.id,
        "organization": one.organization,
        "type": one.type,
        "state": one.state.value,
        "createdAt": _time(one.created_at),
        "dispatchedAt": _time(one.dispatched_at),
        "dueAt": None if one.dispatched_at else _time(one.due_at),
        "attempts": one.attempts,
        "executions": one.executions,
        "error": one.error,
        "sentBy": one.sent_by,
    }
    return {**document, "data": one.data} if data else document


def started_document(one: Started) -> dict[str, Any]:
    """Describe an execution that an event started."""
    return {
        "executionId": one.execution_id,
        "automation": one.automation,
        "automationId": one.automation_id,
        "trigger": one.trigger,
        "status": one.status,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
