"""The least that any tool must do: bare httpx and psycopg, nothing compared, nothing recorded.

Uncompressed answers, as ours: n8n packs slower than the loopback carries.
"""

from __future__ import annotations

import asyncio
import copy
import json
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import psycopg

Item = TypeVar("Item")
Body = dict[str, Any]
WRITABLE = ("name", "nodes", "connections", "settings")
CONCURRENCY = 8
_SERVED = {200, 403}


class Floor:
    """A bare client of n8n's public API."""

    def __init__(self, url: str, api_key: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"X-N8N-API-KEY": api_key, "Accept-Encoding": "identity"},
            timeout=120,
            verify=False,  # noqa: S501 - plain HTTP on the loopback; certificates take time to load
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        """Use it as a context manager."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def listing(self, path: str = "/workflows") -> list[Body]:
        """Read all pages, one after another."""
        rows: list[Body] = []
        cursor: str | None = None
        while True:
            query = {"limit": "250"} if cursor is None else {"limit": "250", "cursor": cursor}
            page = json.loads((await self._get(f"/api/v1{path}", query)).content)
            rows += page["data"]
            cursor = page.get("nextCursor")
            if cursor is None:
                return rows

    async def create_and_publish(self, body: Body) -> Body:
        """Send one workflow and publish it."""
        made = await self._send("POST", "/workflows", body)
        return await self._send("POST", f"/workflows/{made['id']}/publish", {})

    async def update(self, id_: str, body: Body) -> Body:
        """Replace a workflow; n8n publishes the new version of a published one by itself."""
        return await self._send("PUT", f"/workflows/{id_}", body)

    async def until_served(self, path: str) -> None:
        """Ask the webhook until it is registered: 403 without its header."""
        while True:
            answer = await self._client.post(f"/webhook/{path}")
            if answer.status_code in _SERVED:
                return
            await asyncio.sleep(0.1)

    async def delete(self, id_: str) -> None:
        """Archive a workflow, and delete it as soon as n8n lets go of it."""
        await self._client.post(f"/api/v1/workflows/{id_}/archive")
        for _ in range(600):
            if (await self._client.delete(f"/api/v1/workflows/{id_}")).status_code != 409:
                return
            await asyncio.sleep(0.1)

    async def _get(self, path: str, query: dict[str, str]) -> httpx.Response:
        return (await self._client.get(path, params=query)).raise_for_status()

    async def _send(self, method: str, path: str, body: Body) -> Body:
        answer = await self._client.request(method, f"/api/v1{path}", json=body)
        made: Body = answer.raise_for_status().json()
        return made


async def side_by_side(
    items: Iterable[Item], work: Callable[[Item], Awaitable[object]], at_once: int = CONCURRENCY
) -> None:
    """Do *work* for all *items*, some at the same time."""
    slots = asyncio.Semaphore(at_once)

    async def one(item: Item) -> None:
        async with slots:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for item in items:
            group.create_task(one(item))


def select_rows(database_url: str, count: int) -> None:
    """Read *count* rows of the seed's table in one SELECT."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT * FROM automations ORDER BY id LIMIT %s", (count,)
        ).fetchall()
    assert len(rows) == count


def bodies(workflows: Sequence[Body]) -> list[Body]:
    """Take what we sent to n8n from its listing."""
    return [{key: w[key] for key in (*WRITABLE, "staticData")} for w in workflows if entry(w)]


def fresh(body: Body, name: str | None = None) -> Body:
    """Copy a workflow so that n8n takes it for another one: its entry gets a new path."""
    copied: Body = copy.deepcopy(body)
    copied["name"] = name or copied["name"]
    for node in copied["nodes"]:
        node["id"] = str(uuid.uuid4())
        if "webhookId" in node:
            node["webhookId"] = str(uuid.uuid4())
        if node["type"] == "n8n-nodes-base.webhook":
            node["parameters"]["path"] = uuid.uuid4().hex
    return copied


def entry(workflow: Body) -> str | None:
    """Find the path of the webhook in a workflow."""
    hooks = (n for n in workflow["nodes"] if n["type"] == "n8n-nodes-base.webhook")
    return next((str(node["parameters"]["path"]) for node in hooks), None)
