"""What we know of the runs in flight, and the next question to n8n that tells most.

Not here: starting runs and waiting for them (`reconciler.n8n.follow`).
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from reconciler.errors import N8nError
from reconciler.log import get_logger
from reconciler.n8n.horizon import Horizon
from reconciler.n8n.outcome import Run, RunState, gone
from reconciler.n8n.runs import TOO_LARGE, Runs, number
from reconciler.resource.payload import Json, Object

_LOG = get_logger("worker")

_REMEMBERED = 20_000  # ids of executions that are none of ours
_LARGE_ROW = 64 * 1024  # mean bytes of a row from where rows are read one by one
_FEW_OURS = 0.25  # share of rows that are ours below which they are read one by one
_GLANCE = 0.05  # seconds that any call may take
_SPACING = 3  # the time between two questions, in times of what the last one took
_BACK = 500  # runs behind the newest that are looked at again when n8n's ids went back
_MEMORY = 0.8  # of the mean size and share, from one listing to the next


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often we ask, and how long we wait before we believe that nothing is there; seconds."""

    shortest: float = 0.005
    longest: float = 0.25  # while there are runs that began just now
    young: float = 0.5  # a run's age from where we look for it among the running ones
    slow: float = 0.25  # between two looks at the running ones, growing with their age
    slowest: float = 2.0
    away: float = 1.0  # between two tries while n8n is away
    answer: float = 5.0  # for the answer of a run that has ended
    # n8n said that it began, and shows no such run: it keeps none. An n8n under load shows a run
    # in no listing for seconds while it begins and ends it, and a false word would be final.
    sure: float = 20.0
    unseen: float = 8.0  # n8n did not say whether it began, and shows no such run
    unsure: tuple[float, ...] = (
        0.5,
        1.0,
        2.0,
    )  # between tries to find a run whose id we don't know


