"""The breaker before n8n: open while n8n is away, closed when it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from reconciler.runtime.n8n_breaker import N8nBreaker


@dataclass(slots=True)
class Line:
    """Whether n8n answers, and how often it was asked."""

    up: bool = True
    asked: int = 0

    async def probe(self) -> bool:
        self.asked += 1
        return self.up


@asynccontextmanager
async def breaker(line: Line) -> AsyncIterator[N8nBreaker]:
    made = N8nBreaker(line.probe, lambda: not line.up, every=0.3)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()


async def test_it_opens_at_once_and_closes_when_n8n_answers() -> None:
    line = Line(up=False)
    async with breaker(line) as it:
        it.trip("connection refused")
        await asyncio.sleep(0.7)
        during = it.closed
        line.up = True
        async with asyncio.timeout(2):
            await it.wait_closed()

    assert not during
    assert it.closed
    assert 2 <= line.asked <= 5
    assert it.settling


async def test_nothing_is_asked_while_it_is_closed() -> None:
    line = Line()
    async with breaker(line) as it:
        await asyncio.sleep(0.2)

        assert it.closed
        assert not it.settling
    assert line.asked == 0


async def test_it_opens_by_itself_when_runs_cannot_be_followed() -> None:
    line = Line()
    async with breaker(line) as it:
        line.up = False
        await asyncio.sleep(1.2)

        assert not it.closed


async def test_ten_failures_at_once_are_one_trip_and_a_start_forgets_them() -> None:
    async with breaker(Line()) as it:
        for _ in range(10):
            it.trip("connection refused")
        first = it.trips
        await it.wait_closed()
        it.trip("again")
        second = it.trips
        it.worked()

        assert (first, second, it.trips) == (1, 2, 0)
