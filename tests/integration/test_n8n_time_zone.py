"""A real n8n whose database has a time zone of its own: times in questions mean something else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconciler.embedded.postgres import EmbeddedPostgres
from reconciler.embedded.stack import start_n8n
from reconciler.n8n.client import N8n
from reconciler.n8n.follow import Follower, Job
from reconciler.n8n.outcome import RunState
from reconciler.n8n.runs import Runs
from reconciler.workflow.entry import ENTRY_HEADER, ENTRY_NAME

pytestmark = [pytest.mark.n8n, pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
async def western(tmp_path: Path) -> AsyncIterator[N8n]:
    """An n8n whose database is five hours behind UTC."""
    with EmbeddedPostgres(tmp_path, durable=False) as postgres:
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET timezone = 'America/New_York'")
            connection.execute("SELECT pg_reload_conf()")
        server, key = await asyncio.to_thread(start_n8n, tmp_path, postgres.url())
        try:
            async with N8n(server.url, key) as api:
                yield api
        finally:
            await asyncio.to_thread(server.stop)


async def _workflow(api: N8n) -> str:
    secret: Any = {"name": ENTRY_HEADER, "value": "hush"}
    credential = await api.post(
        "/credentials", {"name": "entry", "type": "httpHeaderAuth", "data": secret}
    )
    entry: Any = {
        "id": "e",
        "name": ENTRY_NAME,
        "type": "n8n-nodes-base.webhook",
        "typeVersion": 2.1,
        "position": [0, 0],
        "parameters": {"httpMethod": "POST", "path": "a1", "authentication": "headerAuth"},
        "credentials": {"httpHeaderAuth": {"id": credential["id"], "name": "entry"}},
    }
    body: Any = {"name": "w", "nodes": [entry], "connections": {}, "settings": {}}
    made = await api.post("/workflows", body)
    await api.post(f"/workflows/{made['id']}/publish", {})
    async with asyncio.timeout(30):
        while await api.probe("a1") == 404:  # noqa: ASYNC110  # n8n tells nobody
            await asyncio.sleep(0.1)
    return str(made["id"])


async def test_runs_are_followed_and_found_whatever_zone_n8ns_database_has(western: N8n) -> None:
    workflow = await _workflow(western)
    runs = Runs(western)
    follower = Follower(runs)
    since = datetime.now(UTC) - timedelta(seconds=5)
    try:
        for number in range(3):
            correlation = f"x{number}:1"
            job = Job(
                automation_id="a1",
                workflow_id=workflow,
                secret="hush",
                correlation=correlation,
                body={"id": correlation, "items": []},
            )
            run = (await follower.run(job)).run
            assert run.state is RunState.SUCCESS
        assert await runs.bounds_hold() is False
        found = await runs.find(workflow, "x0:1", since)
        assert found is not None
        adopted = await follower.adopt(
            workflow_id=workflow, correlation="x1:1", execution_id=None, since=since
        )
        assert adopted is not None
        assert await runs.find(workflow, "z:1", since) is None
        assert len([row async for row in runs.since(since)]) == 3
    finally:
        await follower.aclose()
        await runs.aclose()
