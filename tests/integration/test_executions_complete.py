"""Completion: fenced, counted once, averaged as the seed says, retried or ended for good."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from reconciler.app import new_id
from reconciler.errors import ConflictError, DatabaseUnreachable
from reconciler.store.database import Database
from reconciler.store.executions import Cancelled, Executions
from reconciler.trigger.execution import Claimed, Ended, Status
from tests.worker_rig import Desk, desk

COUNTERS = (
    'SELECT "executionCount", "successCount", "failureCount" FROM automations WHERE id = %(id)s'
)
ATTEMPTS = """
SELECT attempt, worker, outcome, error, n8n_execution_id, finished_at IS NOT NULL
FROM reconciler.execution_attempts WHERE execution_id = %(id)s ORDER BY attempt
"""


@pytest.fixture
async def place(upgraded_url: str) -> AsyncIterator[Desk]:
    async with desk(upgraded_url) as opened:
        yield opened


async def take(place: Desk, count: int = 10, worker: str = "w1") -> list[Claimed]:
    return await place.executions.claim(worker, count, lease=30)


def end(claimed: Claimed, status: Status = Status.SUCCESS, **fields: Any) -> Ended:
    return Ended(id=claimed.id, attempt=claimed.attempt, status=status, **fields)


async def again_now(place: Desk) -> None:
    await place.rows("UPDATE workflow_executions SET \"runAt\" = now() - interval '1 second'")


async def test_a_success_is_a_row_an_attempt_and_counters(place: Desk) -> None:
    await place.automation()
    await place.ask()
    [claimed] = await take(place)

    written = await place.executions.complete(
        "w1",
        [
            end(
                claimed,
                output=[{"total": 3}],
                output_truncated=True,
                n8n_execution_id="77",
                n8n_version_id="v1",
                milliseconds=12,
            )
        ],
    )

    assert written == {(claimed.id, 1)}
    found = await place.executions.get("o1", claimed.id)
    assert found is not None
    summary = found.summary
    assert (summary.status, found.output, found.output_truncated) == (
        *(Status.SUCCESS, [{"total": 3}], True),
    )
    assert (summary.n8n_execution_id, summary.n8n_version_id) == ("77", "v1")
    assert summary.completed_at is not None
    assert summary.started_at is not None
    took = (summary.completed_at - summary.started_at).total_seconds() * 1000
    assert summary.milliseconds == pytest.approx(took, abs=1)
    assert await place.rows(COUNTERS, id="a1") == [(1, 1, 0)]
    assert await place.rows(ATTEMPTS, id=claimed.id) == [(1, "w1", "SUCCESS", None, "77", True)]
    assert await place.value('SELECT "lastExecutedAt" IS NOT NULL FROM automations')


async def test_the_average_is_the_seeds_formula_over_successes_only(place: Desk) -> None:
    await place.automation(max_concurrency=20)
    await place.ask(9)
    expected: float | None = None
    for _ in range(3):
        claimed = await take(place, 3)
        await asyncio.sleep(random.uniform(0.005, 0.03))
        statuses = (Status.SUCCESS, Status.FAILED, Status.SUCCESS)
        ordered = sorted(claimed, key=lambda one: one.id)
        ends = [end(one, status) for one, status in zip(ordered, statuses, strict=True)]
        await place.executions.complete("w1", ends)
        for one in (ordered[0], ordered[2]):
            took = await place.value(
                'SELECT "executionTime" FROM workflow_executions WHERE id = %(id)s', id=one.id
            )
            expected = took if expected is None else 0.1 * took + 0.9 * expected

    assert await place.value('SELECT "avgExecutionTime" FROM automations') == pytest.approx(
        expected
    )


async def test_nothing_is_completed_twice(place: Desk) -> None:
    await place.automation()
    await place.ask()
    [claimed] = await take(place)

    first = await place.executions.complete("w1", [end(claimed)])
    second = await place.executions.complete("w1", [end(claimed, Status.FAILED)])
    other = await place.executions.complete("w2", [end(claimed, Status.FAILED)])

    assert (first, second, other) == ({(claimed.id, 1)}, set(), set())
    assert await place.status(claimed.id) == "SUCCESS"
    assert await place.rows(COUNTERS, id="a1") == [(1, 1, 0)]


async def test_an_attempt_that_was_followed_by_another_cannot_end_the_row(place: Desk) -> None:
    await place.automation()
    await place.ask()
    [first] = await take(place)
    await place.executions.complete("w1", [end(first, Status.QUEUED, retry_in=0)])
    [second] = await take(place)

    assert await place.executions.complete("w1", [end(first)]) == set()
    assert await place.status(second.id) == "RUNNING"


async def test_four_attempts_wait_two_four_and_eight_seconds_between_and_then_it_failed(
    place: Desk,
) -> None:
    await place.automation()
    [id_] = await place.ask()
    gaps = []
    for attempt, wait in ((1, 2.0), (2, 4.0), (3, 8.0), (4, 16.0)):
        [claimed] = await take(place)
        assert claimed.attempt == attempt
        await place.executions.complete(
            "w1",
            [
                end(
                    claimed,
                    Status.QUEUED,
                    outcome=Status.TIMEOUT if attempt == 4 else Status.FAILED,
                    retry_in=wait,
                    error_message=f"number {attempt}",
                    n8n_execution_id=f"n{attempt}",
                )
            ],
        )
        if attempt < 4:
            gaps.append(
                await place.value(
                    'SELECT extract(epoch FROM "runAt" - "updatedAt")::float8 '
                    "FROM workflow_executions"
                )
            )
            again = await place.executions.get(None, id_)
            assert again is not None
            assert (again.summary.n8n_execution_id, again.summary.retry_count) == (None, attempt)
            await again_now(place)

    assert gaps == [pytest.approx(wait, abs=0.01) for wait in (2, 4, 8)]
    found = await place.executions.get(None, id_)
    assert found is not None
    assert (found.summary.status, found.summary.error_message) == (Status.TIMEOUT, "number 4")
    assert found.summary.retry_count == 3
    assert [(one.attempt, one.outcome, one.error) for one in found.attempts] == [
        (1, "FAILED", "number 1"),
        (2, "FAILED", "number 2"),
        (3, "FAILED", "number 3"),
        (4, "TIMEOUT", "number 4"),
    ]
    assert [one.n8n_execution_id for one in found.attempts] == ["n1", "n2", "n3", "n4"]
    assert await place.rows(COUNTERS, id="a1") == [(1, 0, 1)]


async def test_an_attempt_that_says_nothing_is_not_spent(place: Desk) -> None:
    await place.automation()
    [id_] = await place.ask()
    for _ in range(6):
        [claimed] = await take(place)
        assert claimed.attempt == 1
        await place.executions.complete(
            "w1", [end(claimed, Status.QUEUED, retry_in=0, counts=False)]
        )

    assert await place.rows(ATTEMPTS, id=id_) == []
    assert await place.rows(COUNTERS, id="a1") == [(0, 0, 0)]
    assert await place.value("SELECT running FROM reconciler.automation_runtime") == 0


async def test_a_cancelled_run_is_not_tried_again_and_counts_nowhere(place: Desk) -> None:
    await place.automation()
    await place.ask(2)
    first, second = await take(place)

    assert await place.executions.cancel("o1", first.id) is Cancelled.ASKED
    await place.executions.complete(
        "w1",
        [
            end(first, Status.QUEUED, outcome=Status.FAILED, retry_in=2),
            end(second, Status.CANCELLED, error_message="stopped by me"),
        ],
    )

    assert (await place.status(first.id), await place.status(second.id)) == (
        *("CANCELLED", "CANCELLED"),
    )
    assert await place.rows(COUNTERS, id="a1") == [(0, 0, 0)]
    assert await place.executions.cancel("o1", first.id) is Cancelled.ENDED


async def test_cancelling_what_waits_ends_it_and_others_organizations_are_out_of_reach(
    place: Desk,
) -> None:
    await place.automation()
    [id_] = await place.ask()

    assert await place.executions.cancel("o2", id_) is Cancelled.UNKNOWN
    assert await place.executions.cancel("o1", id_) is Cancelled.DONE
    assert await place.executions.cancel("o1", id_) is Cancelled.ENDED
    assert await take(place) == []


async def test_a_run_that_waited_past_its_deadline_ends_with_the_reason(place: Desk) -> None:
    await place.automation(queue_deadline_seconds=1)
    [id_] = await place.ask()
    assert await place.executions.expire() == 0
    await place.rows("UPDATE workflow_executions SET \"queueDeadline\" = now() - interval '1 s'")

    assert await place.executions.expire() == 1
    found = await place.executions.get(None, id_)
    assert found is not None
    assert found.summary.status is Status.CANCELLED
    assert "deadline" in (found.summary.error_message or "")


async def test_what_n8n_left_is_stored_even_with_characters_that_postgresql_refuses(
    place: Desk,
) -> None:
    await place.automation()
    await place.ask(2)
    first, second = await take(place)

    await place.executions.complete(
        "w1",
        [
            end(first, output=[{"a\0": "x\0y", "b": ["\ud800", float("nan")]}]),
            end(second, Status.FAILED, error_message="a\0b", error_stack="\ud800", error_node="\0"),
        ],
    )

    one = await place.executions.get(None, first.id)
    other = await place.executions.get(None, second.id)
    assert one is not None
    assert other is not None
    assert one.output == [{"a�": "x�y", "b": ["?", None]}]
    assert (other.summary.error_message, other.error_stack) == ("a�b", "?")


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


async def test_a_number_of_running_rows_that_somebody_spoilt_is_corrected(place: Desk) -> None:
    await place.automation()
    await place.automation("a2")
    await place.ask(3)
    await take(place, 2)
    await place.rows(
        "UPDATE reconciler.automation_runtime SET running = 5 WHERE automation_id = 'a1'"
    )

    assert await place.executions.recount() == ["a1"]
    assert await place.executions.recount() == []
    assert (
        await place.value(
            "SELECT running FROM reconciler.automation_runtime WHERE automation_id = 'a1'"
        )
        == 2
    )


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
