"""The collector where n8n leaves it in doubt: runs with errors, runs that wait, ids that go back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.doubles.fake_n8n_executions import NEVER, Outcome
from tests.doubles.fake_n8n_faults import Fault, Trouble
from tests.integration.test_collector import Place, make_place


@pytest.fixture
async def place(upgraded_url: str) -> AsyncIterator[Place]:
    async with make_place(upgraded_url) as made:
        yield made


async def test_a_run_that_n8n_does_not_tell_of_holds_up_no_other(place: Place) -> None:
    workflow = await place.workflow(managed=False)
    place.fake.script(workflow, Outcome(seconds=0.6), Outcome(seconds=0.7))
    place.fake.run_natively(workflow, text="poison")
    place.fake.run_natively(workflow, text="innocent")
    collector = place.collector()
    for _ in range(2):
        await collector.turn()
    assert ["RUNNING", "RUNNING"] == [row[0] for row in await place.rows()]
    unreadable = Fault(trouble=Trouble.ERROR, path="/executions/1", times=1000)
    place.fake.faults.append(unreadable)
    await asyncio.sleep(0.8)

    await collector.turn()
    assert ["RUNNING", "SUCCESS"] == [row[0] for row in await place.rows()]

    for _ in range(3):
        await collector.turn()
    place.fake.faults.remove(unreadable)
    await collector.turn()
    assert ["SUCCESS", "SUCCESS"] == [row[0] for row in await place.rows()]


async def test_a_run_that_n8n_can_not_stop_holds_up_no_other(place: Place) -> None:
    workflow = await place.workflow(managed=False)
    place.fake.script(workflow, Outcome(seconds=NEVER), Outcome(seconds=0.3))
    place.fake.run_natively(workflow, text="poison")
    place.fake.run_natively(workflow, text="innocent")
    collector = place.collector()
    for _ in range(2):
        await collector.turn()
    await place.desk.rows('UPDATE workflow_executions SET "cancelRequestedAt" = now()')
    stuck = Fault(trouble=Trouble.ERROR, path="/executions/1/stop", times=1000)
    place.fake.faults.append(stuck)
    await asyncio.sleep(0.4)

    await collector.turn()
    assert ["RUNNING", "SUCCESS"] == [row[0] for row in await place.rows()]


async def test_many_runs_that_wait_cost_few_calls(place: Place) -> None:
    workflow = await place.workflow(managed=False)
    place.fake.always(workflow, Outcome(seconds=NEVER, waits=True))
    for _ in range(30):
        place.fake.run_natively(workflow, text="x")
    collector = place.collector()
    for _ in range(3):
        await collector.turn()
    before = len(place.fake.calls)

    await collector.turn()

    assert 30 == len(await place.rows())
    assert len(place.fake.calls) - before <= 6


async def test_runs_are_recorded_after_n8n_began_to_count_anew(place: Place) -> None:
    workflow = await place.workflow(managed=False)
    collector = place.collector()
    for number in range(3):
        place.fake.run_natively(workflow, text=f"old {number}")
    for _ in range(3):
        await collector.turn()
    await asyncio.sleep(0.01)
    place.fake.state.executions.clear()
    place.fake.state.executed = 0
    for number in range(5):
        place.fake.run_natively(workflow, text=f"new {number}")

    for _ in range(4):
        await collector.turn()
    await place.collector().turn()

    assert 8 == len(await place.rows())
    assert (8, 8, 0, True) == await place.counters()
