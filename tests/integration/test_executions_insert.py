"""Runs that are asked for: which become rows, which were known, which are refused."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.app import new_id
from reconciler.resource.payload import Value
from reconciler.store.database import Database
from reconciler.store.executions import Executions
from reconciler.trigger.execution import Accepted, Cause, NewExecution, Refusal, Status
from tests.worker_rig import Desk

ROW = """
SELECT status::text, "orgId", cause, method, "triggerId", priority, "maxAttempts",
    "timeoutSeconds", revision, "scheduledFor", "triggerData", metadata,
    round(extract(epoch FROM "queueDeadline" - "runAt"))::integer
FROM workflow_executions WHERE id = %(id)s
"""


def asked(automation: str = "a1", data: Value = None, **fields: Any) -> NewExecution:
    wanted = {"x": 1} if data is None else data
    return NewExecution(
        automation_id=automation,
        **{"cause": Cause.WEBHOOK, "trigger_data": wanted, **fields},
    )


async def trigger(place: Desk, id_: str, *, automation: str = "a1", active: bool = True) -> str:
    await place.rows(
        """
        INSERT INTO workflow_triggers (id, "automationId", "orgId", "triggerType", "triggerEvent",
            name, "isActive", "updatedAt")
        VALUES (%(id)s, %(automation)s, 'o1', 'WEBHOOK', 'webhook.received', %(id)s, %(active)s,
            now())
        """,
        id=id_,
        automation=automation,
        active=active,
    )
    return id_


async def test_a_row_holds_what_was_asked_and_what_the_automation_allows(place: Desk) -> None:
    await place.automation(
        timeout_seconds=60, max_retries=1, queue_deadline_seconds=90, max_concurrency=2
    )
    await trigger(place, "t1")
    await place.rows(
        "INSERT INTO reconciler.resources (organization, kind, name, row_id, payload, revision) "
        "VALUES ('acme', 'Automation', 'one', 'a1', '{}', 'abc123')"
    )
    nominal = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)

    [accepted] = await place.executions.insert(
        [
            asked(
                data=[{"x": 1}, {"x": 2}],
                trigger_id="t1",
                method="PUT",
                priority=5,
                scheduled_for=nominal,
                metadata={"ip": "192.0.2.1"},
            )
        ]
    )

    assert accepted.fresh
    assert accepted.status is Status.QUEUED
    [row] = await place.rows(ROW, id=accepted.id)
    assert row == (
        *("QUEUED", "o1", "webhook", "PUT", "t1", 5, 2, 60, "abc123", nominal),
        *([{"x": 1}, {"x": 2}], {"ip": "192.0.2.1"}, 90),
    )


async def test_a_key_is_one_execution_however_often_it_is_asked_for(place: Desk) -> None:
    await place.automation()
    await place.automation("a2")

    [first] = await place.executions.insert([asked(idempotency_key="k")])
    again = await place.executions.insert(
        [asked(idempotency_key="k"), asked("a2", idempotency_key="k"), asked(idempotency_key="k")]
    )

    assert again[0] == again[2] == Accepted(id=first.id, status=Status.QUEUED)
    assert again[1].fresh
    assert again[1].id != first.id
    assert await place.value("SELECT count(*) FROM workflow_executions") == 2


async def test_two_of_a_key_in_one_batch_are_one_row(place: Desk) -> None:
    await place.automation()

    first, second = await place.executions.insert(
        [asked(idempotency_key="k"), asked(idempotency_key="k")]
    )

    assert (first.fresh, second.fresh) == (True, False)
    assert first.id == second.id


async def test_many_processes_that_ask_at_once_for_one_key_get_one_id(
    upgraded_url: str, place: Desk
) -> None:
    await place.automation()

    async with Database(upgraded_url, pool_size=8) as other:
        executions = Executions(other, new_id=new_id)
        answers = await asyncio.gather(
            *(
                executions.insert([asked(idempotency_key=f"k{number % 10}")])
                for number in range(200)
            )
        )

    ids = {accepted.id for [accepted] in answers}
    assert (len(ids), None in ids) == (10, False)
    assert sum(accepted.fresh for [accepted] in answers) == 10
    assert await place.value("SELECT count(*) FROM workflow_executions") == 10


async def test_a_known_key_is_found_even_when_the_automation_is_off_by_now(place: Desk) -> None:
    await place.automation()
    [first] = await place.executions.insert([asked(idempotency_key="k")])
    await place.rows('UPDATE automations SET "isActive" = false')

    answers = await place.executions.insert([asked(idempotency_key="k"), asked()])

    assert answers == [
        Accepted(id=first.id, status=Status.QUEUED),
        Accepted(refusal=Refusal.INACTIVE),
    ]


async def test_what_does_not_exist_or_is_off_is_refused_and_the_rest_accepted(place: Desk) -> None:
    await place.automation()
    await place.automation("a2")
    await trigger(place, "t1")
    await trigger(place, "off", active=False)
    await trigger(place, "t2", automation="a2")

    answers = await place.executions.insert(
        [
            asked("nobody"),
            asked(trigger_id="gone"),
            asked(trigger_id="t2"),
            asked(trigger_id="off"),
            asked(trigger_id="t1"),
        ]
    )

    assert [one.refusal for one in answers] == [
        Refusal.UNKNOWN,
        Refusal.UNKNOWN,
        Refusal.UNKNOWN,
        Refusal.INACTIVE,
        None,
    ]


@pytest.mark.parametrize(
    "data",
    [{"a": "x\0y"}, {"a\0": 1}, ["\ud800"], {"n": float("nan")}, {"n": float("inf")}],
    ids=["nul", "nul-key", "half-a-character", "nan", "infinity"],
)
async def test_what_postgresql_cannot_store_is_refused_alone(place: Desk, data: Value) -> None:
    await place.automation()

    answers = await place.executions.insert([asked(), asked(data=data), asked()])

    assert [one.refusal for one in answers] == [None, Refusal.UNSTORABLE, None]


async def test_a_backslash_that_only_looks_like_a_nul_is_stored(place: Desk) -> None:
    await place.automation()

    [accepted] = await place.executions.insert([asked(data={"path": "C:\\u0000"})])

    assert accepted.id is not None
    found = await place.executions.get(None, accepted.id)
    assert found is not None
    assert found.trigger_data == {"path": "C:\\u0000"}


async def test_a_full_queue_refuses_and_takes_again_when_one_has_left(place: Desk) -> None:
    await place.automation(max_queued=3)

    first = await place.executions.insert([asked() for _ in range(5)])
    await place.executions.claim("w", 1, lease=30)
    second = await place.executions.insert([asked(), asked()])

    full = Refusal.FULL
    assert [one.refusal for one in first] == [None, None, None, full, full]
    assert [one.refusal for one in second] == [None, full]


async def test_a_bound_is_exact_when_many_ask_at_once(upgraded_url: str, place: Desk) -> None:
    await place.automation(max_queued=20)

    async with Database(upgraded_url, pool_size=8) as other:
        executions = Executions(other, new_id=new_id)
        answers = await asyncio.gather(*(executions.insert([asked()]) for _ in range(100)))

    assert sum(accepted.fresh for [accepted] in answers) == 20


async def test_a_trigger_counts_what_it_started_and_not_what_was_known(place: Desk) -> None:
    await place.automation()
    await trigger(place, "t1")

    await place.executions.insert(
        [asked(trigger_id="t1", idempotency_key=f"k{number % 3}") for number in range(5)]
    )

    [(count, last)] = await place.rows(
        'SELECT "triggerCount", "lastTriggeredAt" FROM workflow_triggers'
    )
    assert count == 3
    assert last is not None


async def test_an_automation_without_a_runtime_row_gets_one(place: Desk) -> None:
    await place.automation()
    await place.rows("DELETE FROM reconciler.automation_runtime")

    await place.executions.insert([asked(), asked()])

    assert len(await place.executions.claim("w", 5, lease=30)) == 2


async def test_inside_the_callers_transaction_nothing_is_there_before_its_commit(
    place: Desk,
) -> None:
    await place.automation()

    async def insert_and_fail() -> None:
        async with place.database.transaction() as connection:
            await place.executions.insert([asked()], connection)
            raise LookupError

    with pytest.raises(LookupError):
        await insert_and_fail()
    assert await place.value("SELECT count(*) FROM workflow_executions") == 0


async def test_a_retry_is_a_new_execution_that_names_the_old(place: Desk) -> None:
    await place.automation()
    await trigger(place, "t1")
    [first] = await place.executions.insert(
        [asked(trigger_id="t1", method="PUT", idempotency_key="k")]
    )
    assert first.id is not None
    await place.executions.cancel(None, first.id)
    await place.rows('UPDATE workflow_triggers SET "isActive" = false')

    again = await place.executions.retry("o1", first.id)

    assert again.id is not None
    found = await place.executions.get("o1", again.id)
    assert found is not None
    assert found.summary.retry_of == first.id
    assert (found.summary.trigger_id, found.method) == ("t1", "PUT")
    assert found.trigger_data == {"x": 1}
    assert await place.value('SELECT "triggerCount" FROM workflow_triggers') == 1
    assert (await place.executions.retry("o2", first.id)).refusal is Refusal.UNKNOWN
