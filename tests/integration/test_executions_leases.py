"""Breakers of automations, and what a lease is good for: beats, rescue, release, requeue."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.app import new_id
from reconciler.store.database import Database
from reconciler.store.executions import Cancelled, Executions
from reconciler.trigger.execution import Claimed, Ended, Status
from tests.worker_rig import Desk

STATE = (
    "SELECT breaker, running, probe_execution_id FROM reconciler.automation_runtime "
    "WHERE automation_id = %(id)s"
)


async def take(place: Desk, count: int = 10, worker: str = "w1") -> list[Claimed]:
    return await place.executions.claim(worker, count, lease=30)


def end(claimed: Claimed, status: Status = Status.SUCCESS, retry_in: float = 2.0) -> Ended:
    return Ended(id=claimed.id, attempt=claimed.attempt, status=status, retry_in=retry_in)


async def end_all(place: Desk, claimed: list[Claimed], status: Status, worker: str = "w1") -> None:
    await place.executions.complete(worker, [end(one, status) for one in claimed])


async def test_an_open_breaker_lets_exactly_one_probe_through_when_its_time_has_come(
    upgraded_url: str, place: Desk
) -> None:
    await place.automation()
    await place.ask(10)
    await end_all(place, await take(place), Status.FAILED)

    assert (await place.rows(STATE, id="a1"))[0][0] == "OPEN"
    assert await take(place) == []
    wait = await place.executions.next_due()
    assert wait is not None
    assert 25 < wait <= 30
    await place.rows("UPDATE reconciler.automation_runtime SET breaker_until = clock_timestamp()")
    async with Database(upgraded_url, pool_size=8) as other:
        executions = Executions(other, new_id=new_id)
        batches = await asyncio.gather(
            *(executions.claim(f"w{number}", 5, lease=30) for number in range(8))
        )

    [probe] = [one for batch in batches for one in batch]
    assert await place.rows(STATE, id="a1") == [("HALF_OPEN", 1, probe.id)]
    assert await take(place) == []


@pytest.mark.parametrize(
    "status,breaker",
    [
        (Status.SUCCESS, "CLOSED"),
        (Status.FAILED, "OPEN"),
        (Status.QUEUED, "OPEN"),
        (Status.CANCELLED, "OPEN"),
    ],
)
async def test_the_probe_decides(place: Desk, status: Status, breaker: str) -> None:
    await place.automation()
    await place.ask(8)
    await end_all(place, await take(place), Status.FAILED)
    await place.rows("UPDATE reconciler.automation_runtime SET breaker_until = clock_timestamp()")
    probe = await take(place)

    await end_all(place, probe, status)

    assert await place.rows(STATE, id="a1") == [(breaker, 0, None)]
    # A cancelled probe proved nothing: the next one may go at once. All may when it is closed.
    assert len(await take(place)) == {"SUCCESS": 2, "CANCELLED": 1}.get(status.value, 0)


async def test_a_breaker_whose_probe_vanished_lets_another_one_through(place: Desk) -> None:
    await place.automation()
    await place.ask(2)
    await place.rows("UPDATE reconciler.automation_runtime SET breaker = 'HALF_OPEN'")

    assert len(await take(place)) == 1


async def test_a_beat_prolongs_only_ones_own_and_says_what_to_stop(place: Desk) -> None:
    await place.automation(max_concurrency=3)
    await place.ask(3)
    mine = await take(place, 2, "me")
    [other] = await take(place, 1, "other")

    assert await place.executions.cancel("o1", mine[0].id) is Cancelled.ASKED
    beat = await place.executions.beat("me", 60)

    assert beat.alive == {one.id for one in mine}
    assert beat.cancelled == {mine[0].id}
    [[left]] = await place.rows(
        "SELECT extract(epoch FROM \"leaseExpiresAt\" - (now() AT TIME ZONE 'UTC'))::float8 "
        "FROM workflow_executions WHERE id = %(id)s",
        id=other.id,
    )
    assert left <= 30


async def test_a_lease_that_ended_is_taken_over_once_with_the_same_attempt(
    upgraded_url: str, place: Desk
) -> None:
    await place.automation()
    await place.ask(3)
    claimed = await place.executions.claim("dead", 3, lease=0.2)
    await place.executions.note_started("dead", [(claimed[0].id, 1, "n8n-7")])

    assert await place.executions.rescue("w1", 10, lease=30) == []
    await asyncio.sleep(0.25)
    assert await place.executions.rescue("dead", 10, lease=30) == []  # its own: it beats instead
    async with Database(upgraded_url, pool_size=4) as other:
        executions = Executions(other, new_id=new_id)
        batches = await asyncio.gather(
            *(executions.rescue(f"w{number}", 2, lease=30) for number in range(4))
        )

    rescued = {one.id: one for batch in batches for one in batch}
    assert sum(len(batch) for batch in batches) == len(rescued) == 3
    adopted = rescued[claimed[0].id]
    assert (adopted.attempt, adopted.adopted, adopted.n8n_execution_id) == (1, True, "n8n-7")
    assert adopted.elapsed_seconds >= 0.2
    assert (await place.executions.beat("dead", 30)).alive == frozenset()
    assert await place.executions.complete("dead", [end(one) for one in claimed]) == set()
    assert await place.rows(STATE, id="a1") == [("CLOSED", 3, None)]


async def test_what_is_released_is_taken_over_at_once(place: Desk) -> None:
    await place.automation()
    await place.ask(2)
    claimed = await take(place)

    await place.executions.release("w1", [claimed[0].id])
    [rescued] = await place.executions.rescue("w2", 10, lease=30)

    assert (rescued.id, rescued.attempt) == (claimed[0].id, 1)
    await place.executions.note_started("w2", [(rescued.id, 1, "n8n-8")])
    found = await place.executions.get(None, rescued.id)
    assert found is not None
    assert [one.n8n_execution_id for one in found.attempts] == ["n8n-8"]


async def test_what_never_began_goes_back_without_spending_an_attempt(place: Desk) -> None:
    await place.automation()
    await place.ask(2)
    claimed = await take(place)
    await place.executions.cancel(None, claimed[1].id)

    await place.executions.requeue("w1", [one.id for one in claimed])
    [again] = await take(place, worker="w2")

    assert (again.id, again.attempt) == (claimed[0].id, 1)
    assert await place.status(claimed[1].id) == "CANCELLED"
    assert await place.rows(STATE, id="a1") == [("CLOSED", 1, None)]
    found = await place.executions.get(None, again.id)
    assert found is not None
    assert [(one.attempt, one.worker, one.outcome) for one in found.attempts] == [(1, "w2", None)]
