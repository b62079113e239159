"""The scheduler: every daemon looks each second, and sleeps no longer than to the next fire.

Any number of daemons may do this at once; PostgreSQL's locks share the work out. Level-triggered:
nobody tells it about a changed schedule, it finds rows that are not as it took them in. Not here:
the statements (`reconciler.store.schedules`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from reconciler import metrics
from reconciler.errors import ConflictError, DeadlineExceeded, ReconcilerError, UnreachableError
from reconciler.log import get_logger
from reconciler.store.scheduled import Fired
from reconciler.store.schedules import Schedules

_log = get_logger("scheduler")

POLL: Final = 1.0  # seconds; new and changed schedules are noticed that fast
BATCH: Final = 250  # schedules in one transaction: small enough for several daemons to share
LANES: Final = 2  # batches at a time: PostgreSQL writes one while another is computed here
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
        lanes: list[asyncio.Task[bool]] = []

        def more() -> None:
            if len(lanes) < LANES:
                lanes.append(asyncio.create_task(self._fire(more)))

        more()
        try:
            for lane in lanes:  # their number grows meanwhile
                await asyncio.wait([lane])
        finally:
            for lane in lanes:
                lane.cancel()
            ended = await asyncio.gather(*lanes, return_exceptions=True)
        errors = [one for one in ended if isinstance(one, BaseException)]
        for error in errors:
            if isinstance(error, UnreachableError) or not isinstance(error, ReconcilerError):
                raise error
        if errors:
            _log.warning("a batch of schedules failed, so one by one", error=str(errors[0]))
            return await self._one_by_one() or True in ended
        return True in ended

    async def _fire(self, more: Callable[[], None]) -> bool:
        """Start batches as long as they are full; False: none of what is due was to be had."""
        found = False
        while True:
            fired = await self._schedules.fire(self._batch, more=more)
            if fired.schedules:
                self._note(fired)
                found = True
            if fired.schedules < self._batch:
                return found

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
