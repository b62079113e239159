"""The worker: claims executions, has each of them run, and writes how it ended.

Its runner is exchangeable; it knows neither n8n nor SQL. An execution occupies one of the
worker's places from its claim until its end is written, so that nothing piles up while
PostgreSQL is away. Not here: leases, batches of ends, and how a run is followed (the files
beside this one).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import Any, Final

from reconciler import metrics
from reconciler.errors import DatabaseLost
from reconciler.log import get_logger
from reconciler.runtime.completer import Completer, Written
from reconciler.runtime.hold import Hold, Runner
from reconciler.runtime.lease import LeaseKeeper
from reconciler.runtime.outcome import broken
from reconciler.runtime.ports import PASSING, Ear, Executions, Gate, Pace
from reconciler.trigger.execution import Claimed, Ended, Status

__all__ = ["Pace", "Worker"]

_LOG = get_logger("worker")
_SPREAD: Final = 0.003  # seconds; workers that hear the same call don't come all at once
_SOON: Final = 0.01
_LONGEST_GATHER: Final = 0.02
_UNWRITTEN: Final = 100  # ends that may wait to be written; more where twice as many may run
_LAST_WORDS: Final = 5.0  # seconds that PostgreSQL has to take what is left at the end


class Worker:
    """A service that runs executions; *id_* is its own, no other process may have it."""

    name: Final = "worker"

    def __init__(
        self,
        id_: str,
        executions: Executions,
        runner: Runner,
        *,
        pace: Pace | None = None,
        gate: Gate | None = None,
        ear: Ear | None = None,
    ) -> None:
        """Without a *gate* it always claims; without an *ear* it only polls."""
        self._id = id_
        self._executions = executions
        self._runner = runner
        self._pace = pace or Pace()
        self._gate = gate
        self._ear = ear
        self._begin_life()

    @property
    def claiming(self) -> bool:
        """Whether it takes executions on, as far as n8n lets it."""
        return self._gate is None or self._gate.closed

    def _begin_life(self) -> None:
        """Forget everything: after a crash the supervisor calls `run` again."""
        pace = self._pace
        self._holds: dict[str, Hold] = {}
        self._live: set[Hold] = set()  # of them: claimed here, and still running
        self._wake = asyncio.Event()
        self._backlog = False  # whether the last claim got all that it asked for
        self._vain = 0  # claims in a row that found nothing although there was something
        self._noted: list[tuple[str, int, str]] = []
        self._some_noted = asyncio.Event()
        self._completer = Completer(
            partial(self._executions.complete, self._id), self._told, gather=self._patience
        )
        self._keeper = LeaseKeeper(
            leases=self._executions,
            worker=self._id,
            holds=self._holds,
            adopt=self._start,
            lose=self._lose,
            lease=pace.lease,
            heartbeat=pace.heartbeat,
            rescue=pace.rescue,
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until *stopping* is set; then finish what runs, or hand it back after the grace."""
        self._begin_life()
        try:
            async with asyncio.TaskGroup() as group:
                services = [group.create_task(one) for one in self._services(stopping)]
                await self._claim_until(stopping)
                await self._wind_down()
                for service in services:
                    service.cancel()
        finally:
            for hold in self._holds.values():
                if hold.task is not None:
                    hold.task.cancel()
            metrics.RUNNING.set(0)

    def _services(self, stopping: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
        services = [self._completer.run(), self._keeper.run(), self._note(), self._stir(stopping)]
        if self._gate is not None:
            services.append(self._gate.run())
        if self._ear is not None:
            services.append(self._listen(self._ear))
        return services

    # Waking up.

    async def _stir(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._wake.set()

    async def _listen(self, ear: Ear) -> None:
        while True:
            if await ear.wait(60.0):
                await asyncio.sleep(random.uniform(0, _SPREAD))
                self._wake.set()
                self._keeper.poke()

    # Claiming.

    async def _claim_until(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            self._wake.clear()
            if self._gate is not None and not self._gate.closed:
                await self._wait(self._gate.wait_closed(), stopping)
                continue
            if 0 < 2 * self._free() < self._pace.concurrency:
                await asyncio.sleep(self._patience())  # more places get free: one claim for all
            asked = min(self._free(), self._pace.batch)
            try:
                got = await self._claim(asked) if asked > 0 else 0
                pause = self._pace.poll if got or not asked else await self._idle_for()
            except PASSING as error:
                _LOG.warning("claim_waits", reason=str(error))
                got, pause = 0, self._pace.poll
            self._backlog = 0 < asked == got
            if got == 0 or got < asked or self._free() <= 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._wake.wait()

    async def _wait(self, for_what: Coroutine[Any, Any, None], stopping: asyncio.Event) -> None:
        tasks = [asyncio.ensure_future(for_what), asyncio.ensure_future(stopping.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def _running(self) -> int:
        """Count the places that are taken: a run has left its own when only its end is unwritten."""
        return len(self._live)

    def _free(self) -> int:
        if self._completer.waiting >= max(_UNWRITTEN, 2 * self._pace.concurrency):
            return 0  # PostgreSQL is away or slow: nothing piles up
        return self._pace.concurrency - self._running()

    def _patience(self) -> float:
        """Tell how long to wait for others to be done with together: not at all when idle."""
        crowd = self._pace.concurrency if self._backlog else self._running()
        return min(self._pace.gather * crowd, _LONGEST_GATHER)

    async def _claim(self, count: int) -> int:
        async with self._keeper.claiming:
            sent = asyncio.get_running_loop().time()
            try:
                with metrics.CLAIM.time():
                    rows = await self._executions.claim(
                        self._id, count, lease=self._pace.lease, causes=self._pace.causes
                    )
            except DatabaseLost:
                self._keeper.doubt("claim")
                raise
            for row in rows:
                self._start(row, sent)
        if rows:
            metrics.RUNNING.set(len(self._holds))
        return len(rows)

    async def _idle_for(self) -> float:
        """Tell how long to sleep when there was nothing: not beyond the next row that gets due."""
        due = await self._executions.next_due(self._pace.causes)
        # At once: it became ready just now, or another worker holds it at this moment.
        self._vain = 0 if due is None or due > 0 else self._vain + 1
        soon = _SOON * 4.0 ** min(self._vain - 1, 10) if self._vain else due
        return self._pace.poll if soon is None else min(self._pace.poll, soon)

    # Running.

    def _start(self, claimed: Claimed, sent: float) -> None:
        hold = Hold(
            claimed=claimed,
            since=sent,
            until=sent + self._pace.lease,
            tell=self._take_note,
            n8n_execution_id=claimed.n8n_execution_id,
            started=claimed.adopted,
        )
        if claimed.cancel_requested:
            hold.cancelled.set()
        self._holds[claimed.id] = hold
        if not claimed.adopted:
            self._live.add(hold)
        hold.task = asyncio.create_task(self._runner.run(hold))
        hold.task.add_done_callback(partial(self._over, hold))

    def _over(self, hold: Hold, task: asyncio.Task[Ended]) -> None:
        self._wake.set()
        self._live.discard(hold)
        if task.cancelled() or self._holds.get(hold.claimed.id) is not hold:
            return  # lost, or about to be handed back
        error = task.exception()
        if error is not None:
            _LOG.error("runner_failed", execution=hold.claimed.id, exc_info=error)
        self._completer.add(task.result() if error is None else self._broken(hold, error))

    def _broken(self, hold: Hold, error: BaseException) -> Ended:
        return broken(hold, asyncio.get_running_loop().time(), error)

    def _lose(self, hold: Hold) -> None:
        """Drop an execution that belongs to another worker by now."""
        _LOG.warning("lease_lost", execution=hold.claimed.id)
        self._forget(hold)
        if hold.task is not None:
            hold.task.cancel()
        self._wake.set()

    def _forget(self, hold: Hold) -> None:
        self._live.discard(hold)
        if self._holds.get(hold.claimed.id) is hold:
            del self._holds[hold.claimed.id]

    # Writing.

    def _take_note(self, hold: Hold, n8n_execution_id: str) -> None:
        self._noted.append((hold.claimed.id, hold.claimed.attempt, n8n_execution_id))
        self._some_noted.set()

    async def _note(self) -> None:
        """Store n8n's ids until cancelled; several that come together in one statement."""
        while True:
            await self._some_noted.wait()
            await asyncio.sleep(self._pace.gather)
            batch, self._noted = self._noted, []
            self._some_noted.clear()
            # What is over by now is written together with its end.
            batch = [one for one in batch if self._runs_still(one[0])]
            if batch:
                # Without its id a run is found by what was posted: slower, never wrong.
                with suppress(*PASSING):
                    await self._executions.note_started(self._id, batch)

    def _runs_still(self, id_: str) -> bool:
        hold = self._holds.get(id_)
        return hold is not None and not hold.over

    def _told(self, written: Sequence[Written]) -> None:
        now = asyncio.get_running_loop().time()
        for one in written:
            ended = one.ended
            hold = self._holds.get(ended.id)
            # Not over: the row went back to the queue and we claimed it again before we heard of it.
            if hold is not None and hold.over and _ends(ended, hold.claimed):
                _count(hold, one, now)
                self._forget(hold)
        metrics.RUNNING.set(len(self._holds))
        self._wake.set()

    # Stopping.

    async def _wind_down(self) -> None:
        """Let runs finish within the grace, then hand back what still runs."""
        loop = asyncio.get_running_loop()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pace.grace):
                while tasks := self._unfinished():
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        left = [hold for hold in self._holds.values() if not hold.over]
        tasks = self._unfinished()
        for task in tasks:
            task.cancel()
        with suppress(TimeoutError, *PASSING):
            async with asyncio.timeout_at(loop.time() + _LAST_WORDS):
                if tasks:
                    await asyncio.wait(tasks)
                await self._completer.drained()
                async with self._keeper.claiming:
                    self._keeper.leaving = True
                    await self._hand_back(left)

    def _unfinished(self) -> list[asyncio.Task[Ended]]:
        tasks = [hold.task for hold in self._holds.values() if hold.task is not None]
        return [task for task in tasks if not task.done()]

    async def _hand_back(self, left: Sequence[Hold]) -> None:
        known = [
            (hold.claimed.id, hold.claimed.attempt, n8n)
            for hold in left
            if (n8n := hold.n8n_execution_id) is not None
        ]
        if known:
            await self._executions.note_started(self._id, known)
        started = [hold.claimed.id for hold in left if hold.started]
        if started:
            await self._executions.release(self._id, started)
        idle = [hold.claimed.id for hold in left if not hold.started]
        if idle:
            await self._executions.requeue(self._id, idle)
        for hold in left:
            self._forget(hold)
        if left:
            _LOG.info("handed_back", running=len(started), waiting=len(idle))


def _ends(ended: Ended, claimed: Claimed) -> bool:
    return claimed.attempt == ended.attempt and ended.began_at in (None, claimed.began_at)


# Looking a series up by its label costs more than counting in it.
_ended = cache(metrics.ENDED.labels)
_ran = cache(metrics.RUN.labels)


def _count(hold: Hold, written: Written, now: float) -> None:
    """Tell the metrics and the log how an attempt ended."""
    ended, claimed = written.ended, hold.claimed
    if not written.real:
        metrics.LEASES_LOST.inc()
        _LOG.warning("end_refused", execution=claimed.id, attempt=claimed.attempt)
        return
    if ended.status is Status.QUEUED:
        metrics.RETRIED.inc()
    else:
        _ended(ended.status).inc()
    outcome = ended.outcome or ended.status
    _ran(outcome).observe(now - hold.began)
    if claimed.adopted:
        metrics.RESCUED.labels(outcome).inc()
    _LOG.info(
        "execution_ended",
        execution=claimed.id,
        revision=claimed.revision,
        organization=claimed.organization,
        automation=claimed.automation,
        attempt=claimed.attempt,
        status=str(ended.status),
        outcome=str(outcome),
        n8n_execution=ended.n8n_execution_id,
        milliseconds=ended.milliseconds,
        reason=ended.error_message,
    )
