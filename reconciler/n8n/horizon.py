"""How far back a listing of n8n's executions has to look to show our young runs.

n8n counts all older executions for each listing, which takes long where it keeps many; it counts
only those that a time limits it to. The time is n8n's own, learned from runs that were seen: a
reported clock may be another's. Not here: when to do without (`reconciler.n8n.sight`).
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from reconciler.n8n.outcome import moment
from reconciler.resource.payload import Json

_SLACK: Final = timedelta(seconds=60)  # by how much n8n's clock may go back unnoticed


class Horizon:
    """What n8n's clock said when a clock of ours said something."""

    def __init__(self) -> None:
        self._zero: datetime | None = None  # n8n's time at 0 of our clock, or earlier

    def learn(self, started: Json, seen: float) -> None:
        """Note that a run that n8n says to have *started* then was seen at *seen* of our clock."""
        began = moment(started)
        if began is not None:
            with suppress(OverflowError):
                self._zero = began.astimezone(UTC) - timedelta(seconds=seen)

    def before(self, at: float) -> str | None:
        """Give a time of n8n's safely before *at* of our clock; None: not known."""
        if self._zero is None:
            return None
        bound = self._zero + timedelta(seconds=at) - _SLACK
        return bound.isoformat(timespec="milliseconds").replace("+00:00", "Z")
