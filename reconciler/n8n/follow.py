"""Follow many runs to their end with few calls.

A run is started with a correlation id of ours; n8n answers at once and does not say which execution
it became. One listing of the newest executions, with their data, brings the id, the end, the output
and the error of all short runs in flight; runs that take longer are found among the running ones,
and read one by one when they are no longer there. How often we ask depends on what the last
question brought.

Not here: time limits, what to do with a run that failed (`reconciler.runtime.worker`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reconciler.errors import ReconcilerError
from reconciler.n8n.entry import NotStarted, Reply, Started, StartUnknown
from reconciler.n8n.outcome import Run, gone
from reconciler.n8n.runs import Runs
from reconciler.n8n.sight import Pace, Sight, Watch
from reconciler.resource.payload import Object

Known = Callable[[str], None]


def _ignore(execution_id: str) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A run that is to be started; *correlation* is also in *body*, as its ``id``."""

    automation_id: str
    workflow_id: str
    secret: str = field(repr=False)
    correlation: str
    body: Object = field(repr=False)
    seconds: float = 3600  # how long a Respond to Webhook node may take to answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A run that has ended, and what it answered if it has a Respond to Webhook node."""

    run: Run
    answer: Reply | None = None


class Follower:
    """Serves all runs in flight of one process; close it with `aclose`."""

    def __init__(self, runs: Runs, pace: Pace | None = None) -> None:
        self._runs = runs
        self._pace = pace or Pace()
        self._sight = Sight(runs, self._pace)
        self._loop: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._prepared: asyncio.Task[None] | None = None
        self._away = False  # n8n did not answer the last time we asked

    @property
    def unreachable(self) -> bool:
        """Whether n8n does not tell what becomes of runs that are waited for."""
        return self._away and bool(self._sight.watches)

    async def aclose(self) -> None:
        """Stop following; whoever still waits is cancelled."""
        for task in (self._loop, self._prepared):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        for watch in self._sight.watches:
            watch.ended.cancel()

    async def run(self, job: Job, known: Known = _ignore) -> Finished:
        """Start a run and wait for its end in n8n; there is no time limit of our own.

        *known* gets the execution's id once, as soon as it is known. Raises NotStarted when for
        certain nothing ran. Being cancelled leaves the run alone, see `stop`.
        """
        await self._prepare()
        watch = self._sight.watch(job.workflow_id, job.correlation, known)
        self._start_loop()
        call = asyncio.create_task(
            self._runs.start(job.automation_id, job.secret, job.body, seconds=job.seconds)
        )
        try:
            return await self._finish(watch, call)
        finally:
            self._sight.forget(watch)
            call.cancel()
            with suppress(asyncio.CancelledError, NotStarted, StartUnknown):
                await call

    async def adopt(
        self,
        *,
        workflow_id: str,
        correlation: str,
        execution_id: str | None,
        since: datetime,
        known: Known = _ignore,
    ) -> Finished | None:
        """Follow a run that another process started; None: for certain n8n has no such run.

        *since* is a time before it was started. Raises what asking n8n raises.
        """
        run = await self._seek(workflow_id, correlation, execution_id, since)
        if run is None:
            return None
        known(run.id)
        if run.ended:
            return Finished(run=run)
        watch = self._sight.watch(workflow_id, correlation, _ignore)
        try:
            watch.after = int(run.id) - 1
            watch.learn(run.id)
            watch.settle()
            self._start_loop()
            ended = await watch.ended
            return None if ended is None else Finished(run=ended)
        finally:
            self._sight.forget(watch)

    async def stop(
        self,
        *,
        workflow_id: str,
        correlation: str,
        execution_id: str | None = None,
        since: datetime,
    ) -> bool:
        """Stop a run, also one whose id is not known yet; False: n8n has no such run."""
        run = await self._seek(workflow_id, correlation, execution_id, since)
        if run is None:
            return False
        return run.ended or await self._runs.stop(run.id)

    async def reachable(self) -> bool:
        """Whether n8n answers at all, whatever it says of one run."""
        return await self._runs.reachable()

    async def _seek(
        self, workflow_id: str, correlation: str, execution_id: str | None, since: datetime
    ) -> Run | None:
        if execution_id is not None:
            return await self._runs.get(execution_id)
        # It may be on its way: the call was sent, and n8n has not got to it.
        for wait in (*self._pace.unsure, None):
            run = await self._runs.find(workflow_id, correlation, since)
            if run is not None or wait is None:
                return run
            await asyncio.sleep(wait)
        raise AssertionError  # the last wait is None

    async def _finish(self, watch: Watch, call: asyncio.Task[Started]) -> Finished:
        both: list[asyncio.Future[Any]] = [call, watch.ended]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not call.done():  # it answers when it has ended, if not before
            await asyncio.wait({call}, timeout=self._pace.answer)
        answer: Reply | None = None
        otherwise: NotStarted | None = None
        try:
            if call.done():
                call.result()
        except StartUnknown as error:
            answer, otherwise = error.answer, error.otherwise
        watch.settle(sure=otherwise is None)
        self._wake.set()
        run = await watch.ended
        if run is not None:
            return Finished(run=run, answer=answer)
        if otherwise is not None:
            raise otherwise
        return Finished(run=gone("", watch.workflow_id))

    async def _prepare(self) -> None:
        """Learn which executions there are already, once: ours will have higher ids."""
        if self._sight.ready:
            return
        if self._prepared is None:
            self._prepared = asyncio.create_task(self._sight.prepare())
        task = self._prepared
        try:
            await asyncio.shield(task)
        except ReconcilerError as error:
            raise NotStarted(
                f"n8n can't be asked about its runs: {error}", retryable=True, unreachable=True
            ) from error
        finally:
            if task.done() and self._prepared is task:
                self._prepared = None

    def _start_loop(self) -> None:
        if self._loop is None or self._loop.done():
            self._loop = asyncio.create_task(self._follow())
            self._loop.add_done_callback(self._pass_on)
        self._wake.set()

    def _pass_on(self, loop: asyncio.Task[None]) -> None:
        """Let those who wait know that following broke: a mistake of ours must not be silence."""
        error = None if loop.cancelled() else loop.exception()
        if error is not None:
            for watch in self._sight.watches:
                if not watch.ended.done():
                    watch.ended.set_exception(error)

    async def _follow(self) -> None:
        while self._sight.watches:
            self._wake.clear()
            wait = self._pace.away if self._away else self._sight.due()
            if wait > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), wait)
                if self._sight.due() > 0:
                    continue
            try:
                await self._sight.turn()
            except ReconcilerError:
                self._away = True  # n8n being away is no reason to stop following
            else:
                self._away = False
