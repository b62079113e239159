"""One execution in n8n: start it, follow it, end it early, take over what another worker began.

Not here: how n8n is asked (`reconciler.n8n.follow`), nor what an end means for the row
(`reconciler.runtime.outcome`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from reconciler.clock import Clock, SystemClock
from reconciler.errors import ConfigError, N8nError, ReconcilerError, UnreachableError
from reconciler.log import bound, get_logger
from reconciler.n8n.entry import NotStarted
from reconciler.n8n.entry import Reply as Answer
from reconciler.n8n.follow import Finished, Follower, Job
from reconciler.runtime import outcome
from reconciler.runtime.hold import Hold
from reconciler.runtime.n8n_breaker import N8nBreaker
from reconciler.store.replies import Reply
from reconciler.trigger import branch
from reconciler.trigger.execution import Claimed, Ended, Status
from reconciler.vault.secret import Secret

Keep = Callable[[str, Reply], Awaitable[object]]

_LOG = get_logger("worker")
_STOPPED_WITHIN: Final = 10.0  # seconds from n8n's word that it stops a run to the run's end
_ASK_AGAIN: Final = 1.0
_GIVE_UP: Final = 30  # answers in a row that say nothing of one run, of an n8n that answers others
_OUTAGE_TRIPS: Final = 3  # n8n answers the probe and still starts nothing: it is no outage


class N8nRunner:
    """Runs executions through n8n's managed entries."""

    def __init__(
        self,
        follower: Follower,
        breaker: N8nBreaker,
        secret: Callable[[str], Secret],
        *,
        keep: Keep | None = None,
        clock: Clock | None = None,
    ) -> None:
        """*secret* gives what the entries of an organization (by its name) ask for.

        *keep* gets what a workflow answered its caller, before the end of the run is written.
        """
        self._follower = follower
        self._breaker = breaker
        self._secret = secret
        self._keep = keep
        self._clock = clock or SystemClock()

    async def run(self, hold: Hold) -> Ended:
        """Run it to its end in n8n, or to its timeout, or until it is cancelled."""
        claimed = hold.claimed
        with bound(
            execution=claimed.id, revision=claimed.revision, organization=claimed.organization
        ):
            return await self._run(hold)

    async def _run(self, hold: Hold) -> Ended:
        if hold.cancelled.is_set() and not hold.claimed.adopted:
            return outcome.ended(hold, _now(), Status.CANCELLED, "cancelled")
        work = asyncio.create_task(self._adopt(hold) if hold.claimed.adopted else self._start(hold))
        cancelled = asyncio.create_task(hold.cancelled.wait())
        left = hold.began + hold.claimed.timeout_seconds - _now()
        try:
            await asyncio.wait(
                {work, cancelled}, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED
            )
            return work.result() if work.done() else await self._end_early(hold, work)
        finally:
            work.cancel()
            cancelled.cancel()

    async def _start(self, hold: Hold) -> Ended:
        try:
            job = self._job(hold.claimed)
        except ConfigError as error:
            return outcome.failed(hold, _now(), error.message)
        await hold.confirm()
        hold.started = True
        try:
            finished = await self._follower.run(job, known=lambda id_: self._known(hold, id_))
        except NotStarted as error:
            hold.started = not error.certain
            return self._not_started(hold, error)
        if finished.answer is not None and self._keep is not None:
            await self._keep_answer(hold, finished.answer)
        return self._finished(hold, finished)

    def _finished(self, hold: Hold, finished: Finished) -> Ended:
        outage = self._breaker.settling or not self._breaker.closed
        return outcome.finished(hold, _now(), finished.run, outage=outage)

    async def _keep_answer(self, hold: Hold, answer: Answer) -> None:
        assert self._keep is not None
        headers = {name.lower(): value for name, value in answer.headers.items()}
        reply = Reply(status=answer.status, headers=headers, content=answer.content)
        try:
            await self._keep(hold.claimed.id, reply)
        except ReconcilerError as error:  # the run has ended all the same
            _LOG.warning("answer_lost", reason=str(error))

    def _job(self, claimed: Claimed) -> Job:
        return Job(
            automation_id=claimed.automation_id,
            workflow_id=_workflow_id(claimed),
            secret=self._secret(claimed.organization).reveal(),
            correlation=branch.correlation(claimed),
            body=branch.body(claimed),
        )

    def _known(self, hold: Hold, n8n_execution_id: str) -> None:
        self._breaker.worked()
        hold.note(n8n_execution_id)

    def _not_started(self, hold: Hold, error: NotStarted) -> Ended:
        if error.unreachable:
            self._breaker.trip(error.message)
        if not error.certain and hold.claimed.at_most_once:
            return outcome.lost(hold, _now(), error.message)
        if error.unreachable:
            if self._breaker.trips < _OUTAGE_TRIPS:
                return outcome.untried(hold, _now(), error.message)
        elif error.retryable and self._breaker.settling:
            wait = max(_ASK_AGAIN, error.retry_after or 0.0)
            return outcome.untried(hold, _now(), error.message, wait)
        failed = outcome.failed(hold, _now(), error.message)
        return outcome.again(hold, failed, error.retry_after) if error.retryable else failed

    async def _adopt(self, hold: Hold) -> Ended:
        """Ask n8n what became of a run whose worker is gone, and follow it if it goes on."""
        try:
            finished = await self._taken_over(hold)
        except ConfigError as error:
            return outcome.failed(hold, _now(), error.message)
        except N8nError as error:
            message = f"the worker was lost, and n8n does not tell of the run: {error.message}"
            return outcome.lost(hold, _now(), message)
        _LOG.info("run_adopted", found=finished is not None)
        if finished is None:
            return outcome.lost(hold, _now())
        return self._finished(hold, finished)

    async def _taken_over(self, hold: Hold) -> Finished | None:
        """Ask until n8n answers; raises N8nError when it answers, but never about this run."""
        vain = 0
        while True:
            try:
                return await self._follower.adopt(
                    workflow_id=_workflow_id(hold.claimed),
                    correlation=branch.correlation(hold.claimed),
                    execution_id=hold.claimed.n8n_execution_id,
                    since=self._since(hold),
                    known=hold.note,
                )
            except UnreachableError as error:
                self._breaker.trip(error.message)
                await self._breaker.wait_closed()
            except N8nError as error:
                _LOG.warning("adoption_waits", reason=str(error))
                vain = vain + 1 if await self._follower.reachable() else 0
                if vain >= _GIVE_UP:
                    raise
                await asyncio.sleep(_ASK_AGAIN)

    async def _end_early(self, hold: Hold, work: asyncio.Task[Ended]) -> Ended:
        """Stop the run in n8n, because somebody cancelled it or its time is over."""
        if hold.started and await self._stop(hold, work):
            await asyncio.wait({work}, timeout=_STOPPED_WITHIN)
        if work.done():  # n8n's word: it may have ended by itself before the stop arrived
            return work.result()
        if hold.cancelled.is_set():
            return outcome.ended(hold, _now(), Status.CANCELLED, "cancelled")
        return outcome.timed_out(hold, _now())

    async def _stop(self, hold: Hold, work: asyncio.Task[Ended]) -> bool:
        """Ask n8n until it answers: while it is away nobody knows whether the run goes on.

        False: n8n knows no such run, or answers, but never about this one.
        """
        vain = 0
        while not work.done() and vain < _GIVE_UP:
            try:
                return await self._follower.stop(
                    workflow_id=_workflow_id(hold.claimed),
                    correlation=branch.correlation(hold.claimed),
                    execution_id=hold.n8n_execution_id,
                    since=self._since(hold),
                )
            except (N8nError, UnreachableError) as error:
                _LOG.warning("stop_waits", reason=str(error))
                vain = vain + 1 if await self._follower.reachable() else 0
                await asyncio.sleep(_ASK_AGAIN)
        return work.done()

    def _since(self, hold: Hold) -> datetime:
        return self._clock.now() - timedelta(seconds=_now() - hold.began)


def _workflow_id(claimed: Claimed) -> str:
    if claimed.workflow_id is None:
        message = f"the automation {claimed.automation} has no workflow in n8n"
        raise ConfigError(message, hint="`reconciler plan` tells what is missing")
    return claimed.workflow_id


def _now() -> float:
    return asyncio.get_running_loop().time()
