"""Executions: the row of `workflow_executions` is the job, from its trigger to its end.

Every method is one short transaction, or part of the caller's. All clocks are the database's. After
an error of the connection nothing is certain except that asking again does no harm: inserts are
known by their key, ends are fenced by lease and attempt. Not here: running them
(`reconciler.runtime`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from reconciler.errors import ConflictError
from reconciler.resource.unreadable import Unreadable
from reconciler.store.database import Connection, Database
from reconciler.store.executions import cancelling, ending, read, recount, retention
from reconciler.store.executions import claim as claiming
from reconciler.store.executions import complete as completing
from reconciler.store.executions import insert as inserting
from reconciler.store.executions import lease as leasing
from reconciler.store.executions.cancelling import Open
from reconciler.store.executions.ending import Cancelled
from reconciler.store.executions.lease import Beat
from reconciler.store.executions.read import Attempt, Execution, Filters, Page, Summary
from reconciler.store.executions.wait import Waiters
from reconciler.store.notify import Notifier
from reconciler.trigger.execution import (
    TERMINAL,
    Accepted,
    Cause,
    Claimed,
    Ended,
    NewExecution,
    Refusal,
)

__all__ = [
    "Attempt",
    "Beat",
    "Cancelled",
    "Execution",
    "Executions",
    "Filters",
    "Open",
    "Page",
    "Summary",
]


class Executions:
    """The executions of one database; *notifier* tells workers of new ones, sooner than they look."""

    def __init__(
        self,
        database: Database,
        *,
        new_id: Callable[[], str],
        notifier: Notifier | None = None,
    ) -> None:
        self._database = database
        self._new_id = new_id
        self._notifier = notifier
        self._waiters = Waiters(database)
        self._turn = claiming.Turn()

    def _poke(self) -> None:
        if self._notifier is not None:
            self._notifier.poke()

    async def insert(
        self, new: Sequence[NewExecution], connection: Connection | None = None
    ) -> list[Accepted]:
        """Make rows of *new*, each idempotency key once; the answers are in their order.

        Inside the caller's transaction when *connection* is given: then nothing is accepted before
        its commit, and the caller pokes the notifier.
        """
        if not new:
            return []
        if connection is not None:
            return await inserting.insert(connection, new, self._new_id)
        async with self._database.transaction() as own:
            accepted = await inserting.insert(own, new, self._new_id)
        if any(one.fresh for one in accepted):
            self._poke()
        return accepted

    async def claim(
        self, worker: str, count: int, *, lease: float, causes: Collection[Cause] | None = None
    ) -> list[Claimed]:
        """Take up to *count* rows that are due, for *lease* seconds; None: of any cause."""
        return await claiming.claim(self._database, self._turn, worker, count, lease, causes)

    async def rescue(self, worker: str, count: int, *, lease: float) -> list[Claimed]:
        """Take over up to *count* rows whose worker is gone, with the attempt that it began."""
        return await claiming.rescue(self._database, worker, count, lease)

    async def next_due(self, causes: Collection[Cause] | None = None) -> float | None:
        """Seconds until a claim can find something (0.0: now); None: nothing waits."""
        return await claiming.next_due(self._database, causes)

    async def note_started(self, worker: str, started: Sequence[tuple[str, int, str]]) -> None:
        """Record which run of n8n each (id, attempt, n8n's execution id) became."""
        await leasing.note_started(self._database, worker, started)

    async def beat(self, worker: str, lease: float) -> Beat:
        """Prolong the leases of all rows of *worker* to *lease* seconds from now."""
        return await leasing.beat(self._database, worker, lease)

    async def release(self, worker: str, ids: Sequence[str]) -> None:
        """Give rows away with the attempt that runs: anyone may take them over at once."""
        await leasing.release(self._database, worker, ids)
        self._poke()

    async def complete(self, worker: str, ended: Sequence[Ended]) -> set[tuple[str, int]]:
        """Write how attempts ended; gives the (id, attempt) that were still *worker*'s to write.

        Raises ConflictError when another writer held a lock for too long: try the batch again.
        """
        if not ended:
            return set()
        async with self._database.transaction(pipelined=True) as connection:
            written = await completing.complete(connection, worker, ended)
        for one in written:
            if one.status in TERMINAL:
                self._waiters.ended(one.id)
        return {(one.id, one.attempt) for one in written}

    async def requeue(self, worker: str, ids: Sequence[str]) -> None:
        """Put rows back that never began in n8n; no attempt is spent."""
        if ids:
            async with self._database.transaction(pipelined=True) as connection:
                await completing.requeue(connection, worker, ids)
            self._poke()

    async def cancel(self, organization_id: str | None, id: str) -> Cancelled:  # noqa: A002
        """Cancel a run that waits, or ask its worker to stop it; None: of any organization."""
        done = await ending.cancel(self._database, organization_id, id)
        if done is Cancelled.DONE:
            self._waiters.ended(id)
        elif done is Cancelled.ASKED:
            self._poke()
        return done

    async def count_open(self, filters: Filters) -> Open:
        """Count what waits and what runs, of those that *filters* choose."""
        return await cancelling.count(self._database, filters)

    async def cancel_all(self, filters: Filters) -> Open:
        """Cancel all that *filters* choose and that has not ended; raises ConflictError."""
        done = await cancelling.cancel_all(self._database, filters)
        if done.running:
            self._poke()
        return done

    async def retry(self, organization_id: str | None, id: str) -> Accepted:  # noqa: A002
        """Ask for an execution again, as a new one that names the old.

        Raises ConflictError while the old one has not ended, or when nobody can read its input.
        """
        old = await self.get(organization_id, id)
        if old is None:
            return Accepted(refusal=Refusal.UNKNOWN)
        if old.summary.status not in TERMINAL:
            message = f"execution {id} has not ended: it is {old.summary.status.value}"
            raise ConflictError(message, hint="wait for its end, or cancel it")
        if isinstance(old.trigger_data, Unreadable):
            message = f"the input of execution {id} can't be read: {old.trigger_data.reason}"
            raise ConflictError(message, hint="ask for a new run with another input")
        cause = old.summary.cause
        again = NewExecution(
            automation_id=old.summary.automation_id,
            cause=Cause.API if cause is Cause.NATIVE else cause,
            trigger_data=old.trigger_data,
            trigger_id=old.summary.trigger_id,
            scheduled_for=old.summary.scheduled_for,
            retry_of=id,
            method=old.method,
        )
        return (await self.insert([again]))[0]

    async def expire(self) -> int:
        """Cancel what waited past its deadline or waits for an automation that is off, in part."""
        return await ending.expire(self._database)

    async def get(self, organization_id: str | None, id: str) -> Execution | None:  # noqa: A002
        """Read one execution with data and attempts; None as organization: of any."""
        return await read.get(self._database, organization_id, id)

    async def beginning(self, start: str) -> Sequence[str]:
        """Find ids that begin with *start*; no more than two."""
        return await read.beginning(self._database, start)

    async def list(self, filters: Filters, *, limit: int = 50, cursor: str | None = None) -> Page:
        """Read up to *limit* executions, newest first; raises UsageError for a bad *cursor*."""
        return await read.page(self._database, filters, limit, cursor)

    async def wait_result(self, id: str, seconds: float) -> Execution | None:  # noqa: A002
        """Wait up to *seconds* for an execution to end, then read it, ended or not."""
        found = await self.get(None, id)
        if found is None or found.summary.status in TERMINAL or seconds <= 0:
            return found
        await self._waiters.wait(id, seconds)
        return await self.get(None, id)

    async def prune(
        self,
        *,
        days: int | None = None,
        keep: int | None = None,
        batch: int = 5000,
        most: int = 1_000_000,
    ) -> int:
        """Delete executions that ended more than *days* ago or are beyond *keep* of an automation.

        Gives how many went; each *batch* is a commit of its own.
        """
        return await retention.prune(self._database, days=days, keep=keep, batch=batch, most=most)

    async def recount(self) -> Collection[str]:
        """Correct the numbers of running rows where others changed rows; gives the automations."""
        return await recount.recount(self._database)
