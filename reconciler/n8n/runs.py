"""Runs in n8n: start one through its managed entry, find it, look at many, stop one.

n8n lists executions newest first, the running ones only when asked for by status; a row's data
(what every node gave) comes along on request. Not here: following runs to their end with few
calls (`reconciler.n8n.follow`), what a row means (`reconciler.n8n.outcome`).
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

import httpx

from reconciler.clock import Clock, SystemClock
from reconciler.errors import (
    N8nConflict,
    N8nError,
    N8nInvalid,
    N8nNotFound,
    N8nUnavailable,
    ReconcilerError,
)
from reconciler.n8n.client import Limits, N8n
from reconciler.n8n.entry import Entry, NotStarted, Reply, Started, StartUnknown
from reconciler.n8n.location import locate
from reconciler.n8n.outcome import OUTPUT_LIMIT, Run, RunState, moment, read_run
from reconciler.resource.api import Query
from reconciler.resource.payload import Object

__all__ = ["NotStarted", "Reply", "Run", "RunState", "Runs", "StartUnknown", "Started"]

PAGE: Final = 250  # n8n gives no more rows at once
TOO_LARGE: Final = 32 * 1024 * 1024  # bytes of a run's data that are not read any more
_FEW: Final = 2  # runs that are rather read one by one
_TOGETHER: Final = 4 * 1024 * 1024  # bytes of data that one listing may bring
_AT_ONCE: Final = 4  # runs fetched one by one; n8n is one thread, more gains nothing
_CLOCKS: Final = timedelta(minutes=10)  # how far n8n's clock may be off where it doesn't tell
_SECOND: Final = timedelta(seconds=1)
_MINUTE: Final = timedelta(minutes=1)
_QUEUED: Final = timedelta(hours=1)  # how long a run may wait in n8n, so that younger ones overtake
_SOME: Final = 50  # rows with data in one answer
_SLACK: Final = timedelta(seconds=5)  # and where it does


class Runs:
    """n8n's executions, through its API and its webhooks; close it with `aclose`."""

    def __init__(
        self,
        api: N8n,
        *,
        output_limit: int = OUTPUT_LIMIT,
        limits: Limits | None = None,
        clock: Clock | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._api = api
        self._output_limit = output_limit
        self._clock = clock or SystemClock()
        entry_limits = limits or Limits(concurrency=50)
        self._entry = Entry(locate(api.url), entry_limits, transport)

    async def aclose(self) -> None:
        """Close the connections to the entries; the API's client stays open."""
        await self._entry.aclose()

    async def start(
        self, automation_id: str, secret: str, body: Object, *, seconds: float
    ) -> Started:
        """Start a run through the entry; waits up to *seconds* for the answer.

        Raises NotStarted when for certain nothing ran, StartUnknown when that has to be looked up
        (and for whatever a Respond to Webhook node answers).
        """
        return await self._entry.post(automation_id, secret, body, seconds, self._clock.now())

    async def find(self, workflow_id: str, correlation: str, since: datetime) -> Run | None:
        """Find the run that was started with *correlation* at *since* (by our clock) or later.

        None: n8n has none. A run that a person started again in n8n's editor is not it.
        """
        # In the order of a run's life: whatever it does meanwhile, it is in the next listing.
        for status in ("new", "running"):
            rows = self.listed(workflowId=workflow_id, status=status, data=True, limit=_SOME)
            found = await self._among(rows, correlation)
            if found is not None:
                return found
        if not await self.bounds_hold():
            rows = self.since(since - _CLOCKS, workflow=workflow_id, data=True, limit=_SOME)
            return await self._among(rows, correlation)
        for after, before in self._windows(since):
            rows = self.listed(
                workflowId=workflow_id,
                startedAfter=after,
                startedBefore=before,
                data=True,
                limit=_SOME,
            )
            found = await self._among(rows, correlation)
            if found is not None:
                return found
        return None

    async def _among(self, rows: AsyncIterator[Object], correlation: str) -> Run | None:
        async for row in rows:
            run = self.read(row)
            if run.correlation == correlation and run.mode != "retry":
                return run
        return None

    def _windows(self, since: datetime) -> Iterator[tuple[str, str | None]]:
        """Say when it may have started: likely times first, as other runs may be many."""
        widest = since - _CLOCKS
        if self._api.ahead is None:
            yield iso(widest), None
            return
        first = since + timedelta(seconds=self._api.ahead) - _SLACK
        soon = first + 4 * _SLACK
        yield iso(first), iso(soon)
        yield iso(soon - _SECOND), None
        # Whoever told us the time may not have been n8n.
        if widest < first:
            yield iso(widest), iso(first + _SECOND)

    async def look(self, ids: Collection[str]) -> dict[str, Run]:
        """Look at runs by their ids, each with output or error; those n8n doesn't know are left out.

        Runs that began one after the other cost two calls, however many they are.
        """
        sizes = await self._sizes(ids) if len(ids) > _FEW else {}
        found: dict[str, Run] = {}
        if sizes and sum(sizes.values()) <= _TOGETHER:
            async for row in self._between(ids, data=True):
                if str(row.get("id")) in ids:
                    run = self.read(row)
                    found[run.id] = run
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(id_: str) -> Run | None:
            async with gate:
                return await self.get(id_, sizes.get(id_))

        missing = set(ids) - set(found)
        single = await asyncio.gather(*(one(id_) for id_ in missing), return_exceptions=True)
        errors = [answer for answer in single if isinstance(answer, BaseException)]
        read = {answer.id: answer for answer in single if isinstance(answer, Run)}
        if errors and not (found or read):
            raise errors[0]
        for error in errors:
            # n8n answers for others: what it can't tell of one run must not hide them.
            if not isinstance(error, N8nError):
                raise error
        return found | read

    def _between(self, ids: Collection[str], *, data: bool) -> AsyncIterator[Object]:
        """List from the first to the last of *ids*, whatever is between them included."""
        numbers = [int(id_) for id_ in ids]
        first, last = min(numbers), max(numbers)
        limit = min(PAGE, last - first + 1)
        return self.listed(after=first - 1, below=last + 1, limit=limit, data=data)

    async def _sizes(self, ids: Collection[str]) -> dict[str, int]:
        """Learn the sizes of runs by one listing, if they began close enough to each other."""
        numbers = [int(id_) for id_ in ids]
        if max(numbers) - min(numbers) >= PAGE:
            return {}
        rows = [self.read(row) async for row in self._between(ids, data=False)]
        return {run.id: run.size for run in rows}

    async def get(self, id_: str, size: int | None = None, *, entered: bool = False) -> Run | None:
        """Read one run with its data, or without if that is huge; None: n8n doesn't know it.

        *size* is what a listing said of its data, if there was one; *entered* asks for what the
        first node gave, too.
        """
        if not id_.isdecimal():
            return None  # n8n would refuse the question, and whoever asks would ask for ever
        try:
            if size is None:
                size = self.read(await self._api.get(f"/executions/{id_}")).size
            row = await self._api.get(f"/executions/{id_}", includeData=size <= TOO_LARGE)
        except N8nNotFound:
            return None
        if size > TOO_LARGE:
            row["dataTooLargeToDisplay"] = True
        return read_run(row, self._output_limit, entered=entered)

    async def outline(self, id_: str) -> Run:
        """Read one run without its data; raises N8nNotFound."""
        return self.read(await self._api.get(f"/executions/{id_}"))

    async def stop(self, execution_id: str) -> bool:
        """Stop a run, or find that it has ended; False: n8n doesn't know it."""
        if not execution_id.isdecimal():
            return False
        try:
            await self._api.post(f"/executions/{execution_id}/stop", idempotent=True)
        except N8nNotFound:
            return False
        except N8nConflict:
            return True
        return True

    async def reachable(self) -> bool:
        """Tell whether n8n answers and takes our key; cheap."""
        try:
            await self._api.get("/executions", limit=1)
        except ReconcilerError:
            return False
        return True

    async def newest(self) -> int:
        """Give the highest execution id there is, 0 if there is none."""
        highest = 0
        for status in ("running", None):
            rows, _ = await self._page(status=status, limit=1)
            highest = max([highest, *(number(row) for row in rows)])
        return highest

    async def listed(
        self,
        *,
        after: int = 0,
        below: int | None = None,
        limit: int = PAGE,
        data: bool = False,
        **query: str | None,
    ) -> AsyncIterator[Object]:
        """Yield the rows with an id above *after* and below *below*, newest first, page by page."""
        while True:
            rows, more = await self._page(limit=limit, below=below, includeData=data, **query)
            for row in rows:
                if number(row) <= after:
                    return
                yield row
            if not more or not rows:
                return
            below = min(number(row) for row in rows)
            if below <= after + 1:
                return

    async def since(
        self, at: datetime, *, workflow: str | None = None, data: bool = False, limit: int = PAGE
    ) -> AsyncIterator[Object]:
        """Yield the rows of runs that began at *at* or later by n8n's clock, and maybe older ones."""
        bounded = await self.bounds_hold()
        after = iso(at) if bounded else None
        async for row in self.listed(
            data=data, limit=limit, startedAfter=after, workflowId=workflow
        ):
            began = moment(row.get("startedAt"))
            if not bounded and began is not None and began < at - _QUEUED:
                return
            yield row

    async def bounds_hold(self) -> bool:
        """Tell whether n8n finds runs by the time at which it says that they began.

        Some versions can't be asked so. Others answer for a time that is hours off, where their
        database has a time zone of its own: they forget to say that theirs is UTC.
        """
        rows, _ = await self._page(limit=1)
        began = moment(rows[0].get("startedAt")) if rows else None
        if began is None:
            return False
        try:
            rows, _ = await self._page(limit=1, startedAfter=iso(began - _MINUTE))
        except N8nInvalid:
            return False
        return bool(rows)

    def read(self, row: Object) -> Run:
        """Read a row of n8n's."""
        return read_run(row, self._output_limit)

    async def _page(
        self, *, limit: int, below: int | None = None, **query: Query | None
    ) -> tuple[list[Object], bool]:
        asked = {key: value for key, value in query.items() if value not in (None, False)}
        if below is not None:
            asked["cursor"] = _cursor(below, limit)
        answer = await self._api.get("/executions", limit=limit, **_known(asked.items()))
        data = answer.get("data")
        if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
            raise N8nUnavailable("n8n answered a listing with something else", status=200)
        return [row for row in data if isinstance(row, dict)], answer.get("nextCursor") is not None


def number(row: Object) -> int:
    """Give an execution's id as the number it is: later runs have higher ones."""
    text = str(row.get("id"))
    if not text.isdecimal():
        raise N8nUnavailable(f"n8n names an execution {text[:50]!r}, not with a number", status=200)
    return int(text)


def _known(items: Iterable[tuple[str, Query | None]]) -> dict[str, Query]:
    return {key: value for key, value in items if value is not None}


def _cursor(below: int, limit: int) -> str:
    text = json.dumps({"lastId": str(below), "limit": limit})
    return base64.b64encode(text.encode()).decode()


def iso(moment: datetime) -> str:
    """Write a moment as n8n reads it."""
    return moment.isoformat().replace("+00:00", "Z")
