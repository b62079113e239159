"""Listings longer than a page, also while rows are deleted."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from typing import Any

import pytest

from tests.conformance.conftest import Bench
from tests.conformance.samples import node

COUNT = 260
AT_ONCE = 8


async def many(n8n: Bench, name: str, count: int) -> list[str]:
    body: Any = {
        "name": name,
        "nodes": [node("Alone", "noOp")],
        "connections": {},
        "settings": {},
    }
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> str:
        async with gate:
            return str((await n8n.create(body))["id"])

    return await asyncio.gather(*(one() for _ in range(count)))


@pytest.mark.slow
async def test_more_than_a_page_is_listed_once_each(n8n: Bench) -> None:
    name = str(uuid.uuid4())
    made = await many(n8n, name, COUNT)
    first: Any = await n8n.api.get("/workflows", name=name)
    assert len(first["data"]) == 100
    full: Any = await n8n.api.get("/workflows", name=name, limit=1000)
    assert len(full["data"]) == 250
    cursor = json.loads(base64.b64decode(full["nextCursor"]))
    assert cursor == {"limit": 250, "offset": 250}
    found = [str(row["id"]) async for row in n8n.api.pages("/workflows", name=name)]
    assert sorted(made) == sorted(found)
    await the_rest_is_found_when_rows_go_away(n8n, name, made)


async def the_rest_is_found_when_rows_go_away(n8n: Bench, name: str, made: list[str]) -> None:
    """Delete five rows of the first page after it was read: the rows behind it move up."""
    listing = n8n.api.pages("/workflows", name=name)
    found = [str((await anext(listing))["id"])]
    gone = found + [str((await anext(listing))["id"]) for _ in range(4)]
    for id_ in gone:
        await n8n.api.delete(f"/workflows/{id_}")
    found = gone + [str(row["id"]) async for row in listing]
    assert sorted(made) == sorted(found)
    assert len(found) == len(set(found))


async def test_a_page_can_be_asked_for_by_offset(n8n: Bench) -> None:
    name = str(uuid.uuid4())
    made = await many(n8n, name, 5)
    crafted = base64.b64encode(json.dumps({"limit": 2, "offset": 3}).encode()).decode()
    page: Any = await n8n.api.get("/workflows", name=name, cursor=crafted)
    found = [row["id"] for row in page["data"]]
    everything = [str(r["id"]) async for r in n8n.api.pages("/workflows", name=name)]
    assert everything[3:5] == found
    assert sorted(made) == sorted(everything)
    assert page["nextCursor"] is None


async def test_a_page_beyond_the_end_is_empty(n8n: Bench) -> None:
    crafted = base64.b64encode(json.dumps({"limit": 250, "offset": 10**6}).encode()).decode()
    page = await n8n.api.get("/workflows", cursor=crafted)
    assert page == {"data": [], "nextCursor": None}


async def test_nobody_has_a_nonsense_cursor(n8n: Bench) -> None:
    answer = await n8n.raw("GET", "/api/v1/workflows", params={"cursor": "zzz"})
    assert (400, {"message": "An invalid cursor was provided"}) == (
        answer.status_code,
        answer.json(),
    )
