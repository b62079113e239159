"""The SQL of operations and their steps, shared by the inventory and `Operations`."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Json

from reconciler.store.database import Connection
from reconciler.store.writes import StepIntent, StepOutcome

_LONGEST_ERROR = 4000  # characters; the rest of a server's page-long answer helps nobody

INTENDED = b"""
INSERT INTO reconciler.operation_steps (
    operation_id, ordinal, organization, kind, name, action, reason, detail
) VALUES (
    %(operation)s, %(ordinal)s, %(step_organization)s, %(step_kind)s, %(step_name)s, %(action)s,
    %(reason)s, %(detail)s
)
"""

CONCLUDED = b"""
UPDATE reconciler.operation_steps
SET outcome = %(outcome)s, error = %(error)s, finished_at = clock_timestamp()
WHERE operation_id = %(operation)s AND ordinal = %(ordinal)s
"""


def intent_values(step: StepIntent) -> dict[str, Any]:
    """Spread *step* over the parameters of `INTENDED`."""
    return {
        "operation": step.operation,
        "ordinal": step.ordinal,
        "step_organization": step.address.organization,
        "step_kind": step.address.kind,
        "step_name": step.address.name,
        "action": step.action,
        "reason": step.reason,
        "detail": Json(dict(step.detail)) if step.detail else None,
    }


async def conclude(connection: Connection, outcome: StepOutcome | None) -> None:
    """Record how a step ended; None: there was no step."""
    if outcome is None:
        return
    error = None if outcome.error is None else storable(outcome.error)
    values = {
        "operation": outcome.operation,
        "ordinal": outcome.ordinal,
        "outcome": "done" if error is None else "failed",
        "error": error,
    }
    await connection.execute(CONCLUDED, values)


def storable(text: str) -> str:
    """Cut and clean a text from outside so that PostgreSQL takes it."""
    return text[:_LONGEST_ERROR].replace("\x00", "\ufffd")
