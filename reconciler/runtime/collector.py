"""Completes the history: runs that n8n started by itself become executions, each once.

n8n's executions are listed, newest first, down to where the last look ended. What our runtime
started is left out: it came in through the managed entry. What still runs stands as RUNNING
and is followed. One daemon does this at a time; another goes on where it ended. Not here:
the rows (`reconciler.store.native`), what n8n's words mean (`reconciler.n8n.outcome`).
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast

from reconciler import metrics
from reconciler.errors import N8nError, UnreachableError
from reconciler.log import get_logger
from reconciler.n8n.outcome import Run, RunState, gone
from reconciler.n8n.runs import TOO_LARGE, Runs, number
from reconciler.resource.payload import Object, Value
from reconciler.store.native import Home, NativeRun, NativeRuns, OpenRun, key_of
from reconciler.trigger.execution import Status

_log = get_logger("collector")

_NOT_RECORDED: Final = frozenset({"manual", "evaluation"})  # people trying things out in the editor
_AT_ONCE: Final = 25  # runs read and written together
_REMEMBERED: Final = 50_000  # ids that need no second look
_TRIES: Final = 3  # to read a run that n8n answers with an error about
_BACK: Final = timedelta(seconds=60)  # how far a new search reaches back behind the last one
_TIMED_OUT: Final = "because it timed out"  # n8n's words where it ended a run itself
_STATUS: Final = {
    RunState.SUCCESS: Status.SUCCESS,
    RunState.ERROR: Status.FAILED,
    RunState.CRASHED: Status.FAILED,
    RunState.CANCELED: Status.CANCELLED,
    RunState.GONE: Status.FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often it looks; seconds."""

    every: float = 5.0
    lag: float = 3.0  # n8n may show a run later than one with a higher id
    lease: float = 30.0
    away: float = 10.0  # between two tries while n8n is away


