"""Whether a key that is known was used for the same wish: input and trigger.

Not here: webhooks, whose senders vouch for their ids; events, which compare for themselves.
"""

from __future__ import annotations

from typing import Final

from reconciler.store.database import Database
from reconciler.store.executions.encoding import encode
from reconciler.trigger.execution import NewExecution

# A trigger that has been replaced since makes no other wish out of a repeated one.
_SAME: Final = b"""
SELECT e."triggerData" = %(data)s::jsonb
    AND (t.id IS NULL OR %(trigger)s::text IS NULL OR t.id = %(trigger)s)
FROM workflow_executions AS e LEFT JOIN workflow_triggers AS t ON t.id = e."triggerId"
WHERE e.id = %(id)s
"""


async def repeats(database: Database, id_: str, new: NewExecution) -> bool:
    """Whether the execution *id_* was asked for with what *new* asks for; one that is gone was."""
    values = {"id": id_, "data": encode(new.trigger_data), "trigger": new.trigger_id}
    rows = await database.execute(_SAME, values)
    return all(row[0] is True for row in rows)
