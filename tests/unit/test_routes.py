"""Routes that are kept for a second, and read again in the background while they are used."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, cast

import pytest

from reconciler.errors import DatabaseUnreachable
from reconciler.store.webhooks import Route
from reconciler.web.routes import Routes


class Stored:
    """Webhooks in place of a database: each automation has one, named hook."""

    def __init__(self) -> None:
        self.reads: list[list[str]] = []
        self.gone: set[str] = set()
        self.away = False

    async def routes(self, ids: Collection[str]) -> dict[str, Sequence[Route]]:
        self.reads.append(sorted(ids))
        await asyncio.sleep(0)
        if self.away:
            raise DatabaseUnreachable("away")
        return {id_: [route(id_)] for id_ in ids if id_ not in self.gone}


def route(automation: str) -> Route:
    return Route(
        automation_id=automation, organization_id="acme", trigger_id=f"{automation}-hook",
        name="hook", auth={}, sealed=None, filters=None, url="", limit=1, period=60.0,
        bounded=False, read_at=1000.0,
    )  # fmt: skip


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still: change its only element."""
    now = [50.0]
    monkeypatch.setattr("reconciler.web.routes.time.monotonic", lambda: now[0])
    return now


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_route_is_read_again_when_it_is_a_second_old(time: list[float]) -> None:
    stored = Stored()
    routes = Routes(cast("Any", stored))
    assert await routes.find("a", "hook") == route("a")
    stored.gone.add("a")
    time[0] += 0.4
    assert await routes.find("a", None) == route("a")
    time[0] += 0.6
    assert await routes.find("a", None) is None
    assert stored.reads == [["a"], ["a"]]


async def test_what_is_in_use_is_read_together_before_it_is_too_old(time: list[float]) -> None:
    stored = Stored()
    routes = Routes(cast("Any", stored))
    names = [f"a{n}" for n in range(5)]
    for name in names:
        await routes.find(name, "hook")
    stored.reads.clear()
    for _ in range(10):
        time[0] += 0.3
        for name in names:
            assert await routes.find(name, "hook") == route(name)
        await settle()
    assert len(stored.reads) <= 5
    assert all(read == names for read in stored.reads)


async def test_what_is_not_in_use_is_not_read(time: list[float]) -> None:
    stored = Stored()
    routes = Routes(cast("Any", stored))
    await routes.find("busy", "hook")
    await routes.find("quiet", "hook")
    for _ in range(30):
        time[0] += 0.6
        await routes.find("busy", "hook")
        await settle()
    assert sum("busy" in read for read in stored.reads) == 31
    assert sum("quiet" in read for read in stored.reads) == 17  # for ten seconds


async def test_of_very_many_only_the_last_are_read(time: list[float]) -> None:
    stored = Stored()
    routes = Routes(cast("Any", stored))
    for n in range(1000):
        await routes.find(f"a{n}", "hook")
    stored.reads.clear()
    time[0] += 0.6
    await routes.find("a0", "hook")
    await settle()
    assert sorted(["a0", *(f"a{n}" for n in range(701, 1000))]) == stored.reads[0]


async def test_a_renewal_that_fails_is_left_to_the_next_call(time: list[float]) -> None:
    stored = Stored()
    routes = Routes(cast("Any", stored))
    await routes.find("a", "hook")
    stored.away = True
    time[0] += 0.6
    assert await routes.find("a", "hook") == route("a")
    await settle()
    time[0] += 0.6
    with pytest.raises(DatabaseUnreachable):
        await routes.find("a", "hook")
    stored.away = False
    assert await routes.find("a", "hook") == route("a")


async def test_the_clock_is_that_of_the_database(time: list[float]) -> None:
    routes = Routes(cast("Any", Stored()))
    found = await routes.find("a", "hook")
    assert found is not None
    time[0] += 0.3
    assert routes.clock(found) == pytest.approx(1000.3)
    routes.forget("a")
    assert routes.clock(found) == 1000.0
