"""The service that removes old history every hour. Not here: the statements (`store.retention`)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from reconciler import metrics
from reconciler.log import get_logger
from reconciler.store.retention import Retention

_log = get_logger("retention")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What stays; 0 means everything."""

    days: int = 14
    per_automation: int = 10_000


class RetentionService:
    """Looks every *interval* seconds, give or take a tenth, so that daemons don't look together."""

    name = "retention"

    def __init__(
        self, store: Retention, keep: Keep, *, interval: float = 3600.0, pause: float = 0.05
    ) -> None:
        """*pause* seconds lie between two batches, for everybody else."""
        self._store = store
        self._keep = keep
        self._interval = interval
        self._pause = pause

    async def run(self, stopping: asyncio.Event) -> None:
        """Remove what is too old or too much, again and again."""
        while not stopping.is_set():
            await self._wait(stopping, self._interval * random.uniform(0.05, 0.15))
            removed = await self.sweep(stopping)
            if removed:
                _log.info("removed old history", **removed)
            await self._wait(stopping, self._interval * random.uniform(0.9, 1.0))

    async def sweep(self, stopping: asyncio.Event) -> dict[str, int]:
        """Do all there is to do now; tell how many rows each table lost."""
        removed: dict[str, int] = {}
        if self._keep.days:
            for table in self._store.tables:
                count = await self._drain(table, stopping, self._old(table))
                removed[table] = removed.get(table, 0) + count
        if self._keep.per_automation:
            table = "workflow_executions"
            count = await self._sweep_automations(table, stopping)
            removed[table] = removed.get(table, 0) + count
        return {table: count for table, count in removed.items() if count}

    def _old(self, table: str) -> Callable[[], Awaitable[int]]:
        return lambda: self._store.remove_old(table, self._keep.days)

    async def _sweep_automations(self, table: str, stopping: asyncio.Event) -> int:
        total, after = 0, ""
        while not stopping.is_set():
            automations = await self._store.automations(after)
            if not automations:
                break
            for automation in automations:
                total += await self._drain(table, stopping, self._beyond(automation))
            after = automations[-1]
        return total

    def _beyond(self, automation: str) -> Callable[[], Awaitable[int]]:
        return lambda: self._store.remove_beyond(automation, self._keep.per_automation)

    async def _drain(
        self, table: str, stopping: asyncio.Event, remove: Callable[[], Awaitable[int]]
    ) -> int:
        total = 0
        while not stopping.is_set():
            count = await remove()
            total += count
            metrics.PRUNED.labels(table).inc(count)
            if count < self._store.batch:
                break
            await self._wait(stopping, self._pause)
        return total

    @staticmethod
    async def _wait(stopping: asyncio.Event, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), seconds)
