"""The service that removes old history every hour. Not here: what is old (`reconciler.store`)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final, TypeAlias

from reconciler import metrics
from reconciler.log import get_logger

_log = get_logger("retention")

Sweep: TypeAlias = Callable[[int], Awaitable[int]]  # removes up to so many rows, tells how many
MOST: Final = 5_000  # rows that one call of a sweep removes


class RetentionService:
    """Looks every *interval* seconds, give or take, so that daemons don't look together."""

    name = "retention"

    def __init__(
        self, sweeps: Mapping[str, Sweep], *, interval: float = 3600.0, pause: float = 0.2
    ) -> None:
        """*sweeps* are named after their tables; *pause* seconds lie between two calls."""
        self._sweeps = sweeps
        self._interval = interval
        self._pause = pause

    async def run(self, stopping: asyncio.Event) -> None:
        """Remove what is too old or too much, again and again."""
        await self._wait(stopping, self._interval * random.uniform(0.02, 0.1))
        while not stopping.is_set():
            removed = await self.sweep(stopping)
            if removed:
                _log.info("removed old history", **removed)
            await self._wait(stopping, self._interval * random.uniform(0.9, 1.1))

    async def sweep(self, stopping: asyncio.Event) -> dict[str, int]:
        """Do all there is to do now; tell how many rows each table lost, if any."""
        removed: dict[str, int] = {}
        for table, remove in self._sweeps.items():
            count = MOST
            while count >= MOST and not stopping.is_set():
                count = await remove(MOST)
                metrics.PRUNED.labels(table).inc(count)
                if count:
                    removed[table] = removed.get(table, 0) + count
                    await self._wait(stopping, self._pause)
        return removed

    @staticmethod
    async def _wait(stopping: asyncio.Event, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), seconds)
