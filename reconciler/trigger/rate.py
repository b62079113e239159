"""How many calls of a sliding window are still free.

The window is cut into slots; a slot that is partly in the window counts in full. So no window
of the period ever holds more than the limit, and a place gets free at most one slot late.
Not here: where the counts are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SLOTS: Final = 60  # to a period


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Counts of the newest slots, the newest (number *slot*) first; older ones are not kept."""

    slot: int = 0
    slot_seconds: float = 1.0
    counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a request for places in a window came to."""

    window: Window
    granted: int
    retry_after: float  # seconds until a place gets free; 0 when all were granted


def take(window: Window, wanted: int, *, limit: int, seconds: float, now: float) -> Taken:
    """Take up to *wanted* of the places that *limit* calls in *seconds* leave at *now* (epoch)."""
    size = seconds / SLOTS
    current, kept = _at(window, size, now)
    counts = list(kept)
    free = max(0, limit - sum(counts))
    granted = min(wanted, free)
    counts[0] += granted
    after = Window(slot=current, slot_seconds=size, counts=tuple(counts))
    retry_after = wait_for_place(after, seconds=seconds, now=now) if granted < wanted else 0.0
    return Taken(window=after, granted=granted, retry_after=retry_after)


def wait_for_place(window: Window, *, seconds: float, now: float) -> float:
    """Tell in how many seconds the oldest count leaves a full *window*."""
    size = seconds / SLOTS
    current, counts = _at(window, size, now)
    oldest = max((at for at, count in enumerate(counts) if count), default=0)
    return max(0.0, (current - oldest + SLOTS + 1) * size - now)


def _at(window: Window, size: float, now: float) -> tuple[int, tuple[int, ...]]:
    """Give the newest slot at *now*, and the counts from it on; another slot size keeps the sum.

    A window further ahead than a period holds nothing: the clock was wrong, and was put right.
    """
    current = int(now // size)
    if window.slot_seconds != size:  # the period was changed: what was counted counts a period more
        over = abs(now - (window.slot + 1) * window.slot_seconds) > (SLOTS + 1) * size
        return current, (0 if over else sum(window.counts), *([0] * SLOTS))
    if window.slot - current > SLOTS:
        return current, (0,) * (SLOTS + 1)
    current = max(current, window.slot)
    kept = (*([0] * min(current - window.slot, SLOTS + 1)), *window.counts)[: SLOTS + 1]
    return current, kept + (0,) * (SLOTS + 1 - len(kept))
