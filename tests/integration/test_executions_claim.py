"""Claiming: exact limits, fairness, breakers, holds, times; and what a lease is good for."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.app import new_id
from reconciler.store.database import Database
from reconciler.store.executions import Executions
from reconciler.trigger.execution import Cause, Claimed, Ended, NewExecution, Status
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


async def hold(place: Desk, organization: str, kind: str | None, name: str | None) -> None:
    await place.rows(
        "INSERT INTO reconciler.holds (id, organization, kind, name, held, reason, created_by) "
        "VALUES (%(id)s, %(organization)s, %(kind)s, %(name)s, '{fire}', 'r', 'me')",
        id=new_id(),
        organization=organization,
        kind=kind,
        name=name,
    )


async def known(place: Desk, automation: str, organization: str, name: str) -> None:
    await place.rows(
        "INSERT INTO reconciler.resources (organization, kind, name, row_id, payload) "
        "VALUES (%(organization)s, 'Automation', %(name)s, %(id)s, '{}')",
        organization=organization,
        name=name,
        id=automation,
    )


async def test_a_claimed_row_carries_all_that_its_run_needs(place: Desk) -> None:
    await place.automation(timeout_seconds=7, max_retries=2, at_most_once=True)
    await known(place, "a1", "acme", "one")
    [id_] = await place.ask()

    [claimed] = await take(place)

    assert claimed.id == id_
    assert (claimed.organization, claimed.automation, claimed.workflow_id) == (
        "acme",
        "one",
        "w-a1",
    )
    assert [(one.node, one.field, one.kind) for one in claimed.branches] == [
        ("Webhook", "items", "webhook")
    ]
    assert (claimed.attempt, claimed.max_attempts, claimed.timeout_seconds) == (1, 3, 7.0)
    assert (claimed.at_most_once, claimed.adopted, claimed.trigger_data) == (True, False, {"n": 0})


async def test_never_more_run_than_the_automation_allows(place: Desk) -> None:
    await place.automation(max_concurrency=3)
    await place.ask(10)

    first = await take(place)
    second = await take(place)
    await end_all(place, first[:2], Status.SUCCESS)
    third = await take(place)

    assert [len(batch) for batch in (first, second, third)] == [3, 0, 2]


async def test_five_run_at_once_where_nothing_else_is_said(place: Desk) -> None:
    await place.automation()
    await place.ask(10)

    assert len(await take(place)) == 5


async def test_a_limit_is_exact_over_many_workers_at_once(upgraded_url: str, place: Desk) -> None:
    await place.automation(max_concurrency=2)
    await place.automation("a2", max_concurrency=7)
    await place.ask(60)
    await place.ask(60, "a2")
    most: Counter[str] = Counter()
    running: Counter[str] = Counter()

    async def work(name: str, executions: Executions) -> None:
        empty = 0
        while empty < 10:
            claimed = await executions.claim(name, 4, lease=30)
            empty = 0 if claimed else empty + 1
            for one in claimed:
                running[one.automation_id] += 1
                most[one.automation_id] = max(most[one.automation_id], running[one.automation_id])
            await asyncio.sleep(0.005)
            running.subtract(one.automation_id for one in claimed)
            await executions.complete(name, [end(one) for one in claimed])

    async with Database(upgraded_url, pool_size=12) as other:
        executions = Executions(other, new_id=new_id)
        await asyncio.gather(*(work(f"w{number}", executions) for number in range(6)))

    assert most == {"a1": 2, "a2": 7}
    assert await place.rows('SELECT id, "successCount" FROM automations ORDER BY id') == [
        ("a1", 60),
        ("a2", 60),
    ]
    assert await place.value("SELECT max(running) FROM reconciler.automation_runtime") == 0


async def test_who_waited_longest_for_a_turn_is_served_first(place: Desk) -> None:
    for name in ("a1", "a2", "a3"):
        await place.automation(name, max_concurrency=1)
        await place.ask(5, name)
    served = []
    for _ in range(6):
        claimed = await take(place, 1)
        served.append(claimed[0].automation_id)
        await end_all(place, claimed, Status.SUCCESS)

    assert sorted(served[:3]) == ["a1", "a2", "a3"]
    assert served[3:] == served[:3]


async def test_each_of_many_automations_gets_its_turn(place: Desk) -> None:
    names = [f"a{number:02}" for number in range(30)]
    for name in names:
        await place.automation(name, max_concurrency=100)
        await place.ask(20, name)

    # A claim of one looks at ten of the thirty.
    served = Counter([(await take(place, 1))[0].automation_id for _ in range(90)])

    assert sorted(served) == names
    assert max(served.values()) <= 4


async def test_the_last_of_the_round_is_served_as_often_as_the_others(place: Desk) -> None:
    for number in range(11):  # one more than a claim looks at
        await place.automation(f"a{number:02}")
        await place.ask(10, f"a{number:02}")
    served: Counter[str] = Counter()
    for _ in range(55):
        claimed = await take(place, 1)
        served[claimed[0].automation_id] += 1
        await end_all(place, claimed, Status.SUCCESS)

    assert len(served) == 11
    assert max(served.values()) <= 6


async def test_a_claim_at_the_end_of_the_round_goes_on_at_its_beginning(place: Desk) -> None:
    for number in range(12):
        await place.automation(f"a{number:02}", max_concurrency=2)
        await place.ask(2, f"a{number:02}")

    assert [len(await take(place)) for _ in range(3)] == [10, 10, 4]


async def test_a_claim_goes_on_where_no_other_worker_is(place: Desk) -> None:
    for number in range(30):
        await place.automation(f"a{number:02}")
        await place.ask(1, f"a{number:02}")

    async with place.database.transaction() as other:  # claims the first twenty, and is slow
        await other.execute(
            "SELECT FROM reconciler.automation_runtime WHERE automation_id < 'a20' FOR UPDATE"
        )
        claimed = await take(place)

    assert [one.automation_id for one in claimed] == [f"a{number}" for number in range(20, 30)]


async def test_who_may_not_run_hides_nobody_behind_him(place: Desk) -> None:
    for number in range(20):
        await place.automation(f"a{number:02}", max_concurrency=1)
        await place.ask(2, f"a{number:02}")
    await take(place, 20)
    await place.automation("b", max_concurrency=1)
    await place.ask(1, "b")

    assert [one.automation_id for one in await take(place, 1)] == ["b"]


async def test_a_backlog_of_fifty_thousand_does_not_delay_the_others(place: Desk) -> None:
    await place.automation("hot", max_concurrency=2)
    await place.rows(
        """
        INSERT INTO workflow_executions (id, "automationId", "orgId", status, "triggerData",
            cause, "updatedAt")
        SELECT 'h' || n, 'hot', 'o1', 'QUEUED', '{}', 'webhook', now()
        FROM generate_series(1, 50000) AS n
        """
    )
    others = [f"cold{number}" for number in range(100)]
    for name in others:
        await place.automation(name, max_concurrency=2)
        await place.ask(2, name)

    began = time.monotonic()
    found: Counter[str] = Counter()
    while sum(found[name] for name in others) < 200:
        claimed = await take(place)
        found.update(one.automation_id for one in claimed)
        assert sum(one.automation_id == "hot" for one in claimed) <= 2
        await end_all(place, claimed, Status.SUCCESS)

    assert time.monotonic() - began < 10
    assert found["hot"] <= 50  # its turn comes round like that of everybody else


async def test_smaller_priorities_come_first_then_those_that_wait_longer(place: Desk) -> None:
    await place.automation(max_concurrency=1)
    new = [
        NewExecution(
            automation_id="a1", cause=Cause.API, trigger_data={"n": number}, priority=priority
        )
        for number, priority in enumerate((100, 100, 5, 200))
    ]
    for one in new:
        await place.executions.insert([one])
        await asyncio.sleep(0.002)
    seen = []
    while claimed := await take(place):
        seen.append(claimed[0].trigger_data)
        await end_all(place, claimed, Status.SUCCESS)

    assert seen == [{"n": 2}, {"n": 0}, {"n": 1}, {"n": 3}]


async def test_a_row_waits_for_its_time_and_next_due_says_when(place: Desk) -> None:
    await place.automation()
    assert await place.executions.next_due() is None
    soon = datetime.now(UTC) + timedelta(seconds=0.4)
    await place.executions.insert(
        [NewExecution(automation_id="a1", cause=Cause.API, trigger_data={}, run_at=soon)]
    )

    assert await take(place) == []
    wait = await place.executions.next_due()
    assert wait is not None
    assert 0 < wait <= 0.4
    await asyncio.sleep(wait + 0.002)
    assert await place.executions.next_due() == 0.0
    assert len(await take(place)) == 1


async def test_what_a_limit_keeps_back_is_not_due(place: Desk) -> None:
    await place.automation(max_concurrency=1)
    await place.ask(2)
    await take(place)

    assert await place.executions.next_due() is None


async def test_a_worker_takes_only_the_causes_it_is_for(place: Desk) -> None:
    await place.automation()
    for cause in (Cause.WEBHOOK, Cause.SCHEDULE, Cause.EVENT):
        await place.executions.insert(
            [NewExecution(automation_id="a1", cause=cause, trigger_data={})]
        )

    causes = [Cause.SCHEDULE, Cause.MANUAL]
    claimed = await place.executions.claim("w", 10, lease=30, causes=causes)

    assert [one.cause for one in claimed] == [Cause.SCHEDULE]
    assert await place.executions.next_due([Cause.API]) is None
    assert await place.executions.next_due([Cause.EVENT]) == 0.0


async def test_an_automation_that_is_off_is_not_claimed_and_its_runs_end(place: Desk) -> None:
    await place.automation()
    [id_] = await place.ask()
    await place.rows('UPDATE automations SET "isActive" = false')

    assert await take(place) == []
    assert await place.executions.expire() == 1
    assert await place.status(id_) == "CANCELLED"


@pytest.mark.parametrize(
    "held,left",
    [
        (("acme", "Automation", "one"), ["a2", "a3"]),
        (("acme", "Automation", None), ["a3"]),
        (("acme", None, None), ["a3"]),
        (("acme", "Credential", "one"), ["a1", "a2", "a3"]),
        (("/", None, None), []),
    ],
    ids=["automation", "all-of-a-kind", "organization", "other-kind", "everything"],
)
async def test_a_hold_keeps_runs_waiting_until_it_is_released(
    place: Desk, held: tuple[str, str | None, str | None], left: list[str]
) -> None:
    for automation, organization, name in (
        ("a1", "acme", "one"),
        ("a2", "acme", "two"),
        ("a3", "other", "one"),
    ):
        await place.automation(automation)
        await known(place, automation, organization, name)
        await place.ask(1, automation)
    await hold(place, *held)

    first = await take(place)
    due = await place.executions.next_due()
    await place.rows("UPDATE reconciler.holds SET released_at = clock_timestamp()")
    second = await take(place)

    assert sorted(one.automation_id for one in first) == left
    assert due is None
    assert len(first) + len(second) == 3


async def test_a_hold_ends_by_itself(place: Desk) -> None:
    await place.automation()
    await known(place, "a1", "acme", "one")
    await place.ask()
    await hold(place, "acme", None, None)
    await place.rows(
        "UPDATE reconciler.holds SET until = clock_timestamp() + interval '200 milliseconds'"
    )

    assert await take(place) == []
    await asyncio.sleep(0.25)
    assert len(await take(place)) == 1
