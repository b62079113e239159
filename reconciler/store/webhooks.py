"""The webhooks that can be called: active triggers of active automations, with what guards them.

Secrets come as they are stored, encrypted. Not here: deciding about a call.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.store.database import Database

DEFAULT_RATE: Final = 100
DEFAULT_PERIOD: Final = 60  # seconds

_ROUTES = f"""
SELECT a.id, a."orgId", t.id, t.name, t.auth, t."authSecrets", t."eventFilters"::text,
    COALESCE(t."webhookUrl", a."webhookUrl", ''),
    COALESCE(r.rate_limit, {DEFAULT_RATE}), COALESCE(r.rate_period_seconds, {DEFAULT_PERIOD}),
    r.max_queued IS NOT NULL, extract(epoch FROM clock_timestamp())::float8
FROM automations AS a
JOIN workflow_triggers AS t ON t."automationId" = a.id
LEFT JOIN reconciler.automation_runtime AS r ON r.automation_id = a.id
WHERE a.id = ANY(%(ids)s) AND a."isActive" AND t."isActive" AND t."triggerType" = 'WEBHOOK'
ORDER BY a.id, t.name, t.id
""".encode()

_LIST = b"""
SELECT o.organization, COALESCE(m.name, a.name), o.name, t.name, t.id, a.id, t.auth,
    COALESCE(t."webhookUrl", a."webhookUrl", ''), t."isActive" AND a."isActive",
    t."lastTriggeredAt", t."triggerCount",
    (SELECT count(*) FROM reconciler.webhook_deliveries AS d
     WHERE d.automation_id = a.id AND d.trigger_id = t.id AND NOT d.accepted
       AND d.received_at > clock_timestamp() - interval '1 day')
FROM workflow_triggers AS t
JOIN automations AS a ON a.id = t."automationId"
JOIN reconciler.resources AS o ON o.row_id = t.id AND o.removed_at IS NULL
LEFT JOIN reconciler.resources AS m ON m.row_id = a.id
WHERE t."triggerType" = 'WEBHOOK'
ORDER BY 1, 2, 3, 4
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A webhook that may be called, as the database has it."""

    automation_id: str
    organization_id: str
    trigger_id: str
    name: str | None
    auth: Any  # {"scheme", "header", "methods", "notAfter"}, or what another client wrote
    sealed: str | None
    filters: str | None  # JSON
    url: str
    limit: int
    period: float  # seconds
    bounded: bool  # the automation has a bound of its own for what may wait
    read_at: float  # epoch, by the database's clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A webhook as people see it."""

    organization: str
    automation: str  # its name in the specs
    name: str  # the trigger's name in the specs, such as invoice-intake.orders
    trigger: str | None  # the end of its address
    trigger_id: str
    automation_id: str
    auth: Any
    url: str
    active: bool
    last_called_at: Any
    calls: int
    rejected: int  # in the last day


class Webhooks:
    """Reads webhooks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def routes(self, ids: Collection[str]) -> dict[str, Sequence[Route]]:
        """Find the webhooks of the automations *ids* that may be called now."""
        rows = await self._database.execute(_ROUTES, {"ids": list(ids)}, prepare=True)
        found: dict[str, list[Route]] = {}
        for row in rows:
            found.setdefault(row[0], []).append(_route(row))
        return dict(found)

    async def all(self) -> list[Listed]:
        """List every webhook that the specs declare."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(_LIST)
            return [
                Listed(
                    organization=row[0], automation=row[1], name=row[2], trigger=row[3],
                    trigger_id=row[4], automation_id=row[5], auth=row[6], url=row[7],
                    active=row[8], last_called_at=row[9], calls=row[10], rejected=row[11],
                )
                async for row in cursor
            ]  # fmt: skip


def _route(row: tuple[Any, ...]) -> Route:
    return Route(
        automation_id=row[0], organization_id=row[1], trigger_id=row[2], name=row[3], auth=row[4],
        sealed=row[5], filters=row[6], url=row[7], limit=row[8], period=float(row[9]),
        bounded=row[10], read_at=row[11],
    )  # fmt: skip
