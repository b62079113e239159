"""The breaker of one automation: when it keeps failing, its runs wait.

CLOSED -> OPEN after five failures in a row, or when half of at least ten runs
of five minutes failed. OPEN lasts 30 s, doubled each time up to 10 min; then
one probe runs (HALF_OPEN): it closes the breaker or opens it again. Runs that
were cancelled or that n8n never began say nothing. Not here: the columns, nor
the claim that lets exactly one probe through.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

IN_A_ROW: Final = 5
ENOUGH: Final = 10  # runs in a window, before their share counts
WINDOW: Final = timedelta(minutes=5)
PAUSE: Final = timedelta(seconds=30)
LONGEST_PAUSE: Final = timedelta(minutes=10)


class Position(enum.StrEnum):
    """Where a breaker stands."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class Verdict(enum.Enum):
    """What the end of an attempt says about its workflow."""

    GOOD = "good"
    BAD = "bad"  # it failed and is not tried again
    WEAK = "weak"  # it failed and is tried again: counts for a probe only
    SILENT = "silent"  # cancelled, or never begun


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """The state of one breaker; *until* is when an open one lets its probe through."""

    position: Position = Position.CLOSED
    until: datetime | None = None
    opened: int = 0  # times since it was closed
    in_a_row: int = 0
    window_started: datetime | None = None
    window_total: int = 0
    window_failed: int = 0
    probe: str | None = None  # the execution that probes


def after(breaker: Breaker, ends: Iterable[tuple[str, Verdict]], now: datetime) -> Breaker:
    """Give the state after attempts (execution id, verdict) ended, in order, at *now*."""
    for execution, verdict in ends:
        breaker = _after_one(breaker, execution, verdict, now)
    return breaker


def _after_one(breaker: Breaker, execution: str, verdict: Verdict, now: datetime) -> Breaker:
    if breaker.position is Position.CLOSED:
        return _counted(breaker, verdict, now)
    if breaker.position is Position.HALF_OPEN and breaker.probe in (None, execution):
        match verdict:
            case Verdict.GOOD:
                return Breaker()
            case Verdict.SILENT:  # it proved nothing: let the next one probe, at once
                return replace(breaker, position=Position.OPEN, until=now, probe=None)
            case _:
                return _opened(breaker, now)
    return breaker  # a run that began before the breaker opened: nothing new


def _counted(breaker: Breaker, verdict: Verdict, now: datetime) -> Breaker:
    if verdict in (Verdict.SILENT, Verdict.WEAK):
        return breaker
    bad = verdict is Verdict.BAD
    started, total, failed = breaker.window_started, breaker.window_total, breaker.window_failed
    if started is None or now - started >= WINDOW:
        started, total, failed = now, 0, 0
    breaker = Breaker(
        until=breaker.until,
        opened=breaker.opened,
        in_a_row=breaker.in_a_row + 1 if bad else 0,
        window_started=started,
        window_total=total + 1,
        window_failed=failed + bad,
        probe=breaker.probe,
    )
    often = breaker.window_total >= ENOUGH and 2 * breaker.window_failed >= breaker.window_total
    return _opened(breaker, now) if bad and (often or breaker.in_a_row >= IN_A_ROW) else breaker


def _opened(breaker: Breaker, now: datetime) -> Breaker:
    pause = min(PAUSE * 2 ** min(breaker.opened, 10), LONGEST_PAUSE)
    return Breaker(position=Position.OPEN, until=now + pause, opened=breaker.opened + 1)
