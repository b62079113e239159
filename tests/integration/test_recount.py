"""The number of running executions is corrected where somebody spoilt it, and harms nobody."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from reconciler.runtime.hold import Hold
from reconciler.runtime.recount import RecountService
from reconciler.store.executions import recount
from reconciler.trigger.execution import Ended, Status
from tests.acceptance.invariants import figures, record
from tests.worker_rig import Desk, Scripted, desk, succeed, working

pytestmark = pytest.mark.postgres

SPOIL = "UPDATE reconciler.automation_runtime SET running = 5 WHERE automation_id = 'a1'"
RUNNING = "SELECT running FROM reconciler.automation_runtime WHERE automation_id = 'a1'"
SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$
"""
SLOWLY = """
CREATE TRIGGER slow AFTER UPDATE ON workflow_executions FOR EACH STATEMENT EXECUTE FUNCTION slow()
"""
ALL = b"SELECT automation_id FROM reconciler.automation_runtime"


async def test_an_automation_that_a_hand_blocked_goes_on(place: Desk) -> None:
    await place.automation(max_concurrency=2)
    await place.rows(SPOIL)
    [waits] = await place.ask()
    service, stopping = RecountService(place.executions.recount, interval=20.0), asyncio.Event()

    async with working(place, Scripted()):
        await asyncio.sleep(0.15)
        assert await place.status(waits) == "QUEUED"
        counting = asyncio.create_task(service.run(stopping))
        assert await place.until(waits, "SUCCESS") == "SUCCESS"
        stopping.set()
        await asyncio.wait_for(counting, 5)


async def test_a_number_that_somebody_holds_is_counted_the_next_time(
    place: Desk, upgraded_url: str
) -> None:
    await place.automation()
    await place.rows(SPOIL)
    stopping = asyncio.Event()

    async with desk(upgraded_url, lock_timeout=0.1) as impatient:
        service = RecountService(impatient.executions.recount, interval=0.2)
        async with place.database.transaction() as connection:
            await connection.execute("SELECT FROM reconciler.automation_runtime FOR UPDATE")
            counting = asyncio.create_task(service.run(stopping))
            await asyncio.sleep(0.5)
        while await place.value("SELECT running FROM reconciler.automation_runtime") != 0:
            assert not counting.done()
            await asyncio.sleep(0.05)
        stopping.set()
        await asyncio.wait_for(counting, 5)


async def test_what_is_being_claimed_or_completed_is_waited_for(place: Desk) -> None:
    await place.automation(max_concurrency=9)
    await place.ask(3)
    await place.rows(SPOIL)
    await place.rows(SLOW)
    await place.rows(SLOWLY)

    claiming = asyncio.create_task(place.executions.claim("w1", 2, lease=30))
    await asyncio.sleep(0.2)
    assert await place.executions.recount() == ["a1"]
    claimed = await claiming
    assert (len(claimed), await place.value(RUNNING)) == (2, 2)

    await place.rows(SPOIL)
    end = Ended(id=claimed[0].id, attempt=1, status=Status.SUCCESS)
    completing = asyncio.create_task(place.executions.complete("w1", [end]))
    await asyncio.sleep(0.2)
    assert await place.executions.recount() == ["a1"]
    await completing
    assert await place.value(RUNNING) == 1


async def test_a_right_number_is_never_corrected_and_limits_stay_exact(
    place: Desk, upgraded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recount, "_SUSPECTS", ALL)  # count them all, again and again
    names = [await place.automation(f"a{number}", max_concurrency=2) for number in range(4)]
    record(upgraded_url)
    asked = [id_ for name in names for id_ in await place.ask(60, name)]

    async def briefly(hold: Hold) -> Ended:
        await asyncio.sleep(0.002)
        return await succeed(hold)

    rounds, corrected = 0, list[str]()
    async with AsyncExitStack() as stack:
        for number in range(3):
            await stack.enter_async_context(working(place, Scripted(briefly), name=f"w{number}"))
        ending = asyncio.create_task(place.all_over(30))
        while not ending.done():
            corrected += await place.executions.recount()
            rounds += 1
        await ending

    assert corrected == []
    assert rounds > 3
    found = figures(upgraded_url, asked)
    found.hold()
    assert found.states == {"SUCCESS": len(asked)}
