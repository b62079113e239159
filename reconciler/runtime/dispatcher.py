"""The service that dispatches events which producers inserted in their own transactions.

Any number of daemons may run it: each event is taken by one. Polling is what counts (a producer may
be any program); a notification on the channel only makes it quicker. Not here: what dispatching
does (`reconciler.store.events`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from reconciler import metrics
from reconciler.errors import UnreachableError
from reconciler.log import get_logger

POLL_SECONDS: Final = 1.0
BATCH: Final = 50
_log = get_logger("events")


class Outbox(Protocol):
    """What this needs of `reconciler.store.events`."""

    async def dispatch(self, limit: int = BATCH) -> int:
        """Dispatch up to *limit* events; gives how many were looked at."""
        raise NotImplementedError


class Dispatcher:
    """Dispatches events until it is told to stop; *poke* tells workers that there is work."""

    name = "events"

    def __init__(
        self, outbox: Outbox, poke: Callable[[], None], *, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self._outbox = outbox
        self._poke = poke
        self._poll = poll_seconds
        self._away = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until *stopping*; a batch that has begun is finished."""
        while not stopping.is_set():
            if await self._turn() == BATCH:
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), self._poll)

    async def _turn(self) -> int:
        try:
            looked_at = await self._outbox.dispatch(BATCH)
        except UnreachableError as error:
            if not self._away:
                _log.warning("the database is away", error=str(error))
            self._away = True
            return 0
        self._away = False
        if looked_at:
            metrics.EVENTS.labels("dispatched").inc(looked_at)
            self._poke()
        return looked_at
