"""The targets of the conformance suite: the fake and a real n8n, through the same client.

What these tests say is what the rest relies on. To try another n8n, set
``CONFORMANCE_N8N_URL`` and ``CONFORMANCE_N8N_API_KEY``.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from reconciler.errors import N8nConflict, N8nNotFound
from reconciler.n8n.client import N8n
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fake_n8n_http import serve

WEBHOOK = "n8n-nodes-base.webhook"


@dataclass(frozen=True, slots=True)
class Target:
    """An n8n under test."""

    url: str
    api_key: str = field(repr=False)
    real: bool
    fake: FakeN8n | None = None


@dataclass(slots=True)
class Bench:
    """A client on a target, which cleans up what a test leaves there."""

    target: Target
    api: N8n
    made: list[str] = field(default_factory=list)

    async def raw(
        self, method: str, path: str, *, key: str | None = None, **request: Any
    ) -> httpx.Response:
        """Send a request as it is, without the client's care."""
        headers = {"X-N8N-API-KEY": key or self.target.api_key} if path.startswith("/api") else {}
        headers |= request.pop("headers", {})
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            return await client.request(
                method, f"{self.target.url}{path}", headers=headers, **request
            )

    async def create(self, body: dict[str, Any]) -> Any:
        """Create a workflow that is deleted after the test."""
        made = await self.api.post("/workflows", body)
        self.made.append(str(made["id"]))
        return made

    async def published(self, body: dict[str, Any]) -> Any:
        """Create and publish a workflow and wait until it answers."""
        made = await self.create(body)
        shown = await self.api.post(f"/workflows/{made['id']}/publish", {})
        path = next(n["parameters"]["path"] for n in body["nodes"] if n["type"] == WEBHOOK)
        assert await self.until_answered(path) != 404
        return shown

    async def until_answered(self, path: str) -> int:
        """Probe a webhook until it is there."""
        return await self.until(path, lambda status: status != 404)

    async def until_gone(self, path: str) -> int:
        """Probe a webhook until it is not there."""
        return await self.until(path, lambda status: status == 404)

    async def until(self, path: str, wanted: Any) -> int:
        status = 0
        for _ in range(600):
            status = await self.api.probe(path)
            if wanted(status):
                break
            await asyncio.sleep(0.05)
        return status

    async def clean_up(self) -> None:
        """Delete what was made, some at a time."""
        gate = asyncio.Semaphore(8)

        async def remove(id_: str) -> None:
            async with gate:
                await self.remove(id_)

        await asyncio.gather(*(remove(id_) for id_ in self.made))

    async def remove(self, id_: str) -> None:
        """Delete a workflow, unpublishing it first where needed, however long that takes."""
        for _ in range(600):
            try:
                await self.api.delete(f"/workflows/{id_}")
            except N8nNotFound:
                return
            except N8nConflict:
                await self.api.post(f"/workflows/{id_}/unpublish", idempotent=True)
                await asyncio.sleep(0.05)
            else:
                return


@pytest.fixture(
    params=["fake", pytest.param("real", marks=[pytest.mark.n8n, pytest.mark.xdist_group("n8n")])]
)
def n8n_target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """The fake (publishing takes it a few calls), then a real n8n."""
    if request.param == "fake":
        fake = FakeN8n(lag=3)
        with serve(fake) as url:
            yield Target(url, fake.api_key, real=False, fake=fake)
    elif address := os.environ.get("CONFORMANCE_N8N_URL"):
        yield Target(address, os.environ["CONFORMANCE_N8N_API_KEY"], real=True)
    else:
        n8n = request.getfixturevalue("real_n8n")
        yield Target(n8n.url, n8n.api_key, real=True)


@pytest.fixture
async def n8n(n8n_target: Target) -> AsyncIterator[Bench]:
    """A client on the target."""
    async with N8n(n8n_target.url, n8n_target.api_key) as api:
        bench = Bench(n8n_target, api)
        yield bench
        await bench.clean_up()


@pytest.fixture
def path() -> str:
    """A webhook path that nobody else has."""
    return f"conformance-{uuid.uuid4()}"
