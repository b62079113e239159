"""What people are shown of the schedules: when each fires next, fired last, and what is wrong.

Not here: firing them (`reconciler.store.schedules`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from reconciler.store.database import Database

_LIST = b"""
SELECT t.id, a.id, s.organization, s.name, COALESCE(t.name, r.name), a.name,
    COALESCE(t."cronSchedule", ''), COALESCE(t.timezone, 'UTC'),
    COALESCE(t.misfire, 'fire_once'), COALESCE(t.overlap, 'skip'), COALESCE(t.jitter, 0),
    t."isActive", a."isActive", t."nextFireAt", t."lastTriggeredAt", t."triggerCount",
    t."scheduleError"
FROM workflow_triggers AS t JOIN automations AS a ON a.id = t."automationId"
LEFT JOIN reconciler.resources AS r ON r.row_id = t.id AND r.kind = 'Trigger'
LEFT JOIN reconciler.resources AS s ON s.row_id = a.id AND s.kind = 'Automation'
WHERE t."triggerType" = 'SCHEDULE' AND r.removed_at IS NULL
    AND (%(organization)s::text IS NULL OR s.organization = %(organization)s)
    AND (%(automation)s::text IS NULL OR a.id = %(automation)s)
ORDER BY t."nextFireAt" NULLS LAST, s.organization, s.name, t.name, t.id
LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleEntry:
    """A schedule as its row holds it; *organization* and *automation* are names of the specs."""

    id: str
    automation_id: str
    organization: str | None
    automation: str | None
    name: str | None
    title: str  # of the automation
    cron: str
    zone: str
    misfire: str
    overlap: str
    jitter_seconds: int
    active: bool
    automation_active: bool
    next_fire: datetime | None
    last_fire: datetime | None
    count: int
    problem: str | None

    @property
    def label(self) -> str:
        """What people call it: organization/automation.schedule."""
        home = f"{self.organization}/{self.automation}" if self.automation else self.title
        return f"{home}.{self.name}" if self.name else home


class ScheduleList:
    """Reads the schedules of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(
        self, limit: int, *, organization: str | None = None, automation: str | None = None
    ) -> list[ScheduleEntry]:
        """List up to *limit* schedules, what is due first; of an organization, an automation's id."""
        values = {"limit": limit, "organization": organization, "automation": automation}
        return [_entry(row) for row in await self._database.execute(_LIST, values)]


def _entry(row: Sequence[Any]) -> ScheduleEntry:
    names = [field.name for field in fields(ScheduleEntry)]  # the order of the columns
    return ScheduleEntry(**dict(zip(names, row, strict=True)))
