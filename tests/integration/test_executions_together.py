"""Completions beside other work and beside trouble: locks, deadlocks, a full disk."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from reconciler.app import new_id
from reconciler.errors import ConflictError, DatabaseUnreachable
from reconciler.store.database import Database
from reconciler.store.executions import Executions
from reconciler.trigger.execution import Claimed, Ended, Status
from tests.worker_rig import Desk

COUNTERS = (
    'SELECT "executionCount", "successCount", "failureCount" FROM automations WHERE id = %(id)s'
)


async def take(place: Desk, count: int = 10, worker: str = "w1") -> list[Claimed]:
    return await place.executions.claim(worker, count, lease=30)


def end(claimed: Claimed, status: Status = Status.SUCCESS, **fields: Any) -> Ended:
    return Ended(id=claimed.id, attempt=claimed.attempt, status=status, **fields)


async def test_workers_that_complete_the_same_automations_never_wait_for_each_other(
    upgraded_url: str, place: Desk
) -> None:
    names = [f"a{number}" for number in range(12)]
    for name in names:
        await place.automation(name, max_concurrency=100)
        await place.ask(50, name)
    rng = random.Random(7)
    outcomes: Counter[str] = Counter()

    async def work(worker: str, executions: Executions) -> None:
        while claimed := await executions.claim(worker, 40, lease=30):
            ends = [
                end(
                    one, rng.choice((Status.SUCCESS, Status.SUCCESS, Status.SUCCESS, Status.FAILED))
                )
                for one in claimed
            ]
            rng.shuffle(ends)
            written = await executions.complete(worker, ends)
            assert len(written) == len(ends)
            outcomes.update(one.status.value for one in ends)

    async with Database(upgraded_url, pool_size=12, lock_timeout=60) as other:
        executions = Executions(other, new_id=new_id)
        await asyncio.gather(*(work(f"w{number}", executions) for number in range(8)))

    [(total, good, bad)] = await place.rows(
        'SELECT sum("executionCount")::int, sum("successCount")::int, sum("failureCount")::int '
        "FROM automations"
    )
    assert (good, bad) == (outcomes["SUCCESS"], outcomes["FAILED"])
    assert total == good + bad
    assert (
        await place.rows(
            """
        SELECT a.id FROM automations AS a JOIN workflow_executions AS e ON e."automationId" = a.id
        GROUP BY a.id HAVING a."executionCount" <>
                count(*) FILTER (WHERE e.status IN ('SUCCESS', 'FAILED', 'TIMEOUT'))
            OR a."successCount" <> count(*) FILTER (WHERE e.status = 'SUCCESS')
        """
        )
        == []
    )


async def test_a_lock_that_somebody_holds_for_long_is_a_conflict_and_nothing_is_written(
    upgraded_url: str, place: Desk
) -> None:
    await place.automation()
    await place.ask()
    [claimed] = await take(place)

    async with Database(upgraded_url, lock_timeout=0.2) as impatient:
        executions = Executions(impatient, new_id=new_id)
        async with place.database.transaction() as connection:
            await connection.execute("SELECT FROM automations FOR UPDATE")
            with pytest.raises(ConflictError):
                await executions.complete("w1", [end(claimed)])
        assert await place.status(claimed.id) == "RUNNING"
        assert await executions.complete("w1", [end(claimed)]) == {(claimed.id, 1)}


async def test_a_full_disk_is_an_unreachable_database_and_the_batch_can_be_repeated(
    place: Desk,
) -> None:
    await place.automation()
    await place.ask(3)
    [claimed, *_] = await take(place, 1)
    await place.rows(
        """
        CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$
        """
    )
    await place.rows(
        "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON workflow_executions "
        "FOR EACH ROW EXECUTE FUNCTION full_disk()"
    )

    for refused in (
        place.executions.complete("w1", [end(claimed)]),
        place.executions.claim("w1", 1, lease=30),
        place.executions.beat("w1", 30),
        place.ask(),
    ):
        with pytest.raises(DatabaseUnreachable, match="could not extend file"):
            await refused
    await place.rows("DROP TRIGGER full_disk ON workflow_executions")

    assert await place.executions.complete("w1", [end(claimed)]) == {(claimed.id, 1)}
    assert len(await take(place)) == 2
    assert await place.rows(COUNTERS, id="a1") == [(1, 1, 0)]


async def test_beats_starts_and_ends_of_one_worker_never_wait_for_each_other(
    upgraded_url: str, place: Desk
) -> None:
    await place.automation(max_concurrency=1000)
    await place.ask(300)
    claimed = await take(place, 300)
    shuffled = random.Random(3).sample(claimed, len(claimed))

    async with Database(upgraded_url, pool_size=12, lock_timeout=60) as other:
        executions = Executions(other, new_id=new_id)

        async def beat() -> None:
            for _ in range(30):
                await executions.beat("w1", 30)

        async def start() -> None:
            for at in range(0, 300, 50):
                batch = [(one.id, 1, "n") for one in reversed(shuffled[at : at + 50])]
                await executions.note_started("w1", batch)

        async def finish(part: int) -> None:
            for at in range(part, 300, 60):
                await executions.complete("w1", [end(one) for one in shuffled[at : at + 30]])

        # A deadlock would be a ConflictError.
        await asyncio.gather(beat(), beat(), start(), start(), finish(0), finish(30))

    assert await place.rows(COUNTERS, id="a1") == [(300, 300, 0)]