class Collector:
    """One of the daemon's services."""

    name = "collector"

    def __init__(
        self,
        runs: Runs,
        native: NativeRuns,
        *,
        holder: str,
        starts: Callable[[str], bool],
        rhythm: Rhythm | None = None,
    ) -> None:
        """*starts* tells of a node type whether n8n begins runs with it."""
        self._runs = runs
        self._native = native
        self._holder = holder
        self._starts = starts
        self._rhythm = rhythm or Rhythm()
        self._after: int | None = None  # runs with this id or a lower one are all known
        self._marks: deque[tuple[float, int, datetime]] = deque()
        self._settled: OrderedDict[str, None] = OrderedDict()
        self._alive_before: set[str] = set()
        self._unreadable: Counter[str] = Counter()

    async def run(self, stopping: asyncio.Event) -> None:
        """Look again and again until *stopping*; raises what the database raises."""
        away = False
        while not stopping.is_set():
            wait = self._rhythm.every
            try:
                await self.turn()
                away = False
            except (UnreachableError, N8nError) as error:
                if not away:
                    _log.warning("runs of n8n can't be collected now", reason=str(error))
                away, wait = True, self._rhythm.away
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), wait)
        await self._native.let_go(self._holder)

    async def turn(self) -> int:
        """Record what is new; gives how many runs were recorded with their end."""
        until = await self._native.take(self._holder, self._rhythm.lease)
        if until is None:
            self._after = None  # another daemon goes on; later we begin where it ended
            self._marks.clear()
            return 0
        running = [row async for row in self._runs.listed(status="running")]
        rows = [*running, *await self._new_rows(until)]
        homes = await self._native.homes({str(row["workflowId"]) for row in rows})
        found = self._candidates(rows, homes)
        ended = await self._record(found, homes)
        await self._begin(found, homes)
        await self._advance(rows)
        return ended + await self._follow({str(row["id"]) for row in running})

    async def _new_rows(self, until: datetime) -> list[Object]:
        """List what is not running and not known to be recorded, newest first."""
        if self._after is None:
            return [row async for row in self._runs.since(until - _BACK)]
        rows = [row async for row in self._runs.listed(after=self._after)]
        if not rows and await self._runs.newest() < self._after:
            _log.warning("n8n counts its runs anew")
            self._after = None
            self._marks.clear()
            self._settled.clear()
        return rows

    def _candidates(self, rows: Iterable[Object], homes: dict[str, Home]) -> list[Run]:
        """Keep the rows that may be runs of ours that we did not start, oldest first."""
        found: list[Run] = []
        for row in rows:
            run = self._runs.read(row)
            if run.id in self._settled or run.started_at is None:
                continue
            home = homes.get(run.workflow_id)
            if home is not None and run.started_at >= home.since and self._may_be_native(run, home):
                found.append(run)
            else:
                self._settle(run.id)
        return found[::-1]

    def _may_be_native(self, run: Run, home: Home) -> bool:
        """Whether n8n may have started it, as far as that shows without its data."""
        if run.mode in _NOT_RECORDED:
            return False
        # Where our entry is the only way in from outside, a call came in through it.
        only_ours = home.entered and not any(self._starts(type_) for type_ in home.node_types)
        return run.mode != "webhook" or not only_ours

    async def _record(self, found: list[Run], homes: dict[str, Home]) -> int:
        """Write the runs that have ended, some at a time."""
        over = [run for run in found if run.ended]
        pairs = [
            (homes[run.workflow_id].automation_id, key)
            for run in over
            for key in (_key(run), _key_anew(run))
        ]
        known = await self._native.ended(pairs) if pairs else {}
        missing: list[Run] = []
        keys: dict[str, str] = {}
        for run in over:
            key = _key(run)
            if (end := known.get(key)) is not None and run.started_at and run.started_at > end:
                key = _key_anew(run)  # the recorded one had ended before: n8n's ids went back
            if key in known:
                self._settle(run.id)
            else:
                keys[run.id] = key
                missing.append(run)
        recorded = 0
        for at in range(0, len(missing), _AT_ONCE):
            if at:
                await self._native.take(self._holder, self._rhythm.lease)
            recorded += await self._write(missing[at : at + _AT_ONCE], homes, keys)
        return recorded

    async def _begin(self, found: list[Run], homes: dict[str, Home]) -> None:
        """Write the runs that take longer as RUNNING: those that wait, or ran at the last look."""
        alive = [run for run in found if not run.ended]
        lasting = [
            run for run in alive if run.state is RunState.WAITING or run.id in self._alive_before
        ]
        self._alive_before = {run.id for run in alive}
        if lasting:
            await self._write(lasting, homes, {run.id: _key(run) for run in lasting})

    async def _write(
        self, found: list[Run], homes: dict[str, Home], keys: Mapping[str, str]
    ) -> int:
        rows: list[NativeRun] = []
        for run in found:
            home = homes[run.workflow_id]
            full = await self._full(run)
            if full is None or await self._is_ours(full, home):
                self._settle(run.id)
            else:
                rows.append(_row(full, home.automation_id, keys[run.id]))
        ended = await self._native.record(rows)
        for row in rows:
            self._settle(row.n8n_execution_id)
        self._tell(ended)
        return len(ended)

    async def _full(self, run: Run) -> Run | None:
        """Read a run with its data; what n8n can't tell again and again is recorded without."""
        try:
            return await self._runs.get(run.id, run.size, entered=True)
        except N8nError:
            self._unreadable[run.id] += 1
            if self._unreadable[run.id] < _TRIES:
                raise
            del self._unreadable[run.id]
            _log.warning("n8n does not give the data of a run", run=run.id)
            return run

    async def _is_ours(self, run: Run, home: Home) -> bool:
        """Whether our runtime started it."""
        # A person can run an execution of ours again in n8n's editor: that run is not ours.
        if run.mode == "retry" or not home.entered:
            return False
        if run.correlation is None and run.size > TOO_LARGE:
            return await self._native.started_by_us(home.automation_id, run.id)
        return run.correlation is not None

    async def _follow(self, alive: Collection[str]) -> int:
        """Look after the rows that are RUNNING: n8n may be done with them."""
        rows: list[NativeRun] = []
        open_ = await self._native.open()
        if any(one.n8n_execution_id not in alive for one in open_):
            waiting = [row async for row in self._runs.listed(status="waiting")]
            alive = {*alive, *(str(row["id"]) for row in waiting)}
        for one in open_:
            if not one.cancel_requested and one.n8n_execution_id in alive:
                continue
            run = await self._now(one)
            if run is not None and run.ended:
                rows.append(_row(run, one.automation_id, one.key))
        ended = await self._native.record(rows)
        self._tell(ended)
        return len(ended)

    async def _now(self, one: OpenRun) -> Run | None:
        """Ask what became of a run, and stop it if somebody wants that; None: n8n doesn't tell.

        What n8n can't tell of one run must not hide the others.
        """
        id_ = one.n8n_execution_id
        try:
            if one.cancel_requested:
                await self._runs.stop(id_)
            run = await self._runs.get(id_, entered=True)
        except N8nError as error:
            if not await self._runs.reachable():
                raise
            self._unreadable[id_] += 1
            if self._unreadable[id_] == 1:
                _log.warning("n8n does not tell of a run", run=id_, reason=str(error))
            return await self._outline(id_) if self._unreadable[id_] >= _TRIES else None
        self._unreadable.pop(id_, None)
        return gone(id_, "") if run is None else run

    async def _outline(self, id_: str) -> Run | None:
        try:
            return await self._runs.outline(id_)
        except N8nError:
            return None

    async def _advance(self, rows: list[Object]) -> None:
        """Note how far all is recorded: up to the newest run that was there *lag* seconds ago."""
        now = asyncio.get_running_loop().time()
        begun = [(number(row), self._runs.read(row).started_at) for row in rows]
        # Runs that wait for their turn in n8n are looked at again.
        waiting = min((id_ for id_, at in begun if at is None), default=None)
        started = [
            (id_, at) for id_, at in begun if at is not None and (waiting is None or id_ < waiting)
        ]
        if started:
            self._marks.append((now, max(started)[0], max(at for _, at in started)))
            if self._after is None:  # the search by time showed all that matters
                self._after = min(started)[0] - 1
        until: datetime | None = None
        while self._marks and self._marks[0][0] <= now - self._rhythm.lag:
            _, id_, until = self._marks.popleft()
            self._after = max(self._after or 0, id_)
        if until is not None:
            await self._native.keep(self._holder, until)

    def _settle(self, id_: str) -> None:
        self._settled[id_] = None
        while len(self._settled) > _REMEMBERED:
            self._settled.popitem(last=False)

    def _tell(self, ended: list[Status]) -> None:
        for status in ended:
            metrics.NATIVE.labels(status.value).inc()


def _key(run: Run) -> str:
    return key_of(run.workflow_id, run.id)


def _key_anew(run: Run) -> str:
    return key_of(run.workflow_id, run.id, run.started_at)


def _row(run: Run, automation_id: str, key: str) -> NativeRun:
    """Describe *run* as its row."""
    status = _STATUS.get(run.state, Status.RUNNING)
    if run.state is RunState.CANCELED and _TIMED_OUT in (run.error_message or ""):
        status = Status.TIMEOUT
    items = run.entered or []
    entered = items[0] if len(items) == 1 else items
    return NativeRun(
        automation_id=automation_id,
        key=key,
        n8n_execution_id=run.id,
        status=status,
        started_at=run.started_at,
        stopped_at=run.stopped_at if run.ended else None,
        version_id=run.version_id,
        trigger_data=cast("Value", entered or {}),  # JSON is one kind of Value
        output=cast("Value", run.output),
        output_truncated=run.truncated,
        error_message=run.error_message,
        error_stack=run.error_stack,
        error_node=run.error_node,
        metadata={"n8n": {"mode": run.mode, "node": run.start_node}} if run.mode else None,
    )