class Watch:
    """One run that is waited for; *ended* gives None when n8n has no such run."""

    __slots__ = (
        "_known",
        "after",
        "born",
        "correlation",
        "ended",
        "execution_id",
        "missed",
        "settled",
        "sure",
        "waiting",
        "workflow_id",
    )

    def __init__(
        self, workflow_id: str, correlation: str, after: int, known: Callable[[str], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.workflow_id = workflow_id
        self.correlation = correlation
        self.after = after  # its id is higher than this
        self.born = loop.time()
        self.ended: asyncio.Future[Run | None] = loop.create_future()
        self.execution_id: str | None = None
        self.settled: float | None = None  # when we learned what became of the call
        self.sure = False  # n8n said that the run began
        self.waiting = False
        self.missed = 0  # how often it was in neither listing
        self._known = known

    def learn(self, execution_id: str) -> None:
        """Note the run's id in n8n."""
        if self.execution_id is None:
            self.execution_id = execution_id
            self._known(execution_id)

    def settle(self, *, sure: bool = True) -> None:
        """Note that the call was answered, or broke."""
        self.settled = asyncio.get_running_loop().time()
        self.sure = sure

    def end(self, run: Run | None) -> None:
        """Note what became of it."""
        if not self.ended.done():
            self.ended.set_result(run)


class Sight:
    """All watches, and the turns that look for them."""

    def __init__(self, runs: Runs, pace: Pace) -> None:
        self._runs = runs
        self._pace = pace
        self._watches: dict[str, Watch] = {}
        self._newest: int | None = None
        self._foreign: OrderedDict[int, None] = OrderedDict()
        self._unread: set[str] = set()  # workflows with runs that are too large to look into
        self._horizon = Horizon()
        self._bounded: bool | None = None  # n8n can be asked by time; None: not known yet
        self._mean_size = 0.0
        self._share = 1.0
        self._wait = pace.shortest * 2
        self._asked = 0.0  # when the newest were listed, and how long that took
        self._cost = 0.0
        self._call = 0.0  # how long n8n takes to answer a call of an entry, lately
        self._next_slow = 0.0

    @property
    def ready(self) -> bool:
        """Whether we know where the new executions begin."""
        return self._newest is not None

    @property
    def watches(self) -> list[Watch]:
        """The runs that are waited for and have not ended."""
        return [watch for watch in self._watches.values() if not watch.ended.done()]

    async def prepare(self) -> None:
        """Learn the highest execution id."""
        self._newest = await self._runs.newest()

    def watch(self, workflow_id: str, correlation: str, known: Callable[[str], None]) -> Watch:
        """Begin to look for a run that is about to be started."""
        watch = Watch(workflow_id, correlation, self._newest or 0, known)
        self._watches[correlation] = watch
        return watch

    def forget(self, watch: Watch) -> None:
        """Look for it no longer."""
        if self._watches.get(watch.correlation) is watch:
            del self._watches[watch.correlation]

    def due(self) -> float:
        """Give the seconds until the next turn can tell something."""
        now = asyncio.get_running_loop().time()
        new = [watch for watch in self.watches if self._is_new(watch, now)]
        soon = self._due_for_new(new) if any(watch.settled for watch in new) else math.inf
        if any(now - watch.born >= self._young() for watch in self.watches):
            soon = min(soon, self._next_slow)
        oldest = min((watch.born for watch in self.watches), default=now)
        return max(0.0, min(soon, max(self._next_slow, oldest + self._young())) - now)

    def _due_for_new(self, new: list[Watch]) -> float:
        """Give the time when one question serves all that were started together.

        While calls are being answered, more runs will have ended a moment later: n8n answers them
        one after the other, and the question too.
        """
        settled = [watch.settled for watch in new if watch.settled is not None]
        first, last = (max(at, self._asked) for at in (min(settled), max(settled)))
        now = asyncio.get_running_loop().time()
        # A call that takes much longer than others waits for a Respond to Webhook node.
        if any(w.settled is None and now - w.born < 3 * self._call + _GLANCE for w in new):
            return first + max(self._pace.shortest, _SPACING * self._cost, 1.5 * self._call)
        return min(last + self._wait, first + self._pace.longest)

    async def turn(self) -> None:
        """Ask n8n and note what it says."""
        begun = asyncio.get_running_loop().time()
        slow = begun >= self._next_slow and any(
            begun - watch.born >= self._young() for watch in self.watches
        )
        trouble: N8nError | None = None
        if slow:
            try:
                await self._look_among_running()
            except N8nError as error:  # maybe about one run: those that began just now can be told
                trouble = error
        new = [watch for watch in self.watches if self._is_new(watch, begun)]
        if new:
            asked = asyncio.get_running_loop().time()
            found = await self._look_among_newest(new)
            self._asked = asyncio.get_running_loop().time()
            self._cost = self._asked - asked
            self._adapt(found, new)
        if slow:
            self._next_slow = asyncio.get_running_loop().time() + self._patience()
            if trouble is None:
                await self._conclude(begun)
            elif not new:
                raise trouble

    def _adapt(self, found: int, new: list[Watch]) -> None:
        calls = [one.settled - one.born for one in new if one.settled is not None and one.sure]
        settled = sum(1 for watch in new if watch.settled is not None)
        if calls:
            mean = min(4 * self._pace.longest, sum(calls) / len(calls))
            self._call = (self._call + mean) / 2 if self._call else mean
        if found == 0:
            self._wait = min(self._pace.longest, self._wait * 1.6)
        elif found >= settled:
            self._wait = max(self._pace.shortest, self._wait * 0.8)

    def _is_new(self, watch: Watch, now: float) -> bool:
        """Whether it is looked for among the newest: it may have ended before we knew its id."""
        return watch.execution_id is None or now - watch.born < self._young()

    def _young(self) -> float:
        """How old a run may be to be looked for among the newest: an n8n under load takes longer."""
        return max(self._pace.young, 4 * self._call)

    def _patience(self) -> float:
        now = asyncio.get_running_loop().time()
        youngest = min((now - watch.born for watch in self.watches), default=0.0)
        return min(self._pace.slowest, max(self._pace.slow, youngest / 10))

    async def _look_among_newest(self, new: list[Watch]) -> int:
        """List the newest executions that have ended; give how many of ours were among them."""
        after = min(watch.after for watch in new)
        one_by_one = self._mean_size > _LARGE_ROW or self._share < _FEW_OURS
        limit = max(5, min(100, len(new) + 1))
        asked = asyncio.get_running_loop().time()
        sizes: list[int] = []
        found = 0
        large: list[tuple[str, int, Json]] = []
        async for row in self._runs.listed(
            after=after, limit=limit, data=not one_by_one, startedAfter=self._since(new, asked)
        ):
            id_ = number(row)
            self._newest = max(self._newest or 0, id_)
            sizes.append(size if isinstance(size := row.get("jsonSizeBytes"), int) else 0)
            if id_ in self._foreign:
                continue
            if not one_by_one:
                if self._note(self._runs.read(row)):
                    found += 1
                    self._horizon.learn(row.get("startedAt"), asked)
                if found == len(new):
                    break
            elif self._may_be_ours(row):
                large.append((str(id_), sizes[-1], row.get("startedAt")))
        for id_text, size, began in large:
            run = await self._large(id_text, size)
            if run is not None and self._note(run, readable=size <= TOO_LARGE):
                found += 1
                self._horizon.learn(began, asked)
        self._remember(sizes, found)
        if found and self._bounded is None:
            self._bounded = await self._runs.bounds_hold()
        return found

    async def _large(self, id_: str, size: int) -> Run | None:
        """Read a run of its own; None: n8n doesn't tell, which must not hide the others."""
        try:
            return await self._runs.get(id_, size)
        except N8nError:
            return None

    def _since(self, new: list[Watch], now: float) -> str | None:
        """Give n8n's time before all of *new* began, unless one of them should have shown by now."""
        if not self._bounded:
            return None
        unseen = min(self._pace.sure, self._pace.unseen) / 4
        if any(watch.settled is not None and now - watch.settled > unseen for watch in new):
            return None
        return self._horizon.before(min(watch.born for watch in new))

    def _remember(self, sizes: list[int], found: int) -> None:
        if sizes:
            mean, share = sum(sizes) / len(sizes), found / len(sizes)
            self._mean_size = _MEMORY * self._mean_size + (1 - _MEMORY) * mean
            if found:
                self._share = _MEMORY * self._share + (1 - _MEMORY) * share
        while len(self._foreign) > _REMEMBERED:
            self._foreign.popitem(last=False)

    def _may_be_ours(self, row: Object) -> bool:
        workflow = row.get("workflowId")
        return any(watch.workflow_id == workflow for watch in self.watches)

    async def _look_among_running(self) -> None:
        """Learn the ids of runs that take longer, and read those that run no longer."""
        nameless = any(watch.execution_id is None for watch in self.watches)
        alive: set[str] = set()
        async for row in self._runs.listed(status="running", data=nameless):
            alive.add(str(number(row)))
            if nameless:
                self._note(self._runs.read(row))
        if any(watch.waiting for watch in self.watches):
            async for row in self._runs.listed(status="waiting"):
                alive.add(str(number(row)))
        ids = [
            watch.execution_id
            for watch in self.watches
            if watch.execution_id is not None and watch.execution_id not in alive
        ]
        by_id = {watch.execution_id: watch for watch in self.watches}
        found = await self._runs.look(ids)
        for id_ in ids:
            self._see(by_id[id_], found.get(id_) or gone(id_, by_id[id_].workflow_id))

    def _note(self, run: Run, *, readable: bool = True) -> int:
        """Take what a row says to the watch it belongs to; 1 if that has ended now."""
        watch = self._watches.get(run.correlation or "") or self._by_id(run.id)
        # A person can run an old execution again in n8n's editor: that one is not ours.
        if watch is None or run.mode == "retry":
            if readable and run.ended:
                self._foreign[int(run.id)] = None
            elif not readable:
                self._unread.add(run.workflow_id)
            return 0
        return self._see(watch, run)

    def _see(self, watch: Watch, run: Run) -> int:
        watch.learn(run.id)
        watch.waiting = run.state is RunState.WAITING
        if not run.ended or watch.ended.done():
            return 0
        watch.end(run)
        return 1

    def _by_id(self, id_: str) -> Watch | None:
        return next((w for w in self._watches.values() if w.execution_id == id_), None)

    async def _conclude(self, begun: float) -> None:
        """Give up runs that were in neither listing, though n8n has had the time to show them."""
        absent = self._absent(begun)
        if not absent or await self._counts_anew():
            return
        for watch in absent:
            watch.missed += 1
            # Once is not enough: n8n lists a run in neither state while it is ending it.
            if watch.missed > 3:
                watch.end(None)

    async def _counts_anew(self) -> bool:
        """Notice that n8n's ids went back: its database is another one, or one from a backup."""
        newest = await self._runs.newest()
        if newest >= (self._newest or 0):
            return False
        _LOG.warning("n8n_counts_anew", newest=newest, before=self._newest)
        self._newest = newest
        self._foreign.clear()
        for watch in self.watches:
            watch.after = min(watch.after, max(0, newest - _BACK))
        return True

    def _absent(self, begun: float) -> list[Watch]:
        absent: list[Watch] = []
        for watch in self.watches:
            if watch.execution_id is not None or watch.settled is None:
                continue
            patience = self._pace.sure if watch.sure else self._pace.unseen
            if begun - watch.settled >= patience and watch.workflow_id not in self._unread:
                absent.append(watch)
        return absent
