"""Schedules on a real PostgreSQL: missed occurrences, overlapping runs, jitter, full queues."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reconciler.runtime.scheduler import Scheduler
from tests.integration.tenants import Tenants
from tests.integration.timetable import (
    NOW,
    due,
    equip,
    look,
    past,
    runs,
    schedule,
)


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
    due(world, trigger, "3 seconds")
    await scheduler.tick()
    world.sql("UPDATE workflow_executions SET status = %s", first)
    due(world, trigger, "2 seconds")
    await scheduler.tick()
    return trigger, runs(world)


@pytest.mark.parametrize("beginning", ["-infinity", "0044-03-15 12:00 BC"])
async def test_a_schedule_turned_back_to_the_beginning_of_time_is_due(
    world: Tenants, scheduler: Scheduler, beginning: str
) -> None:
    trigger, other = schedule(world), schedule(world, "other")
    await scheduler.tick()
    world.sql('UPDATE workflow_triggers SET "nextFireAt" = %s WHERE id = %s', beginning, trigger)
    due(world, other, "1 second")

    await scheduler.tick()

    assert ["QUEUED", "QUEUED"] == [status for status, _ in runs(world)]
    assert look(world, trigger) > past(world)


async def test_a_schedule_that_is_due_at_the_end_of_time_stops_no_other(
    world: Tenants, scheduler: Scheduler
) -> None:
    trigger, other = schedule(world), schedule(world, "other")
    await scheduler.tick()
    world.sql("UPDATE workflow_triggers SET \"nextFireAt\" = 'infinity' WHERE id = %s", trigger)
    assert 0 < await scheduler.tick() <= 1.0
    due(world, other, "1 second")

    await scheduler.tick()

    assert 1 == len(runs(world))


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
    due(world, trigger, "1 second")
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
    due(world, trigger, "1 second")
    await scheduler.tick()
    assert [status for status, _ in runs(world)] == ["RUNNING", "CANCELLED", "QUEUED"]

    world.sql("UPDATE workflow_executions SET status = 'CANCELLED' WHERE status = 'RUNNING'")
    await scheduler.tick()
    assert world.value(ready) == 1


async def test_an_occurrence_that_was_started_once_does_not_end_its_own_run(
    world: Tenants, scheduler: Scheduler
) -> None:
    trigger = schedule(world, overlap="cancel_other")
    await scheduler.tick()
    nominal = due(world, trigger, "1 second")
    await scheduler.tick()

    world.sql('UPDATE workflow_triggers SET "nextFireAt" = %s', nominal)  # a backup, or a hand
    await scheduler.tick()

    assert runs(world) == [("QUEUED", nominal)]


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
    equip(world, max_queued=1)
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
