"""The service that corrects how many runs of an automation are counted as running.

Our own statements keep the number right. Whoever changes a running row by hand spoils it: too
high, and the automation starts less than it may or nothing at all. Not here: counting
(`reconciler.store.executions.recount`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

from reconciler.errors import ConflictError
from reconciler.log import get_logger

_log = get_logger("recount")


class RecountService:
    """Counts every *interval* seconds, give or take, so that daemons don't count together."""

    name = "recount"

    def __init__(
        self, recount: Callable[[], Awaitable[Collection[str]]], *, interval: float = 600.0
    ) -> None:
        """*recount* corrects what is wrong, and gives the automations that were."""
        self._recount = recount
        self._interval = interval

    async def run(self, stopping: asyncio.Event) -> None:
        """Count soon after the start, and then again and again."""
        seconds = self._interval * random.uniform(0.01, 0.05)
        while not await _stopped(stopping, seconds):
            with suppress(ConflictError):  # somebody holds such a row for long: the next time
                corrected = await self._recount()
                if corrected:
                    _log.warning(
                        "corrected the numbers of running executions", automations=sorted(corrected)
                    )
            seconds = self._interval * random.uniform(0.9, 1.1)


async def _stopped(stopping: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)
    return stopping.is_set()
