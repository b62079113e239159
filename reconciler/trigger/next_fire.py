"""When a schedule is due: cron expressions in a time zone, through the changes of its clocks.

An expression is matched on the wall clock (`reconciler.trigger.cron`); what becomes of a time that
does not exist or exists twice is decided here, as Debian's cron does it: a fixed time in the
skipped hour happens once, at the first instant after it, and one in the repeated hour once, the
first time round. A schedule whose minute or hour begins with `*` follows real elapsed time instead.
Not here: which expressions are allowed (`reconciler.trigger.schedule`), what a due one starts.
"""

from __future__ import annotations

import functools
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from reconciler.trigger.cron import Cron, parse_cron
from reconciler.trigger.schedule import cron_problem, zone_problem

_SECOND: Final = timedelta(seconds=1)
_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)


def schedule_problem(expression: str | None, zone: str | None) -> str | None:
    """Say in one sentence what is wrong with a schedule as a row holds it, or None."""
    if not expression:
        return "it has no cron expression"
    problem = cron_problem(expression) or zone_problem(zone or "UTC")
    if problem is None and not f"{expression}{zone or ''}".isprintable():
        return "it contains a line break or another control character"
    return None if problem is None else problem.message


def next_fire(expression: str, zone: str, after: datetime) -> datetime:
    """Give the first instant later than *after* (aware) at which the schedule is due, in UTC.

    Raises ValueError for a schedule that `schedule_problem` refuses, or that is never due again.
    """
    return _next_fire(expression, zone, after.astimezone(UTC))


# Many schedules say the same, and what was due together is looked at together. In UTC: two times of
# one zone compare equal when only their fold differs.
@functools.lru_cache(maxsize=8192)
def _next_fire(expression: str, zone: str, after: datetime) -> datetime:
    place = _zone(zone)
    cron = parse_cron(expression)
    local = after.astimezone(place)
    wall = datetime.combine(local.date(), local.time())  # `replace` would take four times as long
    offset = _offset(local)
    if not cron.elapsed or (local.fold == 0 and _offset(local.replace(fold=1)) == offset):
        # Nearly always the clocks do not change in between, and then nothing else has to be asked.
        found = cron.next_wall(wall) - offset
        found = datetime.combine(found.date(), found.time(), UTC)
        there = found.astimezone(place)
        if there.fold == 0 and _offset(there) == offset:
            return found
    return _next_through_changes(cron, place, after)


def _next_through_changes(cron: Cron, place: zoneinfo.ZoneInfo, after: datetime) -> datetime:
    local = after.astimezone(place)
    if cron.elapsed:
        return _next_real(cron, place, local)
    wall = local.replace(tzinfo=None, fold=0)
    while True:
        wall = cron.next_wall(wall)
        found = _instant(wall, place)
        if found > after:  # not the second copy of an hour whose first copy it was due in
            return found


def latest_fire(expression: str, zone: str, start: datetime, until: datetime) -> datetime:
    """Give the last instant not after *until* at which it is due; *start* (due) is one of them."""
    found = start
    while (following := next_fire(expression, zone, found)) <= until:
        found = low = following
        high = until
        while high - low > _MINUTE:
            middle = low + (high - low) / 2
            fire = next_fire(expression, zone, middle)
            if fire <= until:
                found, low = fire, middle
            else:
                high = middle
    return found


def fires(expression: str, zone: str, after: datetime) -> Iterator[datetime]:
    """Give all instants later than *after* at which the schedule is due, without end."""
    while True:
        after = next_fire(expression, zone, after)
        yield after


def remark(expression: str, zone: str, fire: datetime) -> str | None:
    """Say what a change of the clocks does to the occurrence *fire*, if it does anything."""
    place, cron = _zone(zone), parse_cron(expression)
    local = fire.astimezone(place)
    before = (fire - _MINUTE).astimezone(place)
    shift = _offset(local) - _offset(before)
    if shift > timedelta(0) and not cron.elapsed:
        wall = before.replace(tzinfo=None, fold=0)
        planned = cron.next_wall(wall)
        if planned < local.replace(tzinfo=None, fold=0):
            return f"clocks go forward: {planned:%H:%M} does not exist, so at {local:%H:%M}"
    other = local.replace(fold=1 - local.fold)
    if other.utcoffset() != local.utcoffset() and _is_twice(local, place):
        if not cron.elapsed:
            return f"clocks go back: {local:%H:%M} comes twice, due the first time only"
        return f"clocks go back: {local:%H:%M} comes twice, this is the " + (
            "second" if local.fold else "first"
        )
    return None


def _next_real(cron: Cron, place: zoneinfo.ZoneInfo, local: datetime) -> datetime:
    """Follow elapsed time: every instant whose wall clock matches, both copies, no make-up."""
    wall = local.replace(tzinfo=None, fold=0)
    found = cron.next_wall(wall)
    if local.fold == 0 and _is_twice(local, place):
        # The same wall-clock times come again: what is left of the first copy, then all of it.
        change = _change(local, place)
        end = (change - _SECOND).astimezone(place).replace(tzinfo=None, fold=0)
        if found > end:
            again = change.astimezone(place).replace(tzinfo=None, fold=0)
            found = cron.next_wall(again - _SECOND)
            return found.replace(tzinfo=place, fold=1).astimezone(UTC)
    while _is_skipped(found, place):
        resumed = _instant(found, place).astimezone(place).replace(tzinfo=None, fold=0)
        found = cron.next_wall(resumed - _SECOND)
    fold = local.fold if found - wall < _DAY else 0  # from a second copy into what is left of it
    return found.replace(tzinfo=place, fold=fold).astimezone(UTC)


def _instant(wall: datetime, place: zoneinfo.ZoneInfo) -> datetime:
    """Map a wall-clock time: the first of two, or the first instant after a gap that holds it."""
    if _is_skipped(wall, place):
        return _change(wall.replace(tzinfo=place), place)
    return wall.replace(tzinfo=place, fold=0).astimezone(UTC)


def _is_skipped(wall: datetime, place: zoneinfo.ZoneInfo) -> bool:
    there = wall.replace(tzinfo=place, fold=0)
    return there.astimezone(UTC).astimezone(place).replace(tzinfo=None, fold=0) != wall


def _is_twice(local: datetime, place: zoneinfo.ZoneInfo) -> bool:
    first, second = local.replace(fold=0), local.replace(fold=1)
    differ = _offset(first) != _offset(second)
    return differ and not _is_skipped(local.replace(tzinfo=None, fold=0), place)


def _change(local: datetime, place: zoneinfo.ZoneInfo) -> datetime:
    """Find the instant of the change of clocks that makes *local* exist twice or not at all."""
    one = local.replace(fold=0).astimezone(UTC)
    other = local.replace(fold=1).astimezone(UTC)
    low, high = min(one, other) - _SECOND, max(one, other)
    before = _offset(low.astimezone(place))
    while high - low > _SECOND:
        middle = low + ((high - low) // _SECOND // 2) * _SECOND
        if _offset(middle.astimezone(place)) == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta(0)


@functools.lru_cache(maxsize=1024)
def _zone(name: str) -> zoneinfo.ZoneInfo:
    problem = zone_problem(name)
    if problem is not None:
        raise ValueError(problem.message)
    return zoneinfo.ZoneInfo(name)
