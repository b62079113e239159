"""Rows that another application wrote, and that nobody can read, stop nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from reconciler.access import Action
from reconciler.errors import ConflictError
from reconciler.resource.unreadable import Unreadable
from reconciler.store.database import Database
from reconciler.store.rows import Rows
from reconciler.trigger.execution import Cause
from tests.integration.api_rig import Api, open_api
from tests.integration.test_worker_n8n import Works
from tests.worker_rig import Desk, desk

DIGITS = '{"n": 1e5000}'
DEEP = "[" * 3000 + "]" * 3000
REASONS = {DIGITS: "it holds a number of too many digits", DEEP: "it is nested too deeply"}

unreadable = pytest.mark.parametrize("data", [DIGITS, DEEP], ids=["digits", "deep"])


@pytest.fixture
async def works(upgraded_url: str) -> AsyncIterator[Works]:
    async with desk(upgraded_url) as place:
        yield Works(place)


@pytest.fixture
async def api(upgraded_url: str, database: Database) -> AsyncIterator[Api]:
    async with open_api(upgraded_url, database) as api:
        yield api


async def put(place: Desk, data: str) -> None:
    await place.rows(
        """
        INSERT INTO workflow_executions (id, "automationId", "orgId", status, "triggerData",
            "createdAt", "runAt", "updatedAt")
        SELECT 'poison', 'a1', 'o1', 'QUEUED', %(data)s::jsonb, t.now, t.now, t.now
        FROM (SELECT statement_timestamp() AT TIME ZONE 'UTC' AS now) AS t
        """,
        data=data,
    )


@unreadable
async def test_a_run_whose_input_nobody_can_read_fails_at_once_and_alone(
    works: Works, data: str
) -> None:
    await works.automation()
    await put(works.desk, data)
    [good] = await works.desk.ask()

    async with works.working():
        await works.desk.until("poison", "FAILED")
        await works.desk.until(good, "SUCCESS")

    ended = 'SELECT attempt, "errorMessage" FROM workflow_executions WHERE id = %(id)s'
    said = f"its input can't be read: {REASONS[data]}"
    assert [(1, said)] == await works.desk.rows(ended, id="poison")
    assert [f"{good}:1"] == works.posted()
    running = "SELECT running FROM reconciler.automation_runtime"
    assert 0 == await works.desk.value(running)
    counters = 'SELECT "executionCount", "successCount", "failureCount" FROM automations'
    assert [(2, 1, 1)] == await works.desk.rows(counters)


@unreadable
async def test_a_run_that_nobody_can_read_is_taken_over_and_ends(works: Works, data: str) -> None:
    await works.automation()
    await put(works.desk, data)
    await works.desk.executions.claim("dead", 1, lease=0.0)

    async with works.working():
        await works.desk.until("poison", "FAILED")

    assert [] == works.posted()


@unreadable
async def test_what_nobody_can_read_is_shown_as_such_and_not_asked_for_again(
    works: Works, data: str
) -> None:
    await works.automation()
    await put(works.desk, data)
    await works.desk.executions.cancel(None, "poison")

    found = await works.desk.executions.get(None, "poison")

    assert found is not None
    assert f"unreadable: {REASONS[data]}" == found.trigger_data
    with pytest.raises(ConflictError, match="can't be read"):
        await works.desk.executions.retry(None, "poison")


@unreadable
async def test_an_event_that_nobody_can_read_is_shown_as_such(api: Api, data: str) -> None:
    api.tenants.sql(
        "INSERT INTO reconciler.events (organization_id, id, type, data) "
        "VALUES ('acme', 'e1', 'DOCUMENT_UPLOADED', %s)",
        data,
    )

    shown = await api.call(
        await api.token(scopes=(Action.EVENTS_VIEW, Action.EXECUTIONS_DATA)),
        "GET",
        "/api/events/e1",
    )

    assert (200, f"unreadable: {REASONS[data]}") == (shown.status_code, shown.json()["data"])


async def test_a_cause_and_an_entry_that_are_none_of_ours_stop_no_worker(works: Works) -> None:
    await works.automation("a1")
    await works.automation("a2")
    [odd] = await works.desk.ask()
    await works.desk.rows("UPDATE workflow_executions SET cause = 'cron job'")
    [astray] = await works.desk.ask(automation="a2")
    await works.desk.rows(
        'UPDATE automations SET metadata = \'{"reconciler": {"entry": "none"}}\' WHERE id = \'a2\''
    )

    async with works.working():
        await works.desk.until(odd, "SUCCESS")
        await works.desk.until(astray, "FAILED")

    found = await works.desk.executions.get(None, odd)
    assert found is not None
    assert Cause.API is found.summary.cause


@unreadable
async def test_a_column_that_nobody_can_read_says_so_and_spoils_no_other(
    works: Works, data: str
) -> None:
    await works.automation("a1")
    await works.automation("a2")
    await works.desk.rows(f"UPDATE automations SET metadata = '{data}' WHERE id = 'a1'")
    rows = Rows(works.desk.database, new_id=lambda: "new")

    found = await rows.select_rows("automations", ["a1", "a2"])

    said = found["a1"]["metadata"]
    assert isinstance(said, Unreadable)
    assert REASONS[data] == said.reason
    assert ["a1", "a2"] == [found[id_]["name"] for id_ in ("a1", "a2")]
    assert isinstance(found["a2"]["metadata"], dict)


@pytest.mark.parametrize("depth, readable", [(99, True), (101, False), (900, False)])
async def test_what_is_too_deep_to_be_compared_counts_as_unreadable(
    works: Works, depth: int, readable: bool
) -> None:
    await works.automation()
    await works.desk.rows(f"UPDATE automations SET metadata = '{'[' * depth}{']' * depth}'")
    rows = Rows(works.desk.database, new_id=lambda: "new")

    [found] = (await rows.select_rows("automations", ["a1"], ["metadata"])).values()

    assert readable is not isinstance(found["metadata"], Unreadable)
