"""The log of calls that were refused: written in batches, and never more than a flood is worth.

Not here: metrics, which count every one.
"""

from __future__ import annotations

import asyncio
from typing import Final

from reconciler.errors import ReconcilerError
from reconciler.log import get_logger
from reconciler.store.deliveries import Deliveries, Rejection

_PAUSE: Final = 0.5  # seconds between two writes
_MOST: Final = 100  # rows in each: the rest of a flood is only counted
_LOG: Final = get_logger("webhooks")


class Rejections:
    """Collects rejections and writes them soon."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        self._waiting: list[Rejection] = []
        self._dropped = 0
        self._writer: asyncio.Task[None] | None = None

    def note(self, rejection: Rejection) -> None:
        """Remember *rejection*; it is written within a second."""
        if len(self._waiting) >= _MOST:
            self._dropped += 1
            return
        self._waiting.append(rejection)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_soon())

    async def flush(self) -> None:
        """Write what waits, now."""
        batch, self._waiting = self._waiting, []
        dropped, self._dropped = self._dropped, 0
        if dropped:
            _LOG.warning("webhook_rejections_not_logged", count=dropped)
        if not batch:
            return
        try:
            await self._deliveries.note(batch)
        except ReconcilerError as error:  # a log of refusals is not worth waiting for
            _LOG.warning("webhook_rejections_lost", count=len(batch), error=str(error))

    async def close(self) -> None:
        """Write what waits, and write no more."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await self.flush()

    async def _write_soon(self) -> None:
        while self._waiting:
            await asyncio.sleep(_PAUSE)
            await self.flush()
