"""What is nested deeper than anybody reads: shown whole or in part, in no case an error of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from reconciler.store.database import Database
from tests.integration.api_rig import Api, open_api

DEPTHS = [200, 320, 600, 800]


@pytest.fixture
async def api(upgraded_url: str, database: Database) -> AsyncIterator[Api]:
    """The API over a fresh database."""
    async with open_api(upgraded_url, database) as api:
        yield api


def nested(depth: int) -> str:
    return '{"a":' + "[" * depth + "]" * depth + "}"


def levels(value: Any) -> int:
    found = 0
    while isinstance(value, list):
        found, value = found + 1, value[0] if value else None
    return found


@pytest.mark.parametrize("depth", DEPTHS)
async def test_an_execution_with_a_deep_output_is_shown(api: Api, depth: int) -> None:
    token = await api.token()
    id_ = (await api.run(token)).json()["executionId"]
    done = "UPDATE workflow_executions SET status = 'SUCCESS', \"outputData\" = %s"
    api.tenants.sql(done, nested(depth))

    shown = await api.call(token, "GET", f"/api/executions/{id_}")

    assert (200, depth) == (shown.status_code, levels(shown.json()["output"]["a"]))


@pytest.mark.parametrize("depth", DEPTHS)
async def test_an_event_with_deep_data_is_shown(api: Api, depth: int) -> None:
    token = await api.token()
    insert = (
        "INSERT INTO reconciler.events (organization_id, id, type, data) VALUES (%s, %s, %s, %s)"
    )
    api.tenants.sql(insert, "acme", "deep", "DOCUMENT_UPLOADED", nested(depth))

    shown = await api.call(token, "GET", "/api/events/deep")

    assert (200, depth) == (shown.status_code, levels(shown.json()["data"]["a"]))
