"""Keeps PostgreSQL and n8n as the specs say: looks, takes a turn when there is a reason, waits.

Level-triggered: files, pushes and timers only say "look again". A revision that is not valid
leaves the last good one in force; a newer one cancels a turn that still works on an older one.
On several machines one turns at a time, the others wait. Not here: what a turn does
(`reconciler.app.turn`), nor where specs come from (`reconciler.source`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from reconciler import metrics
from reconciler.clock import Clock
from reconciler.diagnostics import SpecError
from reconciler.errors import GitUnreachable, LockHeld, ReconcilerError, RevisionGone
from reconciler.log import bound, get_logger
from reconciler.source.sight import Sighting, Specs, fault, first_error

_log = get_logger("reconcile")
_STEP: Final = 2.0  # seconds between two looks at whether somebody pushed
_CONTENDED: Final = 2.0  # seconds until the lock is tried again for what is urgent
_FIRST: Final = 5.0  # seconds after the first turn that could not be taken; doubles
_LONGEST: Final = 60.0
_LAST_WORDS: Final = 10.0  # seconds for a turn to end when the daemon stops


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a turn shall work on."""

    sighting: Sighting | None  # the last good one; None: none is known, so only drift is healed
    urgent: bool  # False: it may be left out when another daemon has just taken one


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """How a turn ended."""

    outcome: str  # done, partly, interrupted, skipped
    retry_at: datetime | None = None  # when something that waits now can go on
    drifted: int = 0
    applied: int = 0
    failed: int = 0


class Turns(Protocol):
    """Takes turns, and keeps what all daemons know together."""

    async def turn(self, order: Order) -> Turned:
        """Take one turn; raises LockHeld, SpecError or what a server raised."""
        raise NotImplementedError

    async def saw(self, place: str, sighting: Sighting | None, problem: str | None) -> None:
        """Note what is the newest revision, and why it does not apply if so."""
        raise NotImplementedError

    async def failed(self, place: str, problem: str) -> None:
        """Note why a turn failed, until one succeeds."""
        raise NotImplementedError

    async def good(self) -> str | None:
        """Tell the newest revision that any daemon found to be without errors."""
        raise NotImplementedError

    async def asked_at(self) -> datetime | None:
        """Tell when somebody last asked to look for news."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a turn did not accept a revision, and until when it is not offered again."""

    problem: str
    until: float  # by the event loop's clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often, in seconds."""

    poll: float = 60.0  # between two looks for news
    drift: float = 120.0  # between two turns without news; up to half as many again at random


