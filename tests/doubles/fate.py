"""When things go wrong around an effect: the process dies, an answer is lost, a server says no.

Every write to PostgreSQL and to n8n is one effect; effects are counted from 0. A
process that died makes no further effect and reads nothing: whatever its other
tasks try raises `Died` again.
"""

from __future__ import annotations

import asyncio
import enum
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from reconciler.errors import N8nInvalid, N8nUnavailable, N8nUnreachable
from reconciler.resource.api import Query
from reconciler.resource.payload import Object
from tests.doubles.fake_n8n_http import FakeApi


class Died(BaseException):
    """The process is gone; nothing of ours catches this."""


class Blow(enum.Enum):
    """What happens around one effect."""

    DIE_BEFORE = "the process dies before it"
    DIE_AFTER = "the process dies after it"
    LOST_BEFORE = "the connection breaks before it"
    LOST_AFTER = "it happens, the answer is lost"
    REFUSED = "the server says no"
    BROKEN_AFTER = "it happens, the answer is an error"


@dataclass(slots=True, kw_only=True)
class Fate:
    """Strikes the effects whose numbers are in *blows*; *order* mixes what runs side by side."""

    blows: Mapping[int, Blow] = field(default_factory=dict)
    order: random.Random | None = None
    effects: int = 0
    dead: bool = False

    def enter(self) -> Blow | None:
        """Begin an effect; tells what will happen to it."""
        self.look()
        blow = self.blows.get(self.effects)
        self.effects += 1
        if blow is Blow.DIE_BEFORE:
            self.dead = True
            raise Died
        return blow

    def leave(self, blow: Blow | None) -> None:
        """End an effect that took place."""
        if blow is Blow.DIE_AFTER:
            self.dead = True
            raise Died

    def look(self) -> None:
        """Do anything at all: only the living can."""
        if self.dead:
            raise Died

    async def pause(self) -> None:
        """Let others go first, sometimes."""
        self.look()
        if self.order is not None:
            for _ in range(self.order.randrange(3)):
                await asyncio.sleep(0)


class FatedApi(FakeApi):
    """A `FakeApi` whose writes are subject to a fate; unlike the client it never tries again."""

    fate = Fate()

    async def get(self, path: str, **query: Query) -> Object:
        await self.fate.pause()
        return self._call("GET", path, None, query)

    async def post(
        self, path: str, body: Object | None = None, *, idempotent: bool = False, **query: Query
    ) -> Object:
        return await self._write("POST", path, body, query)

    async def put(
        self, path: str, body: Object | None = None, *, idempotent: bool = False, **query: Query
    ) -> Object:
        return await self._write("PUT", path, body, query)

    async def patch(
        self, path: str, body: Object | None = None, *, idempotent: bool = False, **query: Query
    ) -> Object:
        return await self._write("PATCH", path, body, query)

    async def delete(
        self, path: str, body: Object | None = None, *, idempotent: bool = False, **query: Query
    ) -> Object:
        return await self._write("DELETE", path, body, query)

    def pages(self, path: str, **query: Query) -> AsyncIterator[Object]:
        self.fate.look()
        return super().pages(path, **query)

    async def probe(self, path: str) -> int:
        await self.fate.pause()
        return await super().probe(path)

    async def _write(
        self, method: str, path: str, body: Object | None, query: dict[str, Query]
    ) -> Object:
        await self.fate.pause()
        blow = self.fate.enter()
        if blow is Blow.LOST_BEFORE:
            raise N8nUnreachable("n8n is gone", outcome_unknown=True)
        if blow is Blow.REFUSED:
            raise N8nInvalid("n8n refuses it", status=400)
        answer = self._call(method, path, body, query)
        self.fate.leave(blow)
        if blow is Blow.LOST_AFTER:
            raise N8nUnreachable("n8n is gone", outcome_unknown=True)
        if blow is Blow.BROKEN_AFTER:
            raise N8nUnavailable("n8n is broken", status=502, outcome_unknown=True)
        return answer


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to whatever is waited for next."""

    _now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]
        scheduled: Any = self._scheduled  # type: ignore[attr-defined]
        if not ready and scheduled:
            self._now = max(self._now, scheduled[0].when())
        super()._run_once()  # type: ignore[misc]


@asynccontextmanager
async def mortal() -> AsyncIterator[None]:
    """Survive the death of the process inside."""
    try:
        yield
    except Died:
        return
    except BaseExceptionGroup as group:
        _, others = group.split(Died)
        if others is not None:
            raise others from None
