"""A resource whose change failed is tried again later and later; the others don't wait for it.

10 s, 20 s, 40 s, at most 10 min; at once when its spec or what is there has changed. Pure.
Not here: where failures are kept (in the conditions, `reconciler.engine.conditions`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from reconciler.plan.change import Change
from reconciler.resource.payload import digest

FIRST: Final = 10.0  # seconds
LONGEST: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The last time that a change failed, and the world in which it did."""

    count: int  # in a row, for the same spec
    message: str
    retry_at: datetime
    spec: str  # digest of what was asked for
    live: str  # digest of what was there


def delay(count: int) -> float:
    """Give the seconds to wait after *count* failures in a row."""
    return min(LONGEST, FIRST * 2.0 ** min(count - 1, 16))


def failed(change: Change, before: Failure | None, message: str, now: datetime) -> Failure:
    """Note that *change* failed with *message*."""
    spec = spec_of(change)
    count = before.count + 1 if before is not None and before.spec == spec else 1
    return Failure(
        count=count,
        message=message,
        retry_at=now + timedelta(seconds=delay(count)),
        spec=spec,
        live=live_of(change),
    )


def waits(change: Change, failure: Failure | None, now: datetime) -> str | None:
    """Say why *change* is not tried now; None: it is."""
    if failure is None or now >= failure.retry_at:
        return None
    if (failure.spec, failure.live) != (spec_of(change), live_of(change)):
        return None
    times = "once" if failure.count == 1 else f"{failure.count} times"
    moment = f"{failure.retry_at:%H:%M:%S} UTC"
    return f"failed {times}, is tried again at {moment}: {failure.message}"


def spec_of(change: Change) -> str:
    """Hash what *change* asks for."""
    return "removal" if change.desired is None else digest(change.desired.payload)


def live_of(change: Change) -> str:
    """Hash what is there, as far as it is ours; versions don't count, a failed try makes some."""
    seen = change.observed
    return "nothing" if seen is None else digest({"id": seen.object_id, **seen.payload})