class Reconciler:
    """The reconcile role."""

    name = "reconcile"

    def __init__(self, specs: Specs, turns: Turns, clock: Clock, pace: Pace | None = None) -> None:
        self._specs = specs
        self._turns = turns
        self._clock = clock
        self._pace = pace or Pace()
        self._good: Sighting | None = None  # what turns work on
        self._proven: Sighting | None = None  # the last one that a turn accepted
        self._noted: tuple[str | None, str | None] | None = None  # newest revision, its problem
        self._refused: dict[str, _Refusal] = {}  # by name: what turns did not accept
        self._asked: datetime | None = None
        self._failures = 0
        self._problem: str | None = None  # why the last turn failed
        self._waiting = False  # for another writer
        self._wanted = False  # somebody asked for a turn
        self._stirred = False  # something changed that nobody has looked at yet

    @property
    def problem(self) -> str | None:
        """Why the last turn failed; None: it did not."""
        return self._problem

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until *stopping* is set; a turn that runs then gets some seconds to end."""
        done: str | None = None  # the revision of the last turn that came to its end
        tried: str | None = None  # that of the last turn: if it failed it waits, it is no news
        due, retry = 0.0, False  # retry: the next turn is urgent when it is due
        loop = asyncio.get_running_loop()
        await _before(stopping, self._begin())
        while await _before(stopping, self._look()):
            wanted = None if self._good is None else self._good.name
            news = wanted != done or due == 0.0
            if wanted != tried or self._wanted or loop.time() >= due:
                urgent = news or retry or self._wanted
                order = Order(sighting=self._good, urgent=urgent)
                tried, self._wanted = wanted, False
                ended = await self._one(order, stopping)
                if ended is not None and ended.outcome != "interrupted":
                    done = wanted
                usual, soon = self._delays(ended, urgent=urgent)
                # What was asked for and could not be taken is still owed, but in its time.
                missed = ended is None or ended.outcome == "interrupted"
                retry = soon is not None or (urgent and missed)
                due = loop.time() + (usual if soon is None else soon)
            await self._wait(due - loop.time(), stopping)

    async def _begin(self) -> None:
        """Note when somebody last asked for news: the first turn answers that."""
        with suppress(ReconcilerError):
            self._asked = await self._turns.asked_at()

    async def _look(self) -> None:
        """See what is newest; what can't be seen or is not valid leaves the last good one."""
        sighting: Sighting | None = None
        self._stirred = False
        try:
            sighting = await self._specs.look()
        except (GitUnreachable, RevisionGone) as error:
            problem: str | None = str(error)
            if self._good is None:
                self._good = await self._remembered()
        else:
            refusal = self._refused.get(sighting.name)
            problem = fault(sighting) or (refusal.problem if refusal else None)
            again = refusal is None or asyncio.get_running_loop().time() >= refusal.until
            if fault(sighting) is None and again:
                self._good = sighting
        seen = (sighting.name if sighting else None, problem)
        if seen != self._noted:
            await self._note(sighting, problem)
            self._noted = seen

    async def _note(self, sighting: Sighting | None, problem: str | None) -> None:
        name = sighting.name if sighting else None
        if problem is not None:
            kept = self._good.name if self._good else None
            _log.warning("does not apply", revision=name, problem=problem, last_good=kept)
        else:
            _log.info("new revision", revision=name)
        await self._turns.saw(self._specs.place, sighting, problem)

    async def _remembered(self) -> Sighting | None:
        """After a start: read the last good revision again, if it is still to be had."""
        name = await self._turns.good()
        if name is None:
            return None
        try:
            found = await self._specs.at(name)
        except (GitUnreachable, RevisionGone):
            return None
        return found if fault(found) is None else None

    async def _one(self, order: Order, stopping: asyncio.Event) -> Turned | None:
        """Take a turn, unless a newer revision comes or the daemon stops; None: not to its end."""
        revision = order.sighting.revision if order.sighting else None
        began = asyncio.get_running_loop().time()
        with bound(revision=revision):
            turning = asyncio.create_task(self._turns.turn(order))
            try:
                await self._attend(turning, order, stopping)
                ended = await turning
            except asyncio.CancelledError:
                if not turning.cancelled():
                    turning.cancel()
                    await asyncio.wait([turning])
                    raise
                ended = Turned(outcome="interrupted")
            except SpecError as error:
                await self._refuse(order, error)
                return None
            except LockHeld as error:
                if not self._waiting:
                    _log.info("waits for another writer", holder=str(error))
                self._waiting = True
                return None
            except ReconcilerError as error:
                self._failures += 1
                self._waiting = False
                self._problem = str(error)
                metrics.TURNS.labels(_kind(order), "failed").inc()
                _log.error("turn failed", error=str(error), hint=error.hint)
                with suppress(ReconcilerError):  # of the database nobody can be told there
                    await self._turns.failed(self._specs.place, self._problem)
                return None
        self._failures, self._waiting, self._problem = 0, False, None
        if ended.outcome not in {"skipped", "interrupted"} and order.sighting is not None:
            self._proven = order.sighting
            self._refused.pop(order.sighting.name, None)
        if ended.outcome != "skipped":
            _tell(order, ended, asyncio.get_running_loop().time() - began)
        return ended

    async def _attend(
        self, turning: asyncio.Task[Turned], order: Order, stopping: asyncio.Event
    ) -> None:
        """Watch for a newer revision while a turn runs, and cancel the turn when there is one."""
        while not turning.done():
            waiting = asyncio.create_task(self._wait(self._pace.poll, stopping))
            await asyncio.wait({turning, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            await asyncio.wait([waiting])
            if turning.done():
                return
            if stopping.is_set():
                await asyncio.wait({turning}, timeout=_LAST_WORDS)
                turning.cancel()
                return
            with suppress(ReconcilerError):
                await self._look()
            if self._good is not None and self._good is not order.sighting:
                _log.info("a newer revision cancels this turn", newer=self._good.name)
                turning.cancel()
                return

    async def _refuse(self, order: Order, error: SpecError) -> None:
        """Note that a revision is not valid though its files are, and go back to the last good."""
        sighting = order.sighting
        assert sighting is not None  # without specs nothing can be wrong with them
        until = asyncio.get_running_loop().time() + self._pace.drift  # n8n may change its mind
        self._refused[sighting.name] = _Refusal(first_error(error), until)
        if self._good is sighting:
            known = self._proven or await self._remembered()
            self._good = None if known is None or known.name == sighting.name else known

    async def _wait(self, seconds: float, stopping: asyncio.Event) -> None:
        """Return after *seconds* or a poll, when files change, somebody pushed, or at the end."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + max(0.0, min(seconds, self._pace.poll))
        ending = asyncio.create_task(stopping.wait())
        try:
            while not self._stirred and not ending.done() and (left := deadline - loop.time()) > 0:
                await self._stir(min(_STEP, left), ending)
                self._stirred |= await self._pushed()
        finally:
            ending.cancel()

    async def _stir(self, seconds: float, ending: asyncio.Task[bool]) -> None:
        """Wait for a change; one that is reported is not forgotten, whoever else is waited for."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        stirring = asyncio.create_task(self._specs.changed(seconds))
        try:
            await asyncio.wait({stirring, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            early = loop.time() - began < seconds * 0.99
            self._stirred |= stirring.done() and not stirring.cancelled() and early
            stirring.cancel()

    async def _pushed(self) -> bool:
        try:
            asked = await self._turns.asked_at()
        except ReconcilerError:  # the poll is the truth
            return False
        news = asked is not None and asked != self._asked
        self._asked = asked
        self._wanted |= news  # whoever asks may have let something go that was held
        return news

    def _delays(self, ended: Turned | None, *, urgent: bool) -> tuple[float, float | None]:
        """Seconds until the next turn without news, and until a failed change is due before it.

        *urgent*: the turn that ended so; another writer made it wait, not whoever asked for it.
        """
        usual = self._pace.drift * random.uniform(1.0, 1.5)
        if ended is None:
            if self._failures and not (self._waiting and urgent):
                return min(_LONGEST, _FIRST * 2.0 ** min(self._failures - 1, 8)), None
            return (_CONTENDED if urgent else usual), None
        if ended.outcome == "interrupted":
            return 0.0, None
        if ended.retry_at is None:
            return usual, None
        retry = max(0.1, (ended.retry_at - self._clock.now()).total_seconds())
        return usual, retry if retry < usual else None


async def _before(stopping: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Do *work* unless *stopping* is set first; tell whether it was done."""
    working = asyncio.create_task(work)
    ending = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            await working
        return not ending.done()
    finally:
        for task in (working, ending):
            task.cancel()
        await asyncio.wait({working, ending})


def _kind(order: Order) -> str:
    return "apply" if order.urgent else "drift"


def _tell(order: Order, ended: Turned, seconds: float) -> None:
    kind = _kind(order)
    metrics.TURNS.labels(kind, ended.outcome).inc()
    metrics.TURN.labels(kind).observe(seconds)
    metrics.DRIFTED.set(ended.drifted)
    metrics.CHANGES.labels("applied").inc(ended.applied)
    metrics.CHANGES.labels("failed").inc(ended.failed)
    facts = {"drifted": ended.drifted, "applied": ended.applied, "failed": ended.failed}
    write = _log.info if any(facts.values()) or order.urgent else _log.debug
    write("turn", outcome=ended.outcome, seconds=round(seconds, 2), **facts)
