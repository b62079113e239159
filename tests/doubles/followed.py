"""A place that specs come from, and turns, both in memory: what the reconcile service is tested on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.diagnostics import Diagnostic, Severity
from reconciler.errors import GitUnreachable, ReconcilerError, RevisionGone
from reconciler.runtime.reconcile import Order, Turned, Turns
from reconciler.source.sight import Sighting, Specs
from reconciler.spec.link import Loaded
from tests.doubles.engine_rig import resources

ORGANIZATION = {"title": "Acme", "members": [{"email": "ops@acme.example", "role": "ADMIN"}]}


def sighting(name: str, *, valid: bool = True, empty: bool = False) -> Sighting:
    """Make a revision with one document, or with an error in it, or without any."""
    found = () if empty else resources("acme", "Organization", "acme", ORGANIZATION)
    wrong = () if valid else (Diagnostic(Severity.ERROR, "SPE101", f"{name} is wrong"),)
    return Sighting(
        name=name, revision=name, loaded=Loaded(resources=found, diagnostics=wrong), commit=name
    )


@dataclass(slots=True)
class MemorySpecs(Specs):
    """Says what the test put there last."""

    newest: Sighting | ReconcilerError
    history: dict[str, Sighting] = field(default_factory=dict)
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    looks: int = 0

    @property
    def place(self) -> str:
        return "memory"

    def put(self, newest: Sighting | ReconcilerError) -> None:
        """Say this from now on, and let everybody know."""
        self.newest = newest
        self.stirred.set()

    async def look(self) -> Sighting:
        self.looks += 1
        if isinstance(self.newest, ReconcilerError):
            raise self.newest
        self.history[self.newest.name] = self.newest
        return self.newest

    async def at(self, revision: str) -> Sighting:
        if revision not in self.history:
            raise RevisionGone(f"no {revision}")
        return self.history[revision]

    async def descends(self, sighting: Sighting, ancestor: str) -> bool:
        return True

    async def changed(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.stirred.wait()
        except TimeoutError:
            return
        self.stirred.clear()


@dataclass(slots=True)
class MemoryTurns(Turns):
    """Remembers the orders; *act* says what a turn does."""

    act: Callable[[Order], Awaitable[Turned]] | None = None
    orders: list[str | None] = field(default_factory=list)
    urgent: list[bool] = field(default_factory=list)
    seen: list[tuple[str | None, str | None]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    known_good: str | None = None
    asked: datetime | None = None

    async def turn(self, order: Order) -> Turned:
        self.orders.append(order.sighting.name if order.sighting else None)
        self.urgent.append(order.urgent)
        return Turned(outcome="done") if self.act is None else await self.act(order)

    async def saw(self, place: str, sighting: Sighting | None, problem: str | None) -> None:
        self.seen.append((sighting.name if sighting else None, problem))

    async def failed(self, place: str, problem: str) -> None:
        self.failures.append(problem)

    async def good(self) -> str | None:
        return self.known_good

    async def asked_at(self) -> datetime | None:
        return self.asked


AWAY = GitUnreachable("git does not answer")
