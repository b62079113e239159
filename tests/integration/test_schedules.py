"""Schedules on a real PostgreSQL: taken in, due, changed, switched off, broken, at five daemons."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.runtime.scheduler import Scheduler
from tests.integration.tenants import Tenants
from tests.integration.timetable import (
    NOW,
    due,
    look,
    past,
    runs,
    schedule,
    scheduler_at,
)


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
        others = [await stack.enter_async_context(scheduler_at(upgraded_url, 20)) for _ in range(5)]
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
