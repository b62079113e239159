"""What a due schedule starts: which of its occurrences run, when exactly, and with what item.

Not here: computing the occurrences (`reconciler.trigger.next_fire`), nor the rows.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Final
from zoneinfo import ZoneInfo

from reconciler.resource.payload import Payload
from reconciler.trigger.next_fire import fires, latest_fire, next_fire

MAX_MADE_UP: Final = 100  # occurrences that fire_all makes up for; the newest ones
MAX_COUNTED: Final = 100  # missed ones beyond that are not counted one by one
GRACE: Final = timedelta(hours=1)  # up to this late an occurrence counts as on time
MAX_JITTER: Final = timedelta(hours=1)
_SECOND: Final = timedelta(seconds=1)
_DAYS: Final = (
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
)
_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What a trigger's row says about when it fires."""

    expression: str
    zone: str = "UTC"
    misfire: str = "fire_once"
    grace: timedelta = GRACE
    jitter: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What a schedule that is due does now: *nominal* times to run, oldest first, and the next."""

    nominal: tuple[datetime, ...]
    missed: int  # occurrences that are given up; from `MAX_COUNTED` on, at least so many
    following: datetime


def look(schedule: Schedule, due: datetime, now: datetime) -> Due:
    """Decide what to run at *now* of the occurrences from *due* (not later than *now*) on.

    The newest one runs unless it is later than the grace allows: then it was missed, as were all
    that a newer one has overtaken. `skip` gives the missed ones up, `fire_once` runs the newest of
    all, `fire_all` all of them, up to 100. Raises ValueError for a schedule that is broken.
    """
    expression, zone = schedule.expression, schedule.zone
    following = next_fire(expression, zone, due)
    if following > now:  # the usual case: one, on time
        late = schedule.misfire == "skip" and now - due > schedule.grace
        return Due(nominal=() if late else (due,), missed=int(late), following=following)
    newest = latest_fire(expression, zone, due, now)
    following = next_fire(expression, zone, newest)
    if schedule.misfire == "fire_all":
        made_up, given_up = _newest(schedule, due, newest)
        return Due(nominal=made_up, missed=given_up, following=following)
    missed = _count(schedule, due, newest)
    if schedule.misfire == "skip" and now - newest > schedule.grace:
        return Due(nominal=(), missed=missed + 1, following=following)
    return Due(nominal=(newest,), missed=missed, following=following)


def _count(schedule: Schedule, due: datetime, newest: datetime) -> int:
    """Count the occurrences from *due* on that come before *newest*, up to `MAX_COUNTED`."""
    count, at = 0, due
    while at < newest and count < MAX_COUNTED:
        at = next_fire(schedule.expression, schedule.zone, at)
        count += 1
    return count


def _newest(
    schedule: Schedule, due: datetime, newest: datetime
) -> tuple[tuple[datetime, ...], int]:
    """List the newest occurrences from *due* to *newest*, at most 100, and count the others."""
    earliest = due - _SECOND
    start, span, found = newest, timedelta(hours=1), [newest]
    while start > earliest and len(found) < MAX_MADE_UP:
        start, span = max(earliest, newest - span), 4 * span
        found = list(takewhile(newest.__ge__, fires(schedule.expression, schedule.zone, start)))
    found = found[-MAX_MADE_UP:]
    return tuple(found), _count(schedule, due, found[0])


def start_at(trigger: str, schedule: Schedule, nominal: datetime) -> datetime:
    """Add the jitter: for one trigger and time always the same, and before the next occurrence."""
    if schedule.jitter <= timedelta(0):
        return nominal
    following = next_fire(schedule.expression, schedule.zone, nominal)
    room = min(schedule.jitter, MAX_JITTER, following - nominal) // timedelta(milliseconds=1)
    seed = hashlib.sha256(f"{trigger} {nominal.isoformat()}".encode()).digest()
    return nominal + timedelta(milliseconds=int.from_bytes(seed[:8]) % room)


def key(trigger: str, nominal: datetime) -> str:
    """Write the idempotency key of one occurrence: two daemons write the same."""
    return f"cron:{trigger}:{nominal.astimezone(UTC).isoformat()[:19]}Z"


def item(nominal: datetime, zone: str) -> Payload:
    """Make the item that n8n's own Schedule Trigger would have made at *nominal*."""
    return dict(_item(nominal.astimezone(UTC), zone))


@functools.lru_cache(maxsize=1024)
def _item(nominal: datetime, zone: str) -> Payload:
    local = nominal.astimezone(ZoneInfo(zone))
    stamp = local.isoformat(timespec="milliseconds")  # 2026-01-02T09:05:00.000+01:00
    offset, minutes = stamp[-6:], stamp[14:19]
    clock = f"{local.hour % 12 or 12}:{minutes} {'am' if local.hour < 12 else 'pm'}"
    month = _MONTHS[local.month - 1]
    return {
        "timestamp": stamp,
        "Readable date": f"{month} {_ordinal(local.day)} {stamp[:4]}, {clock}",
        "Readable time": clock,
        "Day of week": _DAYS[local.weekday()],
        "Year": stamp[:4],
        "Month": month,
        "Day of month": stamp[8:10],
        "Hour": stamp[11:13],
        "Minute": stamp[14:16],
        "Second": stamp[17:19],
        "Timezone": f"{zone} (UTC{offset})",
    }


def _ordinal(day: int) -> str:
    teens = range(11, 14)
    return f"{day}{'th' if day in teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"
