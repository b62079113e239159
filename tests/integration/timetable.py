"""Schedules in the database of a test: made, turned back, looked at. Not here: tests."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

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


@contextmanager
def acme(url: str) -> Iterator[Tenants]:
    """Make an organization with one automation."""
    with tenants_of(url) as tenants:
        tenants.organization("acme")
        tenants.automation("acme", "report")
        yield tenants


@asynccontextmanager
async def scheduler_at(url: str, batch: int = 200) -> AsyncIterator[Scheduler]:
    """Make a scheduler with connections of its own."""
    async with Database(url) as database:
        schedules = Schedules(database, new_id=lambda: f"x{next(_numbers):06}")
        yield Scheduler(schedules, Pokes(), batch=batch)


def equip(world: Tenants, **columns: int) -> None:
    """Give the automation its row of the runtime, with *columns* in it."""
    world.sql(
        "INSERT INTO reconciler.automation_runtime (automation_id) VALUES ('acme-report') "
        "ON CONFLICT (automation_id) DO NOTHING"
    )
    for name, value in columns.items():
        world.sql(f"UPDATE reconciler.automation_runtime SET {name} = %s", value)


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
