"""Retention removes what is old or too much, and nothing that still has to end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from reconciler.app.roles import sweeps
from reconciler.runtime import retention
from reconciler.runtime.retention import RetentionService
from reconciler.settings import Settings
from reconciler.store.database import Database
from reconciler.store.figures import Figures

pytestmark = pytest.mark.postgres

HISTORY = """
INSERT INTO workflow_executions (id, "automationId", "orgId", status, cause, "triggerData",
    "createdAt", "runAt", "completedAt", "updatedAt")
SELECT format('%s-%s-%s', automation, status, number), automation, 'o', status::"ExecutionStatus",
    'webhook', '{}', made, made, CASE WHEN status IN ('QUEUED', 'RUNNING') THEN NULL ELSE made END,
    made
FROM unnest(ARRAY['a', 'b']) AS automation,
    unnest(ARRAY['QUEUED', 'RUNNING', 'SUCCESS', 'FAILED', 'TIMEOUT', 'CANCELLED'])
        WITH ORDINALITY AS states (status, place),
    generate_series(0, 19) AS number,
    LATERAL (SELECT (statement_timestamp() AT TIME ZONE 'UTC') - number * interval '1 day'
        - place * interval '1 minute' AS made) AS t
"""


@pytest.fixture
def history(upgraded_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(upgraded_url, autocommit=True) as connection:
        write_history(connection)
        yield connection


def write_history(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    connection.execute(
        "INSERT INTO organization (id, name, \"updatedAt\") VALUES ('o', 'o', now())"
    )
    connection.execute(
        "INSERT INTO users (id, email, \"updatedAt\") VALUES ('u', 'u@example.com', now())"
    )
    for automation in "ab":
        connection.execute(
            'INSERT INTO automations (id, name, "orgId", "createdById", "updatedAt", "triggerType", '
            "\"triggerConfig\") VALUES (%(id)s, %(id)s, 'o', 'u', now(), 'WEBHOOK', '{}')",
            {"id": automation},
        )
    connection.execute(HISTORY)
    connection.execute(
        "INSERT INTO reconciler.webhook_deliveries (organization_id, automation_id, accepted, "
        "reason, received_at) SELECT 'o', 'a', true, 'new', clock_timestamp() - n * interval "
        "'1 day' FROM generate_series(19, 0, -1) AS n"
    )
    connection.execute(
        "INSERT INTO reconciler.events (organization_id, type, dispatched_at) SELECT 'o', 'x', "
        "CASE WHEN n < 10 THEN clock_timestamp() - n * interval '1 day' END "
        "FROM generate_series(0, 19) AS n"
    )


def count(connection: psycopg.Connection[tuple[object, ...]], table: str, where: str) -> object:
    row = connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()
    return row and row[0]


async def sweep(url: str, *, days: int, per_automation: int) -> dict[str, int]:
    settings = Settings(retention_days=days, retention_per_automation=per_automation)
    async with Database(url) as database:
        service = RetentionService(sweeps(settings, database), pause=0)
        return await service.sweep(asyncio.Event())


async def test_only_what_ended_long_ago_is_removed(
    upgraded_url: str, history: psycopg.Connection[tuple[object, ...]]
) -> None:
    removed = await sweep(upgraded_url, days=5, per_automation=0)

    ended = "status NOT IN ('QUEUED', 'RUNNING')"
    assert removed == {"workflow_executions": 2 * 4 * 15, "webhook_deliveries": 15, "events": 5}
    assert count(history, "workflow_executions", f"NOT ({ended})") == 2 * 2 * 20
    assert count(history, "workflow_executions", ended) == 2 * 4 * 5
    assert count(history, "reconciler.events", "dispatched_at IS NULL") == 10


async def test_many_are_removed_in_several_calls(
    upgraded_url: str,
    history: psycopg.Connection[tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "MOST", 7)

    removed = await sweep(upgraded_url, days=5, per_automation=0)

    assert removed == {"workflow_executions": 2 * 4 * 15, "webhook_deliveries": 15, "events": 5}


async def test_the_newest_of_each_automation_stay(
    upgraded_url: str, history: psycopg.Connection[tuple[object, ...]]
) -> None:
    removed = await sweep(upgraded_url, days=0, per_automation=30)

    assert removed == {"workflow_executions": 2 * (4 * 20 - 30)}
    assert count(history, "workflow_executions", "status IN ('QUEUED', 'RUNNING')") == 2 * 2 * 20


async def test_keeping_everything_removes_nothing(
    upgraded_url: str, history: psycopg.Connection[tuple[object, ...]]
) -> None:
    assert await sweep(upgraded_url, days=0, per_automation=0) == {}


async def test_two_sweeps_at_once_leave_what_one_leaves(
    upgraded_url: str, history: psycopg.Connection[tuple[object, ...]]
) -> None:
    both = [sweep(upgraded_url, days=5, per_automation=10) for _ in range(2)]
    found = await asyncio.gather(*both)
    again = await sweep(upgraded_url, days=5, per_automation=10)

    assert sum(one.get("workflow_executions", 0) for one in found) == 2 * (4 * 20 - 10)
    assert again == {}
    assert count(history, "workflow_executions", "status IN ('QUEUED', 'RUNNING')") == 2 * 2 * 20


async def test_the_figures_count_what_waits(
    upgraded_url: str, history: psycopg.Connection[tuple[object, ...]]
) -> None:
    async with Database(upgraded_url) as database:
        figures = await Figures(database).read()

    assert figures.queued == {"webhook": 40}
    assert 18.9 * 86400 < figures.lag < 19.1 * 86400
    assert figures.breakers == {}
