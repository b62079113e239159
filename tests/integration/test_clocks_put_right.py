"""A database's clock was ahead, and was put right: what it wrote meanwhile holds nobody up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.store.calls import Calls
from reconciler.store.database import Database
from reconciler.store.executions import Executions
from reconciler.trigger.execution import Cause, NewExecution
from tests.hooks_rig import hook, serving
from tests.integration.tenants import Tenants, tenants_of
from tests.worker_rig import Desk, Scripted, working

FULL = "UPDATE reconciler.webhook_rates SET slot = slot + %s, counts = ARRAY[100]"


@pytest.fixture
def world(upgraded_url: str) -> Iterator[Tenants]:
    with tenants_of(upgraded_url) as tenants:
        tenants.organization("acme")
        tenants.automation("acme", "intake")
        yield tenants


async def test_webhooks_are_let_in_and_counted_from_now_on(
    database: Database, world: Tenants
) -> None:
    await hook(database, world, scheme="none")
    async with serving(database) as hooks:
        assert (await hooks.call()).status_code == 202
        world.sql(FULL, 3600)

        answers = [await hooks.call() for _ in range(101)]

    assert [202] * 100 + [429] == [answer.status_code for answer in answers]
    assert int(answers[-1].headers["retry-after"]) <= 61


async def test_a_window_that_is_a_little_ahead_is_kept(database: Database, world: Tenants) -> None:
    await hook(database, world, scheme="none")
    async with serving(database) as hooks:
        await hooks.call()
        world.sql(FULL, 30)

        answer = await hooks.call()

    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) <= 91


async def test_a_window_of_another_period_is_over_some_time(
    database: Database, world: Tenants
) -> None:
    await hook(database, world, scheme="none")
    async with serving(database) as hooks:
        await hooks.call()
        world.sql(
            "UPDATE reconciler.webhook_rates SET slot_seconds = 2, slot = slot / 2 - 60, "
            "counts = ARRAY[100]"
        )

        assert (await hooks.call()).status_code == 202

    assert world.value("SELECT counts[1] FROM reconciler.webhook_rates") == 1


async def test_calls_of_the_api_are_let_in(database: Database, world: Tenants) -> None:
    numbers = iter(range(10))
    calls = Calls(database, Executions(database, new_id=lambda: f"x{next(numbers)}"))
    new = NewExecution(automation_id="acme-intake", cause=Cause.API, trigger_data={})
    await calls.accept(new, 100, 60.0)
    world.sql(FULL, 3600)

    assert (await calls.accept(new, 100, 60.0)).accepted is not None


async def test_the_run_of_a_dead_worker_is_taken_over(place: Desk) -> None:
    await place.automation()
    [id_] = await place.ask()
    await place.executions.claim("dead", 1, lease=86_400)

    async with working(place, Scripted()):
        await place.until(id_, "SUCCESS")


async def test_the_run_of_a_worker_that_lives_stays_its_own(place: Desk) -> None:
    await place.automation()
    await place.ask()
    await place.executions.claim("w1", 1, lease=86_400)

    for _ in range(2):
        assert await place.executions.rescue("w2", 10, lease=30) == []

    assert await place.value('SELECT "leaseOwner" FROM workflow_executions') == "w1"


async def test_what_waits_for_ever_hides_nothing_that_gets_due(place: Desk) -> None:
    await place.automation()
    await place.ask(2)
    await place.rows("UPDATE workflow_executions SET \"runAt\" = 'infinity'")
    assert await place.executions.next_due() is None
    await place.rows(
        "UPDATE workflow_executions SET \"runAt\" = now() + interval '1 hour' "
        "WHERE id = (SELECT min(id) FROM workflow_executions)"
    )

    due = await place.executions.next_due()

    assert due is not None
    assert 3500 < due <= 3600
