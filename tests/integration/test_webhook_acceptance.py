"""The statements that take webhook calls in: the rate window, rows, what two daemons do at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from reconciler.app import new_id
from reconciler.errors import ReconcilerError
from reconciler.store import aside, rooms
from reconciler.store import deliveries as module
from reconciler.store.acceptance import ACCEPT, ORDINARY
from reconciler.store.aside import Aside
from reconciler.store.database import Database
from reconciler.store.deliveries import Delivered, Deliveries, Delivery
from reconciler.store.executions import Executions
from reconciler.trigger.execution import Cause, NewExecution
from reconciler.trigger.rate import Window, take
from tests.integration.tenants import Tenants, tenants_of

CLOCK = b"extract(epoch FROM clock_timestamp())::float8"
BROKEN = b"SELECT 1 / 0"  # in the place of the statement that must not be needed


@pytest.fixture
def world(upgraded_url: str) -> Iterator[Tenants]:
    """An organization with an automation and a webhook."""
    with tenants_of(upgraded_url) as tenants:
        tenants.organization("acme")
        tenants.automation("acme", "intake")
        tenants.trigger(
            "acme-intake", "hook", triggerType="WEBHOOK", triggerEvent="webhook.received"
        )
        yield tenants


@pytest.fixture(params=["ordinary", "any"])
def way(request: pytest.FixtureRequest, world: Tenants, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which statement takes calls in, alone: the short one for what is ordinary, or the full one."""
    if request.param == "ordinary":
        world.sql("INSERT INTO reconciler.automation_runtime VALUES ('acme-intake')")
        monkeypatch.setattr(module, "ACCEPT", BROKEN)
    else:
        crowded(monkeypatch)
    return str(request.param)


def crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no queue seem to have enough room."""
    monkeypatch.setattr(module, "ORDINARY", BROKEN)
    monkeypatch.setattr(rooms, "DEFAULT_MAX_QUEUED", 0)


def call(key: str | None = None, **changes: Any) -> Delivery:
    new = NewExecution(
        automation_id=changes.pop("automation", "acme-intake"),
        cause=Cause.WEBHOOK,
        trigger_data={"body": 1},
        trigger_id=changes.pop("trigger", "acme-intake-hook"),
        idempotency_key=key,
        method="POST",
    )
    values = {"organization_id": "acme", "limit": 100, "period": 60.0, "remote": None, "bytes": 1}
    return Delivery(new=new, **{**values, **changes})


def ids(answers: list[Delivered]) -> list[str | None]:
    return [answer.accepted.id if answer.accepted else None for answer in answers]


@pytest.mark.parametrize("full", [False, True])
async def test_the_window_is_that_of_the_pure_function(
    database: Database, world: Tenants, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    world.sql("INSERT INTO reconciler.automation_runtime VALUES ('acme-intake')")
    if full:
        crowded(monkeypatch)
    now, window, dice = 1_700_000_000.0, Window(), random.Random(7)
    for step in range(120):
        now += dice.choice([0.0, 0.3, 1.0, 5.0, 30.0, 61.0, 200.0, -5.0])
        seconds = 30.0 if 60 <= step < 90 else 60.0
        wanted, limit = dice.randint(1, 9), 12
        monkeypatch.setattr(module, "ACCEPT", ACCEPT.replace(CLOCK, f"{now}::float8".encode()))
        if not full:
            clock = f"{now}::float8".encode()
            monkeypatch.setattr(module, "ORDINARY", ORDINARY.replace(CLOCK, clock))
        calls = [call(limit=limit, period=seconds) for _ in range(wanted)]
        # A new one each time: it remembers for how long a window is full, by a clock of its own.
        answers = await Deliveries(database, new_id=new_id).accept(calls)
        expected = take(window, wanted, limit=limit, seconds=seconds, now=now)
        assert expected.granted == sum(answer.accepted is not None for answer in answers), step
        waits = {answer.retry_after for answer in answers if answer.accepted is None}
        if expected.granted < wanted:
            assert [pytest.approx(expected.retry_after, abs=0.01)] == list(waits)
        if not expected.granted:
            continue
        window = expected.window
        [(slot, size, counts)] = world.sql(
            "SELECT slot, slot_seconds, counts FROM reconciler.webhook_rates"
        )
        padded = (*counts, *([0] * 61))[:61]
        assert (window.slot, window.slot_seconds, window.counts) == (slot, size, padded), step


async def test_a_full_window_is_remembered_and_known_ids_are_still_answered(
    database: Database, world: Tenants
) -> None:
    deliveries = Deliveries(database, new_id=new_id)
    first = await deliveries.accept([call(f"k{n}", limit=3, period=3600.0) for n in range(5)])
    assert [True, True, True, False, False] == [bool(id_) for id_ in ids(first)]
    written = "SELECT xmin::text FROM reconciler.webhook_rates"
    before = world.value(written)
    again = await deliveries.accept(
        [call(key, limit=3, period=3600.0) for key in ("k1", "k9", "k2", None)]
    )
    assert [ids(first)[1], None, ids(first)[2], None] == ids(again)
    assert all(answer.retry_after > 3000 for answer in (again[1], again[3]))
    assert before == world.value(written)
    raised = await deliveries.accept([call("k9", limit=4, period=3600.0)])
    assert raised[0].accepted is not None


async def test_the_row_is_the_same_as_any_other_insert_makes(
    database: Database, world: Tenants, way: str
) -> None:
    await Deliveries(database, new_id=new_id).accept([call("one")])
    await Executions(database, new_id=new_id).insert([call("two").new])
    rows = world.sql(
        "SELECT to_jsonb(e) - ARRAY['id', 'idempotencyKey', 'createdAt', 'updatedAt', 'startedAt',"
        " 'runAt'] FROM workflow_executions AS e"
    )
    assert rows[0] == rows[1]
    assert world.value('SELECT "triggerCount" FROM workflow_triggers') == 2, way
    logged = world.sql(
        "SELECT organization_id, automation_id, trigger_id, accepted, replay_key, execution_id "
        "FROM reconciler.webhook_deliveries"
    )
    id_ = world.value('SELECT id FROM workflow_executions WHERE "idempotencyKey" = %s', "one")
    assert logged == [("acme", "acme-intake", "acme-intake-hook", True, "one", id_)]


async def test_limits_of_the_automation_are_those_of_any_other_insert(
    database: Database, world: Tenants, way: str
) -> None:
    world.sql(
        "INSERT INTO reconciler.automation_runtime (automation_id, timeout_seconds, max_retries, "
        "queue_deadline_seconds) VALUES ('acme-intake', 7, 1, 3600) ON CONFLICT (automation_id) "
        "DO UPDATE SET timeout_seconds = 7, max_retries = 1, queue_deadline_seconds = 3600"
    )
    await Deliveries(database, new_id=new_id).accept([call("one")])
    await Executions(database, new_id=new_id).insert([call("two").new])
    rows = world.sql(
        'SELECT "timeoutSeconds", "maxAttempts", "queueDeadline" - "createdAt" '
        "FROM workflow_executions"
    )
    assert rows[0] == rows[1], way


@pytest.mark.parametrize("equipped", [False, True])
async def test_one_batch_answers_every_call(
    database: Database, world: Tenants, equipped: bool
) -> None:
    if equipped:  # so that the ordinary ones are taken in before the others are looked at
        world.sql("INSERT INTO reconciler.automation_runtime VALUES ('acme-intake')")
    world.automation("acme", "off", active=False)
    deliveries = Deliveries(database, new_id=new_id)
    [first] = await deliveries.accept([call("known")])
    answers = await deliveries.accept([
        call("known"), call("new"), call("new"), call(), call(),
        call("x", automation="acme-off"), call("y", automation="nobody"), call("z", trigger="other"),
        call("known"),
    ])  # fmt: skip
    found = [
        (a.accepted.fresh, a.accepted.refusal and a.accepted.refusal.value)
        for a in answers
        if a.accepted is not None
    ]
    assert found == [
        (False, None), (True, None), (False, None), (True, None), (True, None),
        (False, "unknown"), (False, "unknown"), (False, "unknown"), (False, None),
    ]  # fmt: skip
    known = ids(answers)
    assert ids([first])[0] == known[0] == known[8]
    assert known[1] == known[2]
    assert world.value("SELECT count(*) FROM workflow_executions") == 4


@pytest.mark.parametrize("equipped", [False, True])
async def test_daemons_at_once_take_each_id_once_and_never_too_many(
    upgraded_url: str, world: Tenants, equipped: bool
) -> None:
    if equipped:
        world.sql("INSERT INTO reconciler.automation_runtime VALUES ('acme-intake')")
    async with Database(upgraded_url) as one, Database(upgraded_url) as two:
        daemons = [Deliveries(one, new_id=new_id), Deliveries(two, new_id=new_id)]
        answered: dict[str, set[str | None]] = {}

        async def send(daemon: Deliveries, seed: int) -> None:
            dice = random.Random(seed)
            for _ in range(15):
                keys = [f"k{dice.randrange(60)}" for _ in range(8)]
                answers = await daemon.accept([call(key, limit=40) for key in keys])
                for key, answer in zip(keys, ids(answers), strict=True):
                    answered.setdefault(key, set()).add(answer)

        await asyncio.gather(*(send(daemon, n) for n, daemon in enumerate(daemons * 3)))
    assert world.value("SELECT count(*) FROM workflow_executions") == 40
    assert world.value("SELECT sum(n) FROM reconciler.webhook_rates, unnest(counts) AS n") == 40
    assert sum(bool(found - {None}) for found in answered.values()) == 40
    # An id was refused as long as it was not taken in, and then always named the same execution.
    assert all(len(found - {None}) <= 1 for found in answered.values())


async def test_an_automation_that_was_made_again_has_a_window_again(
    database: Database, world: Tenants
) -> None:
    deliveries = Deliveries(database, new_id=new_id)
    await deliveries.accept([call()])
    world.sql("DELETE FROM reconciler.webhook_rates")
    [answer] = await deliveries.accept([call()])
    assert answer.accepted is not None
    assert answer.accepted.fresh


async def test_what_cannot_be_stored_spoils_nobody_elses_call(
    database: Database, world: Tenants
) -> None:
    bad = call("bad")
    object.__setattr__(bad.new, "trigger_data", {"body": "\0"})
    answers = await Deliveries(database, new_id=new_id).accept([call("a"), bad, call("b")])
    assert [True, False, True] == [bool(a.accepted and a.accepted.fresh) for a in answers]


async def test_of_a_queue_that_may_be_full_the_waiting_are_counted(
    database: Database, world: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sql("INSERT INTO reconciler.automation_runtime VALUES ('acme-intake')")
    monkeypatch.setattr(module, "ORDINARY", BROKEN)
    monkeypatch.setattr(module, "ACCEPT", ACCEPT.replace(b"100000", b"3"))
    # Less than what could come before it is counted again.
    monkeypatch.setattr(rooms, "DEFAULT_MAX_QUEUED", rooms.GROWTH)
    answers = await Deliveries(database, new_id=new_id).accept([call() for _ in range(5)])
    refusals = [answer.accepted and answer.accepted.refusal for answer in answers]
    assert [None, None, None, "FULL", "FULL"] == [one and one.name for one in refusals]


async def test_a_bound_that_was_set_since_the_route_was_read_holds(
    database: Database, world: Tenants
) -> None:
    deliveries = Deliveries(database, new_id=new_id)
    await deliveries.accept([call()])
    world.sql("UPDATE reconciler.automation_runtime SET max_queued = 2")
    answers = await deliveries.accept([call(), call()])
    refusals = [answer.accepted and answer.accepted.refusal for answer in answers]
    assert [None, "FULL"] == [one and one.name for one in refusals]


async def test_calls_that_were_taken_in_are_answered_whatever_becomes_of_the_others(
    database: Database, world: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sql("INSERT INTO reconciler.automation_runtime VALUES ('acme-intake')")
    monkeypatch.setattr(module, "ACCEPT", BROKEN)
    deliveries = Deliveries(database, new_id=new_id)
    answers = await deliveries.accept([call("a"), call("b", trigger="other"), call("a")])
    assert [True, False, True] == [answer.accepted is not None for answer in answers]
    assert answers[1].error is not None
    with pytest.raises(ReconcilerError):
        await deliveries.accept([call("c", trigger="other")])


async def test_a_window_that_somebody_holds_stops_only_its_own_automation(
    upgraded_url: str, world: Tenants
) -> None:
    async with Database(upgraded_url, lock_timeout=0.3) as database:
        world.automation("acme", "other")
        world.trigger("acme-other", "hook", triggerType="WEBHOOK", triggerEvent="webhook.received")
        accept = Aside(Deliveries(database, new_id=new_id).accept)
        free = {"automation": "acme-other", "trigger": "acme-other-hook"}
        await accept([call(), call(**free)])
        async with await psycopg.AsyncConnection.connect(upgraded_url) as somebody:
            await somebody.execute(
                "SELECT FROM reconciler.webhook_rates WHERE automation_id = 'acme-intake' FOR UPDATE"
            )
            first = await accept([call("a"), call(**free), call()])
            began = time.monotonic()
            second = await accept([call("b"), call(**free)])
            seconds = time.monotonic() - began
        assert [answer.error is None for answer in first] == [False, True, False]
        assert [answer.error is None for answer in second] == [False, True]
        assert seconds < 0.3, "it was not waited for a second time"
        assert world.sql("SELECT count(*) FROM workflow_executions") == [(4,)]
        await asyncio.sleep(aside._REST)
        assert (await accept([call("a")]))[0].error is None


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("statement", [ACCEPT, ORDINARY, rooms._CROWDS], ids=["A", "O", "C"])
async def test_no_table_is_read_whole_even_by_a_plan_made_while_all_were_empty(
    upgraded_url: str, world: Tenants, mode: str, statement: bytes
) -> None:
    world.sql("ANALYZE")
    async with Database(upgraded_url, scans=False) as database:
        batch = module._Batch([call("one"), call("two")], new_id, {})
        values = batch.values_of_ordinary([0, 1]) if statement == ORDINARY else batch.values()
        async with database.transaction() as connection:
            await connection.execute(f"SET LOCAL plan_cache_mode TO {mode}")
            cursor = await connection.execute(b"EXPLAIN (COSTS off) " + statement, values)
            plan = [line for (line,) in await cursor.fetchall()]
    assert [] == [line for line in plan if "Seq Scan" in line]
    scans = [n for n, line in enumerate(plan) if "Index" in line and " Scan using " in line]
    assert scans
    # An index that is read from end to end is the table in another order.
    assert [] == [plan[n] for n in scans if "Index Cond" not in plan[n + 1]]
    # A sender's id is one look, however many calls of the automation are remembered.
    looks = [plan[n] for n in scans if " on webhook_deliveries" in plan[n]]
    assert [] == [line for line in looks if "webhook_deliveries_replay_key" not in line]
