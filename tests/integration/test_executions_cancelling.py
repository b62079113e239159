"""Cancelling all that filters choose: batches, rows that others hold, and what comes meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.errors import ConflictError
from reconciler.store.executions import Filters, Open, cancelling
from reconciler.trigger.execution import Claimed
from tests.worker_rig import Desk

ALL = Filters(automation_id="a1")


async def take(place: Desk, count: int) -> list[Claimed]:
    return await place.executions.claim("w1", count, lease=30)


async def test_a_backlog_is_cancelled_in_batches_while_workers_take_from_it(
    place: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancelling, "_BATCH", 3)
    await place.automation(max_concurrency=20)
    await place.ask(50)
    await take(place, 5)
    await place.automation("a2")
    [other] = await place.ask(automation="a2")

    cancelling_all = asyncio.create_task(place.executions.cancel_all(ALL))
    taken = await asyncio.gather(*(take(place, 3) for _ in range(5)))
    done = await cancelling_all

    assert 50 == done.total
    assert done.running >= 5
    assert Open() == await place.executions.count_open(ALL)
    statuses = """SELECT status::text, count(*) FROM workflow_executions
        WHERE "automationId" = 'a1' AND "cancelRequestedAt" IS NOT NULL GROUP BY 1 ORDER BY 1"""
    rows = await place.rows(statuses)
    assert [("CANCELLED", done.queued), ("RUNNING", done.running)] == rows
    assert other in {one.id for claims in taken for one in claims}
    assert "RUNNING" == await place.status(other)


async def test_rows_that_somebody_holds_are_waited_for_and_named_when_it_takes_too_long(
    place: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.automation()
    ids = await place.ask(3)
    hold = "SELECT FROM workflow_executions WHERE id = %(id)s FOR UPDATE"

    monkeypatch.setattr(cancelling, "_PATIENCE", 0.1)
    async with place.database.transaction() as connection:
        await connection.execute(hold, {"id": ids[0]})
        with pytest.raises(ConflictError, match="2 were cancelled, 1 are locked"):
            await place.executions.cancel_all(ALL)

    monkeypatch.setattr(cancelling, "_PATIENCE", 20.0)
    async with place.database.transaction() as connection:
        await connection.execute(hold, {"id": ids[0]})
        waiting = asyncio.create_task(place.executions.cancel_all(ALL))
        await asyncio.sleep(0.2)
        assert not waiting.done()
    assert Open(queued=1) == await waiting


async def test_what_is_asked_for_meanwhile_is_left_alone(
    place: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancelling, "_BATCH", 1)
    await place.automation()
    await place.ask(5)
    enough = asyncio.Event()

    async def inflow() -> int:
        asked = 0
        while not enough.is_set():
            await place.ask()
            asked += 1
        return asked

    asking = asyncio.create_task(inflow())
    done = await place.executions.cancel_all(ALL)
    enough.set()
    asked = await asking

    assert 5 <= done.total <= 6
    assert Open(queued=5 + asked - done.total) == await place.executions.count_open(ALL)
