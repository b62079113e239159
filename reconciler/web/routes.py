"""The webhooks that were called of late, as the database had them less than a second ago.

What is in use is read again before it is a second old, all of it in one read that no call waits
for. Not here: the statement (`reconciler.store.webhooks`).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final, NamedTuple

from reconciler.errors import ReconcilerError
from reconciler.store.webhooks import Route, Webhooks
from reconciler.web.grouped import Grouped

_FRESH: Final = 1.0  # seconds that a route is used before it is read again
_AGEING: Final = 0.5  # seconds between two reads of what is in use
_IN_USE: Final = 10.0  # seconds since the last call
_RENEWED: Final = 300  # automations in one read, those called last
_KEPT: Final = 10_000  # automations


class _Read(NamedTuple):
    at: float  # time.monotonic(), before it was read
    routes: Sequence[Route]


class Routes:
    """Finds webhooks by their address."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks
        self._together = Grouped[str, _Read](self._read)
        self._known: dict[str, _Read] = {}
        self._used: OrderedDict[str, float] = OrderedDict()  # when, the last one last
        self._renewed_at = time.monotonic()
        self._renewal: asyncio.Task[None] | None = None

    async def find(self, automation: str, trigger: str | None) -> Route | None:
        """Find the webhook *trigger* of *automation*, or its only one."""
        now = time.monotonic()
        known = self._known.get(automation)
        if known is None or now - known.at >= _FRESH:
            known = await self._together(automation)
        if known.routes:
            self._used[automation] = now
            self._used.move_to_end(automation)
        if now - self._renewed_at >= _AGEING and (self._renewal is None or self._renewal.done()):
            self._renewed_at = now
            self._renewal = asyncio.create_task(self._renew(now))
        if trigger is None:
            return known.routes[0] if len(known.routes) == 1 else None
        return next((route for route in known.routes if route.name == trigger), None)

    def clock(self, route: Route) -> float:
        """Tell the database's time, as seconds since the epoch: this machine's may be wrong."""
        read = self._known.get(route.automation_id)
        return route.read_at + (0.0 if read is None else time.monotonic() - read.at)

    def forget(self, automation: str) -> None:
        """Read *automation* anew at its next call: it is not what we thought."""
        self._known.pop(automation, None)

    async def _renew(self, now: float) -> None:
        while self._used and next(iter(self._used.values())) < now - _IN_USE:
            self._used.popitem(last=False)
        last = islice(reversed(self._used), _RENEWED)
        due = [id_ for id_ in last if id_ in self._known and self._known[id_].at < now]
        with suppress(ReconcilerError):  # the next call reads it, and says what is wrong
            await self._read(due)

    async def _read(self, automations: Collection[str]) -> list[_Read]:
        now = time.monotonic()
        found = await self._webhooks.routes(set(automations))
        if len(self._known) > _KEPT:
            self._known.clear()
        for id_ in automations:
            if id_ in found:
                self._known[id_] = _Read(now, found[id_])
            else:
                self._known.pop(id_, None)
        return [_Read(now, found.get(id_, ())) for id_ in automations]
