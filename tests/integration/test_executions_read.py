"""Lists, waiting for a result, old rows, and the hints between processes."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from reconciler.app import new_id
from reconciler.errors import UsageError
from reconciler.store.database import Database
from reconciler.store.executions import Executions, Filters
from reconciler.store.notify import CHANNEL, Listener, Notifier
from reconciler.trigger.execution import Cause, Ended, NewExecution, Status
from tests.worker_rig import Desk


async def finish(place: Desk, count: int = 100) -> list[str]:
    claimed = await place.executions.claim("w", count, lease=30)
    ends = [Ended(id=one.id, attempt=one.attempt, status=Status.SUCCESS) for one in claimed]
    await place.executions.complete("w", ends)
    return [one.id for one in ends]


async def test_pages_go_on_where_the_last_one_ended_while_new_rows_come(place: Desk) -> None:
    await place.automation()
    expected = await place.ask(10)
    seen: list[str] = []
    cursor = None
    for _ in range(10):
        page = await place.executions.list(Filters(), limit=3, cursor=cursor)
        seen += [one.id for one in page.executions]
        cursor = page.cursor
        if cursor is None:
            break
        await place.ask()  # of the same millisecond, or a later one

    assert set(expected) <= set(seen)
    assert len(seen) == len(set(seen))


async def test_a_list_keeps_what_fits_all_filters(place: Desk) -> None:
    await place.automation(max_concurrency=1)
    await place.automation("a2")
    first = await place.ask(2)
    await place.executions.insert(
        [NewExecution(automation_id="a2", cause=Cause.MANUAL, trigger_data={})]
    )
    await finish(place)
    everything = await place.executions.list(Filters())
    now = datetime.now(UTC)

    async def count(filters: Filters) -> int:
        return len((await place.executions.list(filters)).executions)

    assert [one.created_at for one in everything.executions] == sorted(
        (one.created_at for one in everything.executions), reverse=True
    )
    assert await count(Filters(organization_id="o2")) == 0
    assert await count(Filters(organization_id="o1", automation_id="a1")) == 2
    assert await count(Filters(statuses=[Status.QUEUED])) == 1
    assert await count(Filters(statuses=[Status.SUCCESS], causes=[Cause.MANUAL])) == 1
    assert await count(Filters(statuses=[])) == 0
    assert await count(Filters(until=now - timedelta(minutes=1))) == 0
    assert await count(Filters(since=now - timedelta(minutes=1))) == 3
    assert first[0] in {one.id for one in everything.executions}


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!", "MjAyNg", "\0", "é", "MjAyNi0xMS0yM1QwMToxNTozMg"]
)
async def test_a_cursor_that_no_list_gave_is_refused(place: Desk, cursor: str) -> None:
    with pytest.raises(UsageError, match="cursor"):
        await place.executions.list(Filters(), cursor=cursor)


async def test_an_execution_of_another_organization_is_not_there(place: Desk) -> None:
    await place.automation()
    [id_] = await place.ask()

    assert await place.executions.get("o2", id_) is None
    assert await place.executions.get("o1", "nobody") is None
    assert await place.executions.get("o1", id_) is not None


async def test_many_wait_for_results_and_hear_of_them_soon(upgraded_url: str, place: Desk) -> None:
    await place.automation(max_concurrency=100)
    ids = await place.ask(50)

    async with Database(upgraded_url) as other:  # another process, which hears nothing locally
        executions = Executions(other, new_id=new_id)
        waiting = [asyncio.create_task(executions.wait_result(id_, 10)) for id_ in ids]
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await finish(place)
        results = await asyncio.gather(*waiting)

    assert {one.summary.status for one in results if one is not None} == {Status.SUCCESS}
    assert time.monotonic() - began < 8


async def test_waiting_ends_with_its_time_and_says_how_far_it_is(place: Desk) -> None:
    await place.automation()
    [id_] = await place.ask()
    began = time.monotonic()

    found = await place.executions.wait_result(id_, 0.2)

    assert found is not None
    assert found.summary.status is Status.QUEUED
    assert 0.2 <= time.monotonic() - began < 10
    assert await place.executions.wait_result("nobody", 5) is None


async def test_old_rows_go_in_batches_and_live_ones_stay(place: Desk) -> None:
    await place.automation(max_concurrency=100)
    await place.ask(25)
    await finish(place, 20)
    await place.rows(
        "UPDATE workflow_executions SET \"createdAt\" = now() - interval '41 days', "
        "\"completedAt\" = now() - interval '40 days' "
        "WHERE status = 'SUCCESS' AND id IN (SELECT id FROM workflow_executions "
        "WHERE status = 'SUCCESS' ORDER BY id LIMIT 12)"
    )
    # Old as well, but not for long: those that wait still, and one that waited until just now.
    await place.rows(
        "UPDATE workflow_executions SET \"createdAt\" = now() - interval '50 days' "
        "WHERE status = 'QUEUED' OR id = (SELECT max(id) FROM workflow_executions "
        "WHERE status = 'SUCCESS')"
    )

    assert await place.executions.prune(days=30, batch=5, most=7) == 7
    assert await place.executions.prune(days=30, batch=5) == 5
    assert await place.value("SELECT count(*) FROM workflow_executions") == 13
    assert await place.value("SELECT count(*) FROM reconciler.execution_attempts") == 8


async def test_beyond_a_number_per_automation_the_oldest_ended_ones_go(place: Desk) -> None:
    for name in ("a1", "a2"):
        await place.automation(name, max_concurrency=100)
    kept = {}
    for name, count in (("a1", 8), ("a2", 2)):
        for _ in range(count):
            kept[name] = await place.ask(1, name)
            await asyncio.sleep(0.002)
    await finish(place)
    waiting = await place.ask()

    assert await place.executions.prune(keep=3, batch=2) == 5
    left = await place.executions.list(Filters(automation_id="a1"))
    assert len(left.executions) == 4
    assert {waiting[0], kept["a1"][0]} <= {one.id for one in left.executions}
    assert await place.executions.prune(keep=3) == 0


async def test_of_executions_of_the_same_time_as_many_stay_as_may(place: Desk) -> None:
    await place.automation(max_concurrency=100)
    asked = await place.ask(60)
    await finish(place)

    assert await place.executions.prune(keep=50, batch=7) == 10
    left = await place.rows("SELECT id FROM workflow_executions ORDER BY id")
    assert [(id_,) for id_ in sorted(asked)[10:]] == left


async def test_a_poke_wakes_a_listener_and_many_pokes_are_few_messages(
    upgraded_url: str, place: Desk
) -> None:
    notifier = Notifier(place.database)
    listener = Listener(place.database)
    with psycopg.connect(upgraded_url, autocommit=True) as raw:
        raw.execute(f"LISTEN {CHANNEL}")
        assert await listener.wait(0.05) is False
        waiting = asyncio.create_task(listener.wait(5))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        while time.monotonic() - began < 0.2:
            notifier.poke()
            await asyncio.sleep(0)
        assert await waiting is True
        await asyncio.sleep(0.05)
        heard = len(list(raw.notifies(timeout=0.1)))
    await notifier.close()
    await listener.close()

    assert 1 <= heard <= 25


async def test_what_is_inserted_pokes_and_a_listener_survives_its_connection(
    place: Desk,
) -> None:
    await place.automation()
    notifier = Notifier(place.database)
    executions = Executions(place.database, new_id=new_id, notifier=notifier)
    listener = Listener(place.database)
    new = NewExecution(automation_id="a1", cause=Cause.API, trigger_data={})

    assert await listener.wait(0.01) is False
    await executions.insert([new])
    assert await listener.wait(5) is True
    await place.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ '^LISTEN' "
        "AND datname = current_database()"
    )
    assert await listener.wait(0.05) is False  # it broke: as if nothing was said
    assert await listener.wait(0.05) is False  # and is there again
    await executions.insert([new])
    assert await listener.wait(5) is True
    await notifier.close()
    await listener.close()
