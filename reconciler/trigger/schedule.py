"""Cron expressions and time zones: what is allowed, and whether it ever happens.

Five fields only, no macros and no extensions, so that every scheduler reads an
expression the same way. Not here: computing the next occurrence (`reconciler.trigger.next_fire`).
"""

from __future__ import annotations

import difflib
import functools
import re
import zoneinfo
from dataclasses import dataclass
from typing import Final

from reconciler.diagnostics import Problem

MAX_CRON: Final = 256  # characters; a longer one is a mistake, not a schedule
_DAYS_IN_MONTH: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MONTHS: Final = [
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
]
_WEEKDAYS: Final = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_ITEM: Final = re.compile(r"(\*|[0-9]{1,4}|[a-z]{3})(?:-([0-9]{1,4}|[a-z]{3}))?(?:/([0-9]{1,4}))?")
# Zone files that mean something else on each machine, or nothing at all.
_NOT_A_ZONE: Final = frozenset({"localtime", "posixrules", "Factory"})
_MACRO: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields: its word, its bounds and the names it knows."""

    word: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    first: int = 0  # the number of the first name

    def number(self, text: str) -> int | None:
        """Read a number or a name; None when it is neither or out of bounds."""
        if text in self.names:
            return self.names.index(text) + self.first
        if not text.isdigit():
            return None
        value = int(text)
        return value if self.low <= value <= self.high else None


_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, tuple(_MONTHS), 1),
    _Field("day of the week", 0, 7, tuple(_WEEKDAYS)),
)


@functools.lru_cache(maxsize=4096)
def cron_problem(expression: str) -> Problem | None:
    """Say what is wrong with a cron *expression*, or None when it is good."""
    words = expression.split()
    macro = _MACRO.get(expression.strip().lower())
    if macro is not None:
        message = f"{expression.strip()} is not supported: a schedule has five fields"
        return Problem("AUT103", message, hint=f'write "{macro}"')
    if len(words) != len(_FIELDS) or len(expression) > MAX_CRON:
        message = f"a schedule has five fields, this one has {len(words)}"
        hint = 'minute, hour, day of the month, month, day of the week, such as "0 9 * * 1-5"'
        return Problem("AUT103", message, hint=hint)
    sets: list[frozenset[int]] = []
    for field, word in zip(_FIELDS, words, strict=True):
        values = _values(field, word.lower())
        if isinstance(values, Problem):
            return values
        sets.append(values)
    return None if _happens(words, sets) else _never(words)


def field_values(expression: str) -> tuple[frozenset[int], ...]:
    """Give the values of the five fields of an *expression* that has no problem; 7 is Sunday, too.

    Raises ValueError, in the words of `cron_problem`, for one that has.
    """
    problem = cron_problem(expression)
    if problem is not None:
        raise ValueError(problem.message)
    found: list[frozenset[int]] = []
    for field, word in zip(_FIELDS, expression.split(), strict=True):
        values = _values(field, word.lower())
        assert not isinstance(values, Problem)
        found.append(values)
    return tuple(found)


def _values(field: _Field, word: str) -> frozenset[int] | Problem:
    values: set[int] = set()
    for item in word.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            return _bad(field, item)
        start_text, end_text, step_text = match.groups()
        step = int(step_text) if step_text is not None else 1
        if start_text == "*":
            start: int | None = field.low
            end: int | None = field.high if end_text is None else None
        else:
            start = field.number(start_text)
            # "5/15" means from 5 to the end in steps of 15
            last = field.high if step_text is not None else start
            end = last if end_text is None else field.number(end_text)
        if start is None or end is None or start > end or step == 0:
            return _bad(field, item)
        values.update(range(start, end + 1, step))
    return frozenset(values)


def _bad(field: _Field, item: str) -> Problem:
    message = f'"{item}" is not a {field.word}'
    hint = f"numbers from {field.low} to {field.high}, ranges such as 1-5, steps such as */15"
    if field.names:
        hint += f", names such as {field.names[0]}"
    return Problem("AUT101", message, hint=hint)


def _happens(words: list[str], sets: list[frozenset[int]]) -> bool:
    _, _, days, months, _ = sets
    if not words[4].startswith("*"):
        return True  # cron joins day of month and day of week by "or"
    return any(min(days) <= _DAYS_IN_MONTH[month - 1] for month in months)


def _never(words: list[str]) -> Problem:
    message = f"this schedule never happens: no month {words[3]} has a day {words[2]}"
    return Problem("AUT102", message, hint="take a day that the month has")


@functools.lru_cache(maxsize=1024)
def zone_problem(name: str) -> Problem | None:
    """Say what is wrong with the time zone *name*, or None when it is known."""
    try:
        if name not in _NOT_A_ZONE:
            zoneinfo.ZoneInfo(name)
            return None
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        pass
    except KeyError:
        pass
    near = nearest_zone(name)
    hint = f'did you mean "{near}"?' if near else 'names look like "Europe/Berlin", or "UTC"'
    return Problem("AUT104", f'unknown time zone "{name}"', hint=hint)


def nearest_zone(name: str) -> str | None:
    """Find the zone that *name* was probably meant to be."""
    zones = {zone.lower(): zone for zone in sorted(zoneinfo.available_timezones() - _NOT_A_ZONE)}
    wanted = name.lower().replace(" ", "_")
    cities = {zone.rpartition("/")[2]: zone for zone in reversed(zones)}
    if wanted in cities:
        return zones[cities[wanted]]
    near = difflib.get_close_matches(wanted, zones, n=1, cutoff=0.7)
    return zones[near[0]] if near else None
