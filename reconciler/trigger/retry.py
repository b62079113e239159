"""When a failed attempt is tried again. Not here: doing it, nor asking n8n."""

from __future__ import annotations

from typing import Final

MAX_DELAY: Final = 3600.0  # seconds; a server that asks for more waits in vain

_LATER: Final = frozenset({408, 425, 429})


def delay(attempt: int, retry_after: float | None = None) -> float:
    """Seconds until the next attempt, after *attempt* (1 is the first) failed: 2, 4, 8.

    A server's *retry_after* wins when it is longer, up to an hour.
    """
    ours = 2.0 ** max(1, min(attempt, 11))
    return min(max(ours, retry_after or 0.0), MAX_DELAY)


def may_help(status: int) -> bool:
    """Whether an HTTP answer with *status* can be another one later."""
    return status in _LATER or status >= 500
