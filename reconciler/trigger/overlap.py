"""What a due occurrence does when earlier runs of the same schedule have not ended.

Not here: which occurrences are due (`reconciler.trigger.occurrence`), nor the rows.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Start(enum.Enum):
    """What becomes of one occurrence."""

    NOW = "now"
    AFTER_EARLIER = "after earlier"  # queued, held back until the runs before it have ended
    NOT = "not"  # recorded as cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """How many earlier runs of a schedule wait and run."""

    queued: int = 0
    running: int = 0

    @property
    def any(self) -> bool:
        """Whether one of them has not ended."""
        return self.queued > 0 or self.running > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of each occurrence, in their order, and of the runs before them."""

    starts: tuple[Start, ...]
    cancel_earlier: bool = False


def decide(overlap: str, live: Live, count: int) -> Decision:
    """Decide for *count* occurrences that are due together (more than one: they were missed).

    Missed ones that are made up for stand in line behind each other and behind what runs, unless
    they may overlap, or each would cancel the one before it: then only the newest is worth it.
    """
    if count == 0:
        return Decision(starts=())
    if overlap == "allow":
        return Decision(starts=(Start.NOW,) * count)
    if overlap == "cancel_other":
        newest = Start.AFTER_EARLIER if live.running else Start.NOW
        starts = (*(Start.NOT,) * (count - 1), newest)
        return Decision(starts=starts, cancel_earlier=live.any)
    if count > 1:
        first = Start.AFTER_EARLIER if live.any else Start.NOW
        return Decision(starts=(first, *(Start.AFTER_EARLIER,) * (count - 1)))
    if overlap == "queue_one" and not live.queued:
        return Decision(starts=(Start.AFTER_EARLIER if live.running else Start.NOW,))
    return Decision(starts=(Start.NOT if live.any else Start.NOW,))
