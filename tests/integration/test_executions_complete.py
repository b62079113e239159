"""Completion: fenced, counted once, averaged as the seed says, retried or ended for good."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from reconciler.store.executions import Cancelled
from reconciler.trigger.execution import Claimed, Ended, Status
from tests.worker_rig import Desk

COUNTERS = (
    'SELECT "executionCount", "successCount", "failureCount" FROM automations WHERE id = %(id)s'
)
ATTEMPTS = """
SELECT attempt, worker, outcome, error, n8n_execution_id, finished_at IS NOT NULL
FROM reconciler.execution_attempts WHERE execution_id = %(id)s ORDER BY attempt
"""


async def take(place: Desk, count: int = 10, worker: str = "w1") -> list[Claimed]:
    return await place.executions.claim(worker, count, lease=30)


def end(claimed: Claimed, status: Status = Status.SUCCESS, **fields: Any) -> Ended:
    return Ended(id=claimed.id, attempt=claimed.attempt, status=status, **fields)


async def again_now(place: Desk) -> None:
    await place.rows("UPDATE workflow_executions SET \"runAt\" = now() - interval '1 second'")


@pytest.mark.parametrize("status", [Status.SUCCESS, Status.FAILED, Status.TIMEOUT])
async def test_an_end_is_counted_whatever_it_says_about_the_workflow(
    place: Desk, status: Status
) -> None:
    await place.automation()
    await place.ask()
    [claimed] = await take(place)

    await place.executions.complete("w1", [end(claimed, status, counts=False)])

    good = status is Status.SUCCESS
    assert await place.rows(COUNTERS, id="a1") == [(1, int(good), int(not good))]


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


async def test_a_run_that_has_begun_is_past_its_deadline_and_goes_on(place: Desk) -> None:
    await place.automation(queue_deadline_seconds=1)
    [tried, untried] = await place.ask(2)
    for one in await take(place):
        again = Ended(id=one.id, attempt=1, status=Status.QUEUED, counts=one.id == tried)
        await place.executions.complete("w1", [again])
    await place.rows("UPDATE workflow_executions SET \"queueDeadline\" = now() - interval '1 s'")

    assert await place.executions.expire() == 1
    assert ["QUEUED", "CANCELLED"] == [await place.status(id_) for id_ in (tried, untried)]


async def test_a_backlog_past_its_deadline_ends_in_turns(place: Desk) -> None:
    await place.automation(queue_deadline_seconds=1)
    for _ in range(6):
        await place.ask(1000)
    await place.rows("UPDATE workflow_executions SET \"queueDeadline\" = now() - interval '1 s'")

    assert [5000, 1000, 0] == [await place.executions.expire() for _ in range(3)]


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


async def test_an_end_that_is_written_again_does_not_end_the_next_claim(place: Desk) -> None:
    """An attempt that is not spent leaves its number to the next one, perhaps of the same worker."""
    await place.automation()
    [id_] = await place.ask()
    [first] = await take(place)
    untried = end(first, Status.QUEUED, retry_in=0, counts=False, began_at=first.began_at)
    assert await place.executions.complete("w1", [untried]) == {(id_, 1)}
    await again_now(place)
    [second] = await take(place)

    # Its answer was lost, so the worker does not know that it was written.
    assert await place.executions.complete("w1", [untried]) == set()

    assert (second.attempt, await place.status(id_)) == (1, "RUNNING")
    assert await place.executions.complete("w1", [end(second)]) == {(id_, 1)}
