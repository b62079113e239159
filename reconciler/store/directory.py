"""Finds organizations and automations by what people and callers call them.

A name is that of the specs (`acme`, `acme/invoice-intake`, `acme/Automation/invoice-intake`) or the
id of the row. Another organization's name or id answers like an unknown one. Not here: resources.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from reconciler.store.database import Database
from reconciler.store.webhooks import DEFAULT_PERIOD, DEFAULT_RATE

_ORGANIZATIONS = b"""
SELECT o.id, r.name, o.name FROM public.organization o
LEFT JOIN reconciler.resources r ON r.row_id = o.id AND r.kind = 'Organization'
WHERE %(name)s::text IS NULL OR o.id = %(name)s OR r.name = %(name)s
ORDER BY r.name NULLS LAST, o.id
"""
# Removed automations are found as well: their history stays.
_AUTOMATIONS = b"""
SELECT a.id, a."orgId", r.organization, r.name, a.name, a."isActive",
       a."n8nWorkflowId", coalesce(a.metadata #> '{reconciler,entry}' <> '[]', true)
FROM public.automations a
LEFT JOIN reconciler.resources r ON r.row_id = a.id AND r.kind = 'Automation'
WHERE (%(home)s::text IS NULL OR a."orgId" = %(home)s)
  AND (a.id = %(name)s
       OR (r.name = %(name)s AND (%(organization)s::text IS NULL
                                  OR r.organization = %(organization)s)))
ORDER BY r.organization, a.id
"""
_NAMES = b"""
SELECT organization || '/' || name FROM reconciler.resources
WHERE kind = 'Automation' AND removed_at IS NULL ORDER BY 1
"""
_TRIGGERS = b"""
SELECT t.id, t.name, t."triggerType"::text, t."isActive", t."eventFilters"::text,
       t."triggerEvent", t."cronSchedule", t."lastTriggeredAt", t."triggerCount"
FROM public.workflow_triggers t
LEFT JOIN reconciler.resources r ON r.row_id = t.id AND r.kind = 'Trigger'
WHERE t."automationId" = %(id)s AND r.removed_at IS NULL
ORDER BY t.name, t.id
"""
_RATE = f"""
SELECT coalesce(max(rate_limit), {DEFAULT_RATE}),
       coalesce(max(rate_period_seconds), {DEFAULT_PERIOD})
FROM reconciler.automation_runtime WHERE automation_id = %(id)s
""".encode()


NOT_STARTABLE: Final = "other workflows call it, or n8n starts it by itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationEntry:
    """An organization; *name* is that of the specs, None when no spec declares it."""

    id: str
    name: str | None
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomationEntry:
    """An automation; *organization* and *name* are those of the specs."""

    id: str
    organization_id: str
    organization: str | None
    name: str | None
    title: str
    active: bool
    workflow_id: str | None  # n8n's
    startable: bool  # False: only n8n itself or another workflow can start it

    @property
    def label(self) -> str:
        """What people call it."""
        return f"{self.organization}/{self.name}" if self.name else self.title


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerEntry:
    """A trigger of an automation; *filters* as JSON text."""

    id: str
    name: str | None
    type: str
    active: bool
    filters: str | None
    event: str
    cron: str | None
    last_triggered_at: datetime | None
    count: int


class Directory:
    """Looks names up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def organizations(self, name: str | None = None) -> list[OrganizationEntry]:
        """List the organizations with this name or id (None: all)."""
        rows = await self._rows(_ORGANIZATIONS, {"name": name})
        return [OrganizationEntry(id=row[0], name=row[1], title=row[2]) for row in rows]

    async def automations(self, name: str, home: str | None = None) -> list[AutomationEntry]:
        """List the automations that *name* may mean, in the organization with the id *home*."""
        organization, _, rest = name.rpartition("/")
        organization = organization.removesuffix("/Automation")
        values = {"name": rest, "organization": organization or None, "home": home}
        return [
            AutomationEntry(
                id=row[0],
                organization_id=row[1],
                organization=row[2],
                name=row[3],
                title=row[4],
                active=row[5],
                workflow_id=row[6],
                startable=row[7],
            )
            for row in await self._rows(_AUTOMATIONS, values)
        ]

    async def names(self) -> list[str]:
        """List the names of all automations that specs declare."""
        return [row[0] for row in await self._rows(_NAMES, {})]

    async def triggers(self, automation_id: str) -> list[TriggerEntry]:
        """List the triggers of an automation, by name."""
        return [
            TriggerEntry(
                id=row[0],
                name=row[1],
                type=row[2],
                active=row[3],
                filters=row[4],
                event=row[5],
                cron=row[6],
                last_triggered_at=row[7],
                count=row[8],
            )
            for row in await self._rows(_TRIGGERS, {"id": automation_id})
        ]

    async def rate(self, automation_id: str) -> tuple[int, float]:
        """Tell how many calls of an automation are let in, and in how many seconds."""
        [row] = await self._rows(_RATE, {"id": automation_id})
        return row[0], float(row[1])

    async def _rows(self, statement: bytes, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        return await self._database.execute(statement, values)
