"""Workers are killed and frozen: nothing is lost, nothing ends twice, no limit is exceeded."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import pytest

from tests.acceptance.fleet import Callers, all_over, fleet
from tests.acceptance.invariants import figures, open_rows, record
from tests.worker_rig import desk

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

Remark = Callable[[str, object], None]
JOBS = 4000
WORKERS = 5
AUTOMATIONS = 40


async def automations(url: str, count: int, **settings: object) -> list[str]:
    """Make *count* automations."""
    async with desk(url) as place:
        return [await place.automation(f"a{number:02}", **settings) for number in range(count)]


async def test_workers_are_killed_and_frozen_under_load(
    database_url: str, record_property: Remark
) -> None:
    names = await automations(database_url, AUTOMATIONS, max_concurrency=2)
    record(database_url)
    callers = Callers(database_url, names)
    dice = random.Random(7)
    begun = time.monotonic()
    with fleet(
        {"DATABASE_URL": database_url, "RUNNER": "0.25"},
        lease=3.0, heartbeat=1.0, rescue=0.5,
    ) as workers:  # fmt: skip
        for _ in range(WORKERS):
            workers.start()
        calls = asyncio.create_task(callers.call(JOBS, together=10, pause=0.02))
        kills = freezes = 0
        while kills < 4 or freezes < 2:
            await asyncio.sleep(1.0)
            victim = dice.choice(workers.alive())
            if kills >= 4 or (freezes < 2 and kills == 2 * freezes + 1):
                workers.freeze(victim)
                await asyncio.sleep(5.0)
                workers.thaw(victim)
                freezes += 1
            else:
                workers.kill(victim)
                await asyncio.to_thread(workers.start)
                kills += 1
        in_the_middle = open_rows(database_url)
        await calls
        assert len(workers.alive()) == WORKERS
        await all_over(database_url, 60, workers)
    found = figures(database_url, callers.accepted)
    seconds = time.monotonic() - begun
    record_property(
        "workers killed and frozen",
        f"{found}; {WORKERS} workers, {kills} SIGKILL, {freezes} SIGSTOP, "
        f"{in_the_middle} open at the last one, {seconds:.0f} s",
    )
    found.hold()
    assert found.states == {"SUCCESS": JOBS}
    assert found.rescued > 0
    assert in_the_middle > 0, "all of it happened under load"


async def test_a_worker_is_frozen_for_a_minute_at_the_pace_of_production(
    database_url: str, record_property: Remark
) -> None:
    names = await automations(database_url, 4, max_concurrency=5)
    record(database_url)
    callers = Callers(database_url, names)
    begun = time.monotonic()
    with fleet({"DATABASE_URL": database_url, "RUNNER": "2"}) as workers:
        frozen = workers.start()
        workers.start()
        await callers.call(60)
        await asyncio.sleep(1.0)
        workers.freeze(frozen)
        await asyncio.sleep(60.0)
        left = open_rows(database_url)
        workers.thaw(frozen)
        await callers.call(20)
        await all_over(database_url, 60, workers)
        assert len(workers.alive()) == 2
    found = figures(database_url, callers.accepted)
    record_property("a worker frozen for 60 s", f"{found}; {time.monotonic() - begun:.0f} s in all")
    found.hold()
    assert found.states == {"SUCCESS": 80}
    assert found.rescued > 0
    assert left == 0, "the other worker had finished everything before the frozen one woke up"
