"""Leases: keep those of our own executions, take over those of workers that are gone.

One statement extends all our leases; what it does not name, somebody else has by now. Rows that
it names and we don't know were claimed in a commit whose answer got lost: they are handed back.
Not here: claiming (`reconciler.runtime.worker`), nor what becomes of a run that was taken over
(`reconciler.runtime.run`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Final

from reconciler import metrics
from reconciler.errors import DatabaseLost
from reconciler.log import get_logger
from reconciler.runtime.hold import Hold
from reconciler.runtime.ports import PASSING, Leases
from reconciler.trigger.execution import Claimed

_LOG = get_logger("worker")
_MOST_ADOPTED: Final = 100  # at a time; following a run costs no slot
_AT_MOST_EVERY: Final = 1.0  # seconds between two beats, however often something pokes


@dataclass(slots=True, kw_only=True, eq=False)
class LeaseKeeper:
    """Beats, rescues and expires; times in seconds."""

    leases: Leases
    worker: str
    holds: MutableMapping[str, Hold]
    adopt: Callable[[Claimed, float], None]  # takes a row, and when it was asked for
    lose: Callable[[Hold], None]
    lease: float = 30.0
    heartbeat: float = 10.0
    rescue: float = 5.0
    leaving: bool = False  # takes nothing over any more: least of all what it handed back
    # Held while rows become ours: an id that PostgreSQL names and we don't know is then a lost one.
    claiming: asyncio.Lock = field(default_factory=asyncio.Lock)
    _poked: asyncio.Event = field(default_factory=asyncio.Event)
    # Calls whose commit may have been done without an answer; at first also those of an earlier life.
    _doubtful: set[str] = field(default_factory=lambda: {"start"})

    def poke(self) -> None:
        """Beat soon: somebody may have cancelled a run of ours."""
        if self.holds:
            self._poked.set()

    def doubt(self, call: str) -> None:
        """Remember that *call* may have given us rows that we never heard of."""
        self._doubtful.add(call)
        self._poked.set()

    async def run(self) -> None:
        """Work until cancelled."""
        loop = asyncio.get_running_loop()
        beat_at = rescue_at = loop.time()
        while True:
            try:
                if loop.time() >= beat_at or self._poked.is_set():
                    self._poked.clear()
                    await self._beat()
                    beat_at = loop.time() + self.heartbeat
                if loop.time() >= rescue_at:
                    rescue_at = loop.time() + self.rescue
                    await self._rescue()
                    await self.leases.expire()
            except PASSING as error:
                # No rescue before a beat: the leases that ended meanwhile may be our own.
                beat_at = loop.time()
                _LOG.warning("heartbeat_waits", reason=str(error))
            await asyncio.sleep(min(_AT_MOST_EVERY, self.heartbeat / 2))
            await self._until(min(beat_at, rescue_at))

    async def _until(self, when: float) -> None:
        try:
            async with asyncio.timeout_at(when):
                await self._poked.wait()
        except TimeoutError:
            pass

    async def _beat(self) -> None:
        async with self.claiming:
            sent = asyncio.get_running_loop().time()
            beat = await self.leases.beat(self.worker, self.lease)
            for id_, hold in list(self.holds.items()):
                if id_ in beat.alive:
                    hold.renew(sent + self.lease)
                    if id_ in beat.cancelled:
                        hold.cancelled.set()
                elif hold.task is None or not hold.task.done():  # done: it waits to be written
                    metrics.LEASES_LOST.inc()
                    self.lose(hold)
            await self._hand_back(sorted(beat.alive - self.holds.keys()))

    async def _hand_back(self, unknown: list[str]) -> None:
        """Give back what we own without knowing it; never started only if it came from a claim."""
        if unknown:
            _LOG.warning("rows_handed_back", rows=len(unknown))
            if self._doubtful == {"claim"}:
                await self.leases.requeue(self.worker, unknown)
            else:
                await self.leases.release(self.worker, unknown)
        self._doubtful.clear()

    async def _rescue(self) -> None:
        adopted = sum(hold.claimed.adopted for hold in self.holds.values())
        if adopted >= _MOST_ADOPTED:
            return
        async with self.claiming:
            if self.leaving:
                return
            sent = asyncio.get_running_loop().time()
            try:
                rows = await self.leases.rescue(
                    self.worker, _MOST_ADOPTED - adopted, lease=self.lease
                )
            except DatabaseLost:
                self.doubt("rescue")
                raise
            for row in rows:
                self._take_over(row, sent)

    def _take_over(self, row: Claimed, sent: float) -> None:
        known = self.holds.get(row.id)
        if known is not None and known.claimed.attempt == row.attempt:
            known.renew(sent + self.lease)  # our own lease had ended, and nobody took it
            return
        if known is not None:
            self.lose(known)
        self.adopt(row, sent)
