"""Cron expressions as n8n itself reads them, for the triggers that n8n keeps serving.

Not here: our own schedules (`reconciler.trigger.schedule`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from reconciler.resource.payload import Value
from reconciler.workflow.finding import Path

_FIELDS = (
    ("second", 0, 59),
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 7),
)
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMES = {
    **{name: str(at) for at, name in enumerate(_DAYS)},
    **{name: str(at) for at, name in enumerate(_MONTHS, 1)},
}
_PRESETS = ("@yearly", "@monthly", "@weekly", "@daily", "@hourly")
_MORE_PRESETS = ("@minutely", "@secondly", "@weekdays", "@weekends")
_RANGE = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?(?:/(\d{1,4}))?")


class Written(NamedTuple):
    """A cron expression in a node's parameters."""

    path: Path
    expression: str


def cron_problem(expression: str) -> str | None:
    """Say what n8n can't read in *expression* (five fields, or six with seconds); None if it can."""
    text = expression.strip().lower()
    if text in (*_PRESETS, *_MORE_PRESETS):
        return None
    for word in re.findall(r"[a-z]+", text):
        if word not in _NAMES:
            return f'"{word}" is not known in a cron expression'
    fields = re.sub(r"[a-z]+", lambda word: _NAMES[word[0]], text).split()
    if not 5 <= len(fields) <= 6:
        return f"a cron expression has five or six fields, and this one {len(fields)}"
    for field, (unit, low, high) in zip(fields, _FIELDS[-len(fields) :], strict=True):
        for part in field.split(","):
            if problem := _part_problem(part, unit, low, high):
                return problem
    return None


def cron_expressions(parameters: Mapping[str, Value]) -> Iterator[Written]:
    """Find the cron expressions of schedule, cron and polling triggers; not those made at run time."""
    places: tuple[tuple[str, str, str, str, str], ...] = (
        ("rule", "interval", "field", "cronExpression", "expression"),
        ("triggerTimes", "item", "mode", "custom", "cronExpression"),
        ("pollTimes", "item", "mode", "custom", "cronExpression"),
    )
    for group, items, chooser, choice, key in places:
        holder = parameters.get(group)
        listed = holder.get(items) if isinstance(holder, dict) else None
        for at, item in enumerate(listed if isinstance(listed, list) else []):
            if isinstance(item, dict) and item.get(chooser) == choice:
                expression = item.get(key)
                if isinstance(expression, str) and not expression.startswith("="):
                    yield Written((group, items, at, key), expression)


def _part_problem(part: str, unit: str, low: int, high: int) -> str | None:
    found = _RANGE.fullmatch(f"{low}-{high}{part[1:]}" if part.startswith("*") else part)
    if found is None:
        return f'"{part}" is not a valid {unit}'
    first, last, step = (int(number) if number else None for number in found.groups())
    if step == 0:
        return f'the step of "{part}" is zero'
    if first is not None and last is not None and first > last:
        return f'"{part}" runs backwards'
    if any(number is not None and not low <= number <= high for number in (first, last)):
        return f'"{part}" is not a {unit} from {low} to {high}'
    return None
