"""The schedules that are applied, as the database holds them, for the commands about them.

Not here: those of spec files (`reconciler.app.previews`), nor printing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from reconciler.app import new_id
from reconciler.app.desk import Desk
from reconciler.app.previews import Preview, upcoming
from reconciler.errors import UsageError
from reconciler.plan.restraint import Hold, What, covering
from reconciler.resource.address import Address
from reconciler.store.holds import Holds
from reconciler.store.schedule_list import ScheduleEntry, ScheduleList


async def applied(desk: Desk, name: str, after: datetime, count: int) -> list[Preview]:
    """Preview the schedules that *name* means in the database; raises UsageError."""
    home, _, last = name.rpartition("/")
    owner, _, schedule = last.partition(".")
    automation = await desk.automation(f"{home}/{owner}" if home else owner)
    entries = await ScheduleList(desk.database).read(1000, automation=automation.id)
    found = [one for one in entries if not schedule or one.name in {schedule, last}]
    if not found:
        message = f'the database has no schedule "{name}"'
        raise UsageError(message, hint="`reconciler schedules list` shows all of them")
    return [
        Preview(
            label=one.label,
            cron=one.cron,
            zone=one.zone,
            misfire=one.misfire,
            overlap=one.overlap,
            jitter_seconds=one.jitter_seconds,
            active=one.active and one.automation_active,
            occurrences=upcoming(one.cron, one.zone, after, count),
        )
        for one in found
    ]


async def listed(
    desk: Desk, limit: int, organization: str | None, automation: str | None
) -> list[tuple[ScheduleEntry, str]]:
    """List the applied schedules, each with its state; raises UsageError for unknown names."""
    home = None if organization is None else (await desk.organization(organization)).name
    owner = None if automation is None else (await desk.automation(automation)).id
    entries = await ScheduleList(desk.database).read(limit, organization=home, automation=owner)
    holds = await Holds(desk.database, new_id=new_id).open()
    return [(one, _state(one, holds)) for one in entries]


def _state(one: ScheduleEntry, holds: Iterable[Hold]) -> str:
    if not one.active:
        return "off"
    if not one.automation_active:
        return "automation off"
    if one.problem is not None:
        return "broken"
    if one.organization is not None and one.automation is not None:
        owner = Address(one.organization, "Automation", one.automation)
        if covering(holds, owner, What.FIRE):
            return "held"
    return "new" if one.next_fire is None else "active"
