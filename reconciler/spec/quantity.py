"""Quantities as people write them: durations (``5m``), rates (``100/min``), e-mail addresses.

Not here: what a quantity is used for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

DURATION_PATTERN: Final = r"^([0-9]{1,7}(ms|s|m|h|d))+$"
RATE_PATTERN: Final = r"^[0-9]{1,7}/(s|sec|second|m|min|minute|h|hour|d|day)$"
# People add durations to now and take them away from it: both ends are still dates.
MAX_DURATION: Final = timedelta(days=365_000)
EMAIL_PATTERN: Final = r"^[^\s@<>\"(),:;\[\]\\]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])$"

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PERIODS: Final = {
    **dict.fromkeys(("s", "sec", "second"), 1),
    **dict.fromkeys(("m", "min", "minute"), 60),
    **dict.fromkeys(("h", "hour"), 3600),
    **dict.fromkeys(("d", "day"), 86400),
}
_PART: Final = re.compile(r"([0-9]+)(ms|s|m|h|d)")


@dataclass(frozen=True, slots=True)
class Rate:
    """At most *count* in each window of *seconds*."""

    count: int
    seconds: int

    def __str__(self) -> str:
        unit = {1: "s", 60: "min", 3600: "h", 86400: "d"}.get(self.seconds, f"{self.seconds}s")
        return f"{self.count}/{unit}"


def parse_duration(text: str) -> timedelta:
    """Read ``5m``, ``1h30m`` or ``250ms``; raises ValueError for anything else, or too long."""
    if re.match(DURATION_PATTERN, text) is None or text.endswith("\n"):
        message = f'"{text}" is not a duration'
        raise ValueError(message)
    seconds = sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if seconds > MAX_DURATION.total_seconds():  # a timedelta can't hold every sum of parts
        message = f"a duration is at most {MAX_DURATION.days} days"
        raise ValueError(message)
    return timedelta(seconds=seconds)


def format_duration(value: timedelta) -> str:
    """Write *value* as `parse_duration` reads it, in the largest units that fit."""
    rest = round(value / timedelta(milliseconds=1))
    if rest == 0:
        return "0s"
    text = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        number, rest = divmod(rest, size)
        text += f"{number}{unit}" if number else ""
    return text


def parse_rate(text: str) -> Rate:
    """Read ``100/min``; raises ValueError for anything else."""
    if re.match(RATE_PATTERN, text) is None or text.endswith("\n"):
        message = f'"{text}" is not a rate'
        raise ValueError(message)
    count, _, period = text.partition("/")
    if int(count) == 0:
        message = "a rate of nothing at all would never let anything run"
        raise ValueError(message)
    return Rate(int(count), _PERIODS[period])


def is_email(text: str) -> bool:
    """Whether *text* has the form of an e-mail address (nothing is sent to find out)."""
    if len(text) > 254 or re.match(EMAIL_PATTERN, text) is None or text.endswith("\n"):
        return False
    local, _, domain = text.rpartition("@")
    labels = domain.split(".")
    return (
        ".." not in local
        and local[0] != "."
        and local[-1] != "."
        and len(labels) > 1
        and all(label and label[0] != "-" and label[-1] != "-" for label in labels)
    )
