"""Schedules on a real PostgreSQL: taken in, due, missed, overlapping, broken, on several daemons."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.runtime.scheduler import Scheduler
from reconciler.store.database import Database
from reconciler.store.schedules import Schedules
from tests.integration.tenants import Tenants, tenants_of

NOW = "date_trunc('milliseconds', clock_timestamp() AT TIME ZONE 'UTC')"
_numbers = itertools.count(1)


class Pokes:
    """Counts the hints that a scheduler gives."""

    count = 0

    def poke(self) -> None:
        self.count += 1


@pytest.fixture
def world(upgraded_url: str) -> Iterator[Tenants]:
    with tenants_of(upgraded_url) as tenants:
        tenants.organization("acme")
        tenants.automation("acme", "report")
        yield tenants


@pytest.fixture
async def scheduler(upgraded_url: str) -> AsyncIterator[Scheduler]:
    async with Database(upgraded_url) as database:
        yield make(database)


def make(database: Database, batch: int = 200) -> Scheduler:
    schedules = Schedules(database, new_id=lambda: f"x{next(_numbers):06}")
    return Scheduler(schedules, Pokes(), batch=batch)


def schedule(world: Tenants, name: str = "t", **columns: Any) -> str:
    columns = {"cronSchedule": "0 * * * *", "timezone": "UTC", **columns}
    return world.trigger(
        columns.pop("automation", "acme-report"),
        name,
        triggerType="SCHEDULE",
        triggerEvent="schedule",
        **columns,
    )


def due(world: Tenants, trigger: str, ago: str) -> datetime:
    """Pretend that the schedule was taken in before it was due at *ago*; return when it was."""
    at: datetime = world.value(
        f'UPDATE workflow_triggers SET "nextFireAt" = {NOW} - %s::interval WHERE id = %s '
        'RETURNING "nextFireAt"',
        ago,
        trigger,
    )
    return at


def look(world: Tenants, trigger: str, column: str = "nextFireAt") -> Any:
    return world.value(f'SELECT "{column}" FROM workflow_triggers WHERE id = %s', trigger)


def runs(world: Tenants) -> list[tuple[Any, ...]]:
    """List status and nominal time, oldest first."""
    return world.sql(
        'SELECT status::text, "scheduledFor" FROM workflow_executions ORDER BY "scheduledFor", id'
    )


def past(world: Tenants) -> datetime:
    now: datetime = world.value(f"SELECT {NOW}")
    return now


async def test_a_new_schedule_gets_its_next_fire_and_starts_nothing(
    world: Tenants, scheduler: Scheduler
) -> None:
    trigger = schedule(world, cronSchedule="30 9 * * *", timezone="Europe/Berlin")

    seconds = await scheduler.tick()

    fire = look(world, trigger).replace(tzinfo=UTC)
    assert 0 < seconds <= 1.0
    assert past(world).replace(tzinfo=UTC) < fire <= datetime.now(UTC) + timedelta(days=1, hours=1)
    assert fire.minute == 30
    assert runs(world) == []


async def test_what_is_due_becomes_one_queued_execution_with_n8ns_item(
    world: Tenants, scheduler: Scheduler
) -> None:
    trigger = schedule(world)
    await scheduler.tick()
    nominal = due(world, trigger, "3 seconds")

    await scheduler.tick()
    await scheduler.tick()

    assert runs(world) == [("QUEUED", nominal)]
    [[cause, key, trigger_id, item]] = world.sql(
        'SELECT cause, "idempotencyKey", "triggerId", "triggerData" FROM workflow_executions'
    )
    assert (cause, trigger_id) == ("schedule", trigger)
    assert key == f"cron:{trigger}:{nominal:%Y-%m-%dT%H:%M:%S}Z"
    assert item["timestamp"].startswith(f"{nominal:%Y-%m-%dT%H:%M:%S}")
    assert item["Timezone"] == "UTC (UTC+00:00)"
    assert look(world, trigger) > past(world)
    assert look(world, trigger, "triggerCount") == 1
    assert look(world, trigger, "lastTriggeredAt") is not None


async def test_the_scheduler_sleeps_until_the_next_fire_and_no_longer(
    world: Tenants, scheduler: Scheduler
) -> None:
    trigger = schedule(world)
    await scheduler.tick()
    due(world, trigger, "-0.4 seconds")

    seconds = await scheduler.tick()

    assert 0.1 < seconds <= 0.4


async def test_an_unchanged_schedule_keeps_its_next_fire(
    world: Tenants, scheduler: Scheduler
) -> None:
    trigger = schedule(world)
    await scheduler.tick()
    due(world, trigger, "-20 minutes")
    before = look(world, trigger)

    world.sql("UPDATE workflow_triggers SET name = 'other', overlap = 'allow', jitter = 5")
    await scheduler.tick()

    assert look(world, trigger) == before


async def test_a_changed_schedule_starts_anew_and_never_retroactively(
    world: Tenants, scheduler: Scheduler
) -> None:
    trigger = schedule(world)
    await scheduler.tick()
    due(world, trigger, "10 minutes")

    world.sql("UPDATE workflow_triggers SET \"cronSchedule\" = '5 * * * *'")
    await scheduler.tick()

    assert look(world, trigger) > past(world)
    assert look(world, trigger).minute == 5
    assert runs(world) == []


async def test_a_schedule_switched_on_again_starts_anew(
    world: Tenants, scheduler: Scheduler
) -> None:
    trigger = schedule(world)
    await scheduler.tick()

    world.sql('UPDATE workflow_triggers SET "isActive" = false')
    await scheduler.tick()
    assert look(world, trigger) is None
    assert look(world, trigger, "scheduleDigest") is None

    world.sql('UPDATE workflow_triggers SET "isActive" = true')
    await scheduler.tick()
    assert look(world, trigger) > past(world)
    assert runs(world) == []


async def test_an_inactive_automation_starts_nothing_and_catches_nothing_up(
    world: Tenants, scheduler: Scheduler
) -> None:
    trigger = schedule(world)
    await scheduler.tick()
    due(world, trigger, "10 minutes")
    world.sql('UPDATE automations SET "isActive" = false')

    await scheduler.tick()
    world.sql('UPDATE automations SET "isActive" = true')
    await scheduler.tick()

    assert runs(world) == []
    assert look(world, trigger) > past(world)


async def test_an_automation_that_was_off_while_no_daemon_ran_catches_nothing_up(
    world: Tenants, scheduler: Scheduler
) -> None:
    trigger = schedule(world)
    await scheduler.tick()
    due(world, trigger, "10 minutes")
    # what `apply` writes for an automation that is switched off, and then for one that is on
    world.sql(
        "INSERT INTO reconciler.automation_runtime (automation_id, paused) VALUES (%s, true) "
        "ON CONFLICT (automation_id) DO UPDATE SET paused = true",
        "acme-report",
    )

    await scheduler.tick()

    assert runs(world) == []
    assert look(world, trigger) > past(world)
    assert world.value("SELECT paused FROM reconciler.automation_runtime") is False


@pytest.mark.parametrize(
    "columns, word",
    [
        ({"cronSchedule": "61 * * * *"}, "61"),
        ({"cronSchedule": "every day"}, "five fields"),
        ({"cronSchedule": None}, "no cron"),
        ({"cronSchedule": "0 0 31 2 *"}, "never"),
        ({"timezone": "Europe/Berln"}, "Berln"),
        ({"timezone": "../../etc/passwd"}, "unknown time zone"),
        ({"cronSchedule": "0 9\n* * *"}, "line break"),
    ],
)
async def test_a_broken_schedule_is_noted_once_and_stops_no_other(
    columns: dict[str, Any], word: str, world: Tenants, scheduler: Scheduler
) -> None:
    good, bad = schedule(world, "good"), schedule(world, "bad")
    await scheduler.tick()
    nominal = due(world, good, "1 second")
    due(world, bad, "1 second")
    assignments = ", ".join(f'"{column}" = %s' for column in columns)
    world.sql(f"UPDATE workflow_triggers SET {assignments} WHERE id = %s", *columns.values(), bad)

    await scheduler.tick()

    assert runs(world) == [("QUEUED", nominal)]
    assert word in look(world, bad, "scheduleError")
    assert look(world, bad) is None
    noted = look(world, bad, "xmin")
    await scheduler.tick()
    assert look(world, bad, "xmin") == noted

    world.sql("UPDATE workflow_triggers SET \"cronSchedule\" = '0 9 * * *', timezone = NULL")
    await scheduler.tick()
    assert look(world, bad, "scheduleError") is None
    assert look(world, bad) > past(world)


async def test_a_schedule_that_postgresql_refuses_to_start_stops_no_other(
    world: Tenants, scheduler: Scheduler
) -> None:
    good, bad = schedule(world, "good", overlap="allow"), schedule(world, "bad", overlap="allow")
    await scheduler.tick()
    nominal = due(world, good, "1 second")
    due(world, bad, "2 seconds")
    world.sql(
        "ALTER TABLE workflow_executions ADD CONSTRAINT poison "
        f"CHECK (\"triggerId\" <> '{bad}') NOT VALID"
    )

    await scheduler.tick()

    assert runs(world) == [("QUEUED", nominal)]
    assert "poison" in look(world, bad, "scheduleError")
    assert look(world, bad) is None


async def test_one_run_makes_up_for_all_that_were_missed(
    world: Tenants, scheduler: Scheduler
) -> None:
    trigger = schedule(world, cronSchedule="*/5 * * * *")
    await scheduler.tick()
    due(world, trigger, "2 hours")
    newest = look(world, trigger)
    now = past(world)

    await scheduler.tick()

    [(status, nominal)] = runs(world)
    assert status == "QUEUED"
    assert now - timedelta(minutes=5) <= nominal <= now
    assert nominal > newest
    assert look(world, trigger) == nominal + timedelta(minutes=5)


async def test_a_schedule_that_skips_gives_up_what_is_later_than_the_grace(
    world: Tenants, scheduler: Scheduler
) -> None:
    late = schedule(world, "late", cronSchedule="0 0 1 1 *", misfire="skip")
    recent = schedule(world, "recent", cronSchedule="0 0 1 1 *", misfire="skip")
    tight = schedule(world, "tight", cronSchedule="0 0 1 1 *", misfire="skip", misfireGrace=60)
    await scheduler.tick()
    due(world, late, "61 minutes")
    nominal = due(world, recent, "59 minutes")
    due(world, tight, "61 seconds")

    await scheduler.tick()

    assert runs(world) == [("QUEUED", nominal)]
    assert all(look(world, trigger) > past(world) for trigger in (late, recent, tight))


async def test_all_missed_runs_are_made_up_for_one_after_the_other(
    world: Tenants, scheduler: Scheduler
) -> None:
    trigger = schedule(world, cronSchedule="* * * * *", misfire="fire_all")
    await scheduler.tick()
    due(world, trigger, "5 hours")

    await scheduler.tick()

    made_up = runs(world)
    assert len(made_up) == 100
    assert all(status == "QUEUED" for status, _ in made_up)
    nominal = [at for _, at in made_up]
    assert nominal == [nominal[0] + timedelta(minutes=n) for n in range(100)]
    ready = f'SELECT count(*) FROM workflow_executions WHERE "runAt" <= {NOW}'
    for ended in range(1, 4):
        assert world.value(ready + " AND status = 'QUEUED'") == 1
        world.sql(
            "UPDATE workflow_executions SET status = 'SUCCESS' "
            f"WHERE \"runAt\" <= {NOW} AND status = 'QUEUED'"
        )
        await scheduler.tick()
        assert world.value(ready) == ended + 1


async def test_all_missed_runs_start_at_once_where_they_may_overlap(
    world: Tenants, scheduler: Scheduler
) -> None:
    trigger = schedule(world, cronSchedule="* * * * *", misfire="fire_all", overlap="allow")
    await scheduler.tick()
    due(world, trigger, "5 minutes")

    await scheduler.tick()

    assert world.value(f'SELECT count(*) FROM workflow_executions WHERE "runAt" <= {NOW}') in (5, 6)


async def start(world: Tenants, scheduler: Scheduler, overlap: str, first: str) -> tuple[str, Any]:
    """Let a schedule fire twice, the first run being in state *first* meanwhile."""
    trigger = schedule(world, cronSchedule="0 0 1 1 *", overlap=overlap)
    await scheduler.tick()
    due(world, trigger, "2 seconds")
    await scheduler.tick()
    world.sql("UPDATE workflow_executions SET status = %s", first)
    due(world, trigger, "1 second")
    await scheduler.tick()
    return trigger, runs(world)


@pytest.mark.parametrize("first", ["QUEUED", "RUNNING"])
async def test_an_occurrence_is_skipped_and_recorded_while_the_last_run_lives(
    first: str, world: Tenants, scheduler: Scheduler
) -> None:
    trigger, found = await start(world, scheduler, "skip", first)

    assert [status for status, _ in found] == [first, "CANCELLED"]
    [[reason, completed]] = world.sql(
        'SELECT "errorMessage", "completedAt" FROM workflow_executions WHERE status = \'CANCELLED\''
    )
    assert reason == "skipped: the run before it had not ended"
    assert completed is not None
    assert look(world, trigger, "triggerCount") == 1


@pytest.mark.parametrize("first", ["SUCCESS", "FAILED", "TIMEOUT", "CANCELLED"])
async def test_a_run_that_has_ended_holds_nothing_up(
    first: str, world: Tenants, scheduler: Scheduler
) -> None:
    _, found = await start(world, scheduler, "skip", first)

    assert [status for status, _ in found] == [first, "QUEUED"]


async def test_runs_overlap_where_they_may(world: Tenants, scheduler: Scheduler) -> None:
    _, found = await start(world, scheduler, "allow", "RUNNING")

    assert [status for status, _ in found] == ["RUNNING", "QUEUED"]
    assert world.value(f'SELECT count(*) FROM workflow_executions WHERE "runAt" <= {NOW}') == 2


async def test_one_run_waits_for_the_end_of_the_one_before_and_the_next_is_skipped(
    world: Tenants, scheduler: Scheduler
) -> None:
    trigger, found = await start(world, scheduler, "queue_one", "RUNNING")
    ready = (
        f"SELECT count(*) FROM workflow_executions WHERE \"runAt\" <= {NOW} AND status = 'QUEUED'"
    )

    assert [status for status, _ in found] == ["RUNNING", "QUEUED"]
    assert world.value(ready) == 0
    due(world, trigger, "0.5 seconds")
    await scheduler.tick()
    assert [status for status, _ in runs(world)] == ["RUNNING", "QUEUED", "CANCELLED"]

    world.sql("UPDATE workflow_executions SET status = 'SUCCESS' WHERE status = 'RUNNING'")
    await scheduler.tick()
    assert world.value(ready) == 1


async def test_a_new_run_ends_the_one_before(world: Tenants, scheduler: Scheduler) -> None:
    trigger, found = await start(world, scheduler, "cancel_other", "RUNNING")
    ready = (
        f"SELECT count(*) FROM workflow_executions WHERE \"runAt\" <= {NOW} AND status = 'QUEUED'"
    )
    asked = 'SELECT count(*) FROM workflow_executions WHERE "cancelRequestedAt" IS NOT NULL'

    assert [status for status, _ in found] == ["RUNNING", "QUEUED"]
    assert world.value(asked) == 1
    assert world.value(ready) == 0  # it starts when the other has really ended
    due(world, trigger, "0.5 seconds")
    await scheduler.tick()
    assert [status for status, _ in runs(world)] == ["RUNNING", "CANCELLED", "QUEUED"]

    world.sql("UPDATE workflow_executions SET status = 'CANCELLED' WHERE status = 'RUNNING'")
    await scheduler.tick()
    assert world.value(ready) == 1


async def test_jitter_delays_the_start_and_not_the_record(
    world: Tenants, scheduler: Scheduler
) -> None:
    trigger = schedule(world, jitter=3600)
    await scheduler.tick()
    nominal = due(world, trigger, "1 second")

    await scheduler.tick()

    [[scheduled_for, run_at]] = world.sql('SELECT "scheduledFor", "runAt" FROM workflow_executions')
    assert scheduled_for == nominal
    assert timedelta(0) <= run_at - nominal < timedelta(hours=1)


async def test_an_occurrence_without_room_in_the_queue_is_recorded(
    world: Tenants, scheduler: Scheduler
) -> None:
    world.sql(
        "INSERT INTO reconciler.automation_runtime (automation_id, max_queued) VALUES (%s, 1)",
        "acme-report",
    )
    for name in ("one", "two"):
        schedule(world, name, overlap="allow")
    await scheduler.tick()
    world.sql(f'UPDATE workflow_triggers SET "nextFireAt" = {NOW}')

    await scheduler.tick()

    assert sorted(status for status, _ in runs(world)) == ["CANCELLED", "QUEUED"]
    reason = world.value(
        "SELECT \"errorMessage\" FROM workflow_executions WHERE status = 'CANCELLED'"
    )
    assert reason == "skipped: too many executions of this automation waited"


async def test_an_occurrence_that_was_started_once_is_not_started_again(
    world: Tenants, scheduler: Scheduler
) -> None:
    trigger = schedule(world, overlap="allow")
    await scheduler.tick()
    nominal = due(world, trigger, "1 second")
    await scheduler.tick()

    world.sql('UPDATE workflow_triggers SET "nextFireAt" = %s', nominal)  # a backup, or a hand
    await scheduler.tick()

    assert runs(world) == [("QUEUED", nominal)]
    assert look(world, trigger, "triggerCount") == 1
    assert look(world, trigger) > past(world)


async def test_five_schedulers_start_each_occurrence_once(
    upgraded_url: str, world: Tenants, scheduler: Scheduler
) -> None:
    world.sql(
        'INSERT INTO workflow_triggers (id, "automationId", "orgId", "triggerType", '
        '"triggerEvent", "cronSchedule", overlap, "updatedAt") '
        "SELECT 't' || n, 'acme-report', 'acme', 'SCHEDULE', 'schedule', "
        f"(n %% 60) || ' * * * *', 'allow', {NOW} FROM generate_series(1, 500) AS n",
    )
    await scheduler.tick()
    world.sql(f"UPDATE workflow_triggers SET \"nextFireAt\" = {NOW} - interval '1 second'")

    async with AsyncExitStack() as stack:
        others = [
            make(await stack.enter_async_context(Database(upgraded_url)), 20) for _ in range(5)
        ]
        await asyncio.gather(*(one.tick() for one in others))

    assert world.value("SELECT count(*) FROM workflow_executions") == 500
    assert world.value('SELECT count(DISTINCT "triggerId") FROM workflow_executions') == 500
    assert world.value(f'SELECT count(*) FROM workflow_triggers WHERE "nextFireAt" <= {NOW}') == 0


async def test_it_ends_when_it_is_told_to(world: Tenants, scheduler: Scheduler) -> None:
    schedule(world)
    stopping = asyncio.Event()
    running = asyncio.create_task(scheduler.run(stopping))
    await asyncio.sleep(0.3)
    stopping.set()

    await asyncio.wait_for(running, 1)
