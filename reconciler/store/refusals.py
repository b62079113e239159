"""The calls of webhooks that were refused, as people look at them. Not here: who refused them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from reconciler.store.database import Database

MAX_REFUSALS: Final = 1000

# For each automation by its own index: the calls that were taken are many more.
_NEWEST = b"""
SELECT d.received_at, COALESCE(m.organization, ''), COALESCE(m.name, a.name), t.name, d.reason,
    host(d.remote_address), d.body_bytes
FROM automations AS a
CROSS JOIN LATERAL (
    SELECT x.received_at, x.reason, x.remote_address, x.body_bytes, x.trigger_id
    FROM reconciler.webhook_deliveries AS x WHERE x.automation_id = a.id AND NOT x.accepted
    ORDER BY x.received_at DESC LIMIT %(limit)s
) AS d
LEFT JOIN reconciler.resources AS m ON m.row_id = a.id
LEFT JOIN workflow_triggers AS t ON t.id = d.trigger_id
WHERE %(automation)s::text IS NULL OR a.id = %(automation)s
ORDER BY d.received_at DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that was not let in."""

    received_at: datetime
    organization: str  # its name in the specs
    automation: str
    trigger: str | None
    reason: str  # one word, as in the documentation
    remote_address: str | None
    body_bytes: int | None


async def newest(database: Database, automation_id: str | None, limit: int) -> list[Refusal]:
    """Read up to *limit* refused calls, newest first; None: of all automations."""
    values = {"automation": automation_id, "limit": max(1, min(limit, MAX_REFUSALS))}
    return [Refusal(*row) for row in await database.execute(_NEWEST, values)]
