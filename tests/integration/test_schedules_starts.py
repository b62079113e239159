"""Occurrences that are started by the short statement, and those that it leaves to the long one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from reconciler.app import new_id
from reconciler.store.database import Database
from reconciler.store.executions import insert as inserting
from reconciler.store.scheduled import HELD_UNTIL
from reconciler.store.starts import start
from reconciler.trigger.execution import Accepted, Cause, NewExecution, Refusal, Status
from tests.integration.tenants import Tenants
from tests.integration.timetable import NOW, acme, equip, schedule

TRIGGER = "acme-report-t"


@pytest.fixture
def world(upgraded_url: str) -> Iterator[Tenants]:
    with acme(upgraded_url) as tenants:
        schedule(tenants)
        equip(tenants)
        yield tenants


@pytest.fixture
async def database(upgraded_url: str) -> AsyncIterator[Database]:
    async with Database(upgraded_url) as database:
        yield database


def occurrence(key: str, **values: Any) -> NewExecution:
    defaults: dict[str, Any] = {
        "automation_id": "acme-report",
        "cause": Cause.SCHEDULE,
        "trigger_data": {"timestamp": 'now "then" \\ n\u00e4her', "Year": "2026"},
        "trigger_id": TRIGGER,
        "idempotency_key": key,
    }
    return NewExecution(**{**defaults, **values})


async def started(database: Database, *new: NewExecution) -> list[Accepted]:
    async with database.transaction(pipelined=True) as connection:
        return await start(connection, new, new_id)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keep the keys of what is left to the long statement."""
    keys: list[str] = []
    long = inserting.insert

    async def insert(connection: Any, new: Any, *args: Any, **options: Any) -> list[Accepted]:
        keys.extend(one.idempotency_key for one in new)
        return await long(connection, new, *args, **options)

    monkeypatch.setattr("reconciler.store.starts.insert", insert)
    return keys


@pytest.mark.parametrize("run_at", [None, HELD_UNTIL], ids=["now", "held"])
@pytest.mark.parametrize(
    "limits", [{}, {"timeout_seconds": 7, "max_retries": 1, "queue_deadline_seconds": 3600}]
)
async def test_the_row_is_the_same_as_any_other_insert_makes(
    database: Database, world: Tenants, asked: list[str], run_at: Any, limits: dict[str, int]
) -> None:
    equip(world, **limits)
    values = {"run_at": run_at, "scheduled_for": HELD_UNTIL}
    [short] = await started(database, occurrence("short", **values))
    assert asked == []
    async with database.transaction() as connection:
        long = occurrence("long", **values)
        [other] = await inserting.insert(connection, [long], new_id, count=False)

    assert short.fresh
    assert other.fresh
    rows = world.sql(
        "SELECT to_jsonb(e) - ARRAY['id', 'idempotencyKey', 'createdAt', 'updatedAt', 'startedAt',"
        ' \'runAt\', \'queueDeadline\'], "queueDeadline" - GREATEST("runAt", "createdAt"), '
        "\"runAt\" > now() + interval '1 day' FROM workflow_executions AS e"
    )
    assert rows[0] == rows[1]
    assert world.value('SELECT "triggerCount" FROM workflow_triggers') == 0


async def test_what_is_not_ordinary_is_started_or_refused_as_any_other(
    database: Database, world: Tenants, asked: list[str]
) -> None:
    world.automation("acme", "off", active=False)
    world.automation("acme", "bare")
    for name in ("off", "bare"):
        schedule(world, automation=f"acme-{name}")
    [first] = await started(database, occurrence("known"))

    answers = await started(
        database,
        occurrence("known"),
        occurrence("off", automation_id="acme-off", trigger_id="acme-off-t"),
        occurrence("new"),
        occurrence("new"),
        occurrence("bare", automation_id="acme-bare", trigger_id="acme-bare-t"),
        occurrence("odd", trigger_data={"\0": 1}),
    )

    assert answers[0] == Accepted(id=first.id, status=Status.QUEUED)
    assert answers[1] == Accepted(refusal=Refusal.INACTIVE)
    assert (answers[2].fresh, answers[3].fresh, answers[4].fresh) == (True, False, True)
    assert answers[3].id == answers[2].id
    assert answers[5] == Accepted(refusal=Refusal.UNSTORABLE)


async def test_only_what_is_not_ordinary_takes_the_long_way(
    database: Database, world: Tenants, asked: list[str]
) -> None:
    await started(database, occurrence("one"))
    await started(database, occurrence("one"), occurrence("two"))

    assert asked == ["one"]


async def test_a_bound_of_ones_own_is_exact(
    database: Database, world: Tenants, asked: list[str]
) -> None:
    equip(world, max_queued=2)

    answers = await started(database, *(occurrence(f"k{n}") for n in range(4)))

    assert [one.refusal for one in answers] == [None, None, Refusal.FULL, Refusal.FULL]
    assert len(asked) == 4


async def test_what_waits_is_counted_where_much_waits(
    database: Database, world: Tenants, asked: list[str]
) -> None:
    world.sql(
        'INSERT INTO workflow_executions (id, "automationId", "orgId", status, "triggerData", '
        "\"updatedAt\") SELECT 'w' || n, 'acme-report', 'acme', 'QUEUED', '{}', "
        f"{NOW} FROM generate_series(1, 60) AS n"
    )

    [answer] = await started(database, occurrence("k"))

    assert answer.fresh
    assert asked == ["k"]
