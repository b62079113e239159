"""A cron expression on a wall clock: the next time it matches, no zone, no summer time.

Both days that are given count (the 13th, or a Friday), unless one of the two fields begins with
`*`: then both must match, as in Debian's cron. Not here: time zones (`reconciler.trigger.next_fire`).
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from reconciler.trigger.schedule import field_values

_DAY: Final = timedelta(days=1)
_YEARS: Final = 50  # a 29 February that is a Sunday comes within 40
_SUNDAY: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """An expression, read: the values of its fields, and how they are meant."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 1 is Monday, 7 is Sunday
    either_day: bool  # day of month *or* day of week
    elapsed: bool  # minute or hour begins with *: it follows real time

    def next_wall(self, wall: datetime) -> datetime:
        """Give the first matching wall-clock time later than *wall* (naive).

        Raises ValueError when there is none within 50 years.
        """
        found = self._later_that_day(wall)
        if found is not None and self._is_day(wall.date()):
            return found
        day = wall.date() + _DAY
        last = min(wall.year + _YEARS, date.max.year - 1)
        while day.year <= last:
            if day.month not in self.months:
                day = (day.replace(day=1) + 31 * _DAY).replace(day=1)
            elif self._is_day(day):
                return datetime(day.year, day.month, day.day, self.hours[0], self.minutes[0])  # noqa: DTZ001
            else:
                day += _DAY
        message = "this schedule is never due again"
        raise ValueError(message)

    def _later_that_day(self, wall: datetime) -> datetime | None:
        hour, minute = wall.hour, wall.minute + 1
        at = bisect_left(self.hours, hour)
        if at == len(self.hours):
            return None
        later = 0
        if self.hours[at] == hour:
            later = bisect_left(self.minutes, minute)
            if later == len(self.minutes):
                at, later = at + 1, 0
                if at == len(self.hours):
                    return None
        found = (wall.year, wall.month, wall.day, self.hours[at], self.minutes[later])
        return datetime(*found)  # noqa: DTZ001 - a wall clock has no zone

    def _is_day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, day.isoweekday() in self.weekdays
        return (of_month or of_week) if self.either_day else (of_month and of_week)


@functools.lru_cache(maxsize=16384)
def parse_cron(expression: str) -> Cron:
    """Read an *expression*; raises ValueError for one that `cron_problem` refuses."""
    minutes, hours, days, months, weekdays = field_values(expression)
    words = expression.split()
    return Cron(
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=days,
        months=months,
        weekdays=frozenset(day or _SUNDAY for day in weekdays),
        either_day=not (words[2].startswith("*") or words[4].startswith("*")),
        elapsed=words[0].startswith("*") or words[1].startswith("*"),
    )
