"""The scheduler: every daemon looks each second, and sleeps no longer than to the next fire.

Any number of daemons may do this at once; PostgreSQL's locks share the work out. Level-triggered:
nobody tells it about a changed schedule, it finds rows that are not as it took them in. Not here:
the statements (`reconciler.store.schedules`).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Protocol

from reconciler import metrics
from reconciler.errors import ConflictError, DeadlineExceeded, ReconcilerError, UnreachableError
from reconciler.log import get_logger
from reconciler.store.scheduled import Fired
from reconciler.store.schedules import Schedules

_log = get_logger("scheduler")

POLL: Final = 1.0  # seconds; new and changed schedules are noticed that fast
BATCH: Final = 200  # schedules in one transaction: small enough for several daemons to share
_CROWDED: Final = 0.05  # seconds; what is due is locked by another daemon


class Pokes(Protocol):
    """Tells workers that there is something to claim."""

    def poke(self) -> None:
        """Say so, soon and at most once in a while."""
        raise NotImplementedError


class Scheduler:
    """Takes schedules in and starts what is due."""

    name = "scheduler"

    def __init__(
        self, schedules: Schedules, notifier: Pokes, *, poll: float = POLL, batch: int = BATCH
    ) -> None:
        self._schedules = schedules
        self._notifier = notifier
        self._poll = poll
        self._batch = batch

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until *stopping* is set; raises what the database raises."""
        await self._schedules.forget_problems()
        while not stopping.is_set():
            seconds = await self.tick()
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), seconds)

    async def tick(self) -> float:
        """Do what there is to do now, and tell for how many seconds there is nothing."""
        work = await self._schedules.work()
        if work.resumed:
            await self._schedules.resume()
        if work.unscheduled or work.resumed:
            await self._take_in()
        if work.held and await self._schedules.release():
            self._notifier.poke()
        if work.seconds is not None and work.seconds <= 0:
            if not await self._fire_all():
                return _CROWDED
            return 0.0  # look again at once: the next may be due by now
        return self._poll if work.seconds is None else min(self._poll, work.seconds)

    async def _take_in(self) -> None:
        while True:
            taken = await self._schedules.take_in(self._batch)
            for trigger, problem in taken.broken:
                _log.warning("broken schedule", trigger=trigger, problem=problem)
            if taken.count < self._batch:
                return

    async def _fire_all(self) -> bool:
        """Start everything that is due; False: all of it is locked or can't be started now."""
        found = False
        while True:
            try:
                fired = await self._schedules.fire(self._batch)
            except UnreachableError:
                raise
            except ReconcilerError as error:
                _log.warning("a batch of schedules failed, so one by one", error=str(error))
                return await self._one_by_one()
            if not fired.schedules:
                return found
            self._note(fired)
            found = True

    async def _one_by_one(self) -> bool:
        """Keep a schedule that can't be started from stopping the others; False: none could."""
        found = False
        for trigger in await self._schedules.due(self._batch):
            try:
                fired = await self._schedules.fire(1, trigger)
            except UnreachableError:
                raise
            except (ConflictError, DeadlineExceeded) as error:
                _log.warning("schedule not started, later again", trigger=trigger, error=str(error))
            except ReconcilerError as error:
                await self._schedules.set_aside(trigger, str(error))
                _log.error("schedule set aside", trigger=trigger, error=str(error))
            else:
                self._note(fired)
                found = True
        return found

    def _note(self, fired: Fired) -> None:
        for outcome, count in fired.outcomes.items():
            metrics.FIRED.labels(outcome).inc(count)
        for seconds in fired.late:
            metrics.SCHEDULE_LAG.observe(seconds)
        for trigger, problem in fired.broken:
            _log.warning("broken schedule", trigger=trigger, problem=problem)
        if fired.outcomes["missed"]:
            _log.warning("occurrences missed", count=fired.outcomes["missed"])
        if fired.late:
            self._notifier.poke()
