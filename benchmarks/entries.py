"""Ways to start a run through n8n's webhook, each with quick, slow and failing workflows.

What decision 0013 rests on. A round measures bare calls to the same webhook (until the last run has
ended in n8n) and our runs (until id, version, output or error of each are known), one after the
other, so that what else happens on the machine meets both. Run it by hand against an n8n that may
be littered: ``N8N_URL=... N8N_API_KEY=... python -m benchmarks.entries``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from reconciler.n8n.client import N8n
from reconciler.n8n.entry import StartUnknown
from reconciler.n8n.follow import Follower, Job
from reconciler.n8n.runs import Runs
from reconciler.workflow.entry import ENTRY_HEADER, ENTRY_NAME

WAYS: dict[str, dict[str, Any]] = {
    "onReceived, fixed answer": {"responseMode": "onReceived", "options": {}},
    "onReceived, answer with id": {
        "responseMode": "onReceived",
        "options": {"responseData": "={{ JSON.stringify({executionId: $execution.id}) }}"},
    },
    "lastNode": {"responseMode": "lastNode", "options": {}},
}
ENDS: dict[str, tuple[str, float, dict[str, Any]]] = {
    "quick": ("noOp", 1, {}),
    "slow (1 s)": ("wait", 1.1, {"amount": 1, "unit": "seconds"}),
    "failing": ("stopAndError", 1, {"errorMessage": "no such customer"}),
}
SECRET = "of-the-bench"
PASS = "Items"


@dataclass(frozen=True, slots=True)
class Bench:
    """An n8n to measure, and how much."""

    api: N8n
    runs: Runs
    follower: Follower
    count: int
    at_once: int

    async def measure(self, workflow_id: str, path: str) -> tuple[float, float]:
        """Give runs a second: bare calls, and ours."""

        async def bare(_correlation: str, body: Any) -> None:
            try:
                await self.runs.start(path, SECRET, body, seconds=60)
            except StartUnknown as error:
                if error.answer is None:  # lastNode gives the workflow's answer
                    raise

        async def ours(correlation: str, body: Any) -> None:
            job = Job(
                automation_id=path,
                workflow_id=workflow_id,
                secret=SECRET,
                correlation=correlation,
                body=body,
            )
            run = (await self.follower.run(job)).run
            assert run.correlation == correlation
            assert run.version_id

        return await self._rate(bare, drain=True), await self._rate(ours, drain=False)

    async def _rate(self, one: Callable[[str, Any], Awaitable[None]], *, drain: bool) -> float:
        left = list(range(self.count))

        async def lane() -> None:
            while left:
                number = left.pop()
                correlation = f"{uuid.uuid4()}:1"
                await one(correlation, {"id": correlation, "items": [{"n": number}]})

        begun = time.perf_counter()
        await asyncio.gather(*(lane() for _ in range(self.at_once)))
        while drain and [row async for row in self.runs.listed(status="running", limit=1)]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # n8n tells nobody
        return self.count / (time.perf_counter() - begun)


def body(way: str, end: str, path: str, credential: Any) -> dict[str, Any]:
    """Make a workflow: the entry, the pass-through, the end."""
    kind, version, parameters = ENDS[end]
    more: dict[str, Any] = {"webhookId": str(uuid.uuid4())} if kind == "wait" else {}
    bound = {"httpHeaderAuth": {"id": credential["id"], "name": credential["name"]}}
    hook = {"httpMethod": "POST", "path": path, "authentication": "headerAuth", **WAYS[way]}
    link = {"type": "main", "index": 0}
    return {
        "name": f"bench {way} {end}",
        "nodes": [
            _node(ENTRY_NAME, "webhook", 2.1, hook, webhookId=path, credentials=bound),
            _node(PASS, "splitOut", 1, {"fieldToSplitOut": "body.items", "options": {}}),
            _node("End", kind, version, parameters, **more),
        ],
        "connections": {
            ENTRY_NAME: {"main": [[{"node": PASS, **link}]]},
            PASS: {"main": [[{"node": "End", **link}]]},
        },
        "settings": {},
    }


def _node(name: str, kind: str, version: float, parameters: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": name.replace(" ", "-"),
        "name": name,
        "type": f"n8n-nodes-base.{kind}",
        "typeVersion": version,
        "position": [0, 0],
        "parameters": parameters,
        **more,
    }


async def published(api: N8n, document: dict[str, Any], path: str) -> str:
    """Create and publish a workflow and wait until it answers."""
    made = await api.post("/workflows", document)
    await api.post(f"/workflows/{made['id']}/publish", {})
    while await api.probe(path) == 404:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    return str(made["id"])


async def main(count: int, at_once: int, rounds: int) -> None:
    """Measure all ways and print medians."""
    async with N8n(os.environ["N8N_URL"], os.environ["N8N_API_KEY"]) as api:
        runs = Runs(api)
        follower = Follower(runs)
        data: Any = {"name": ENTRY_HEADER, "value": SECRET}
        made: Any = {"name": str(uuid.uuid4()), "type": "httpHeaderAuth", "data": data}
        credential = await api.post("/credentials", made)
        places = {}
        for way in WAYS:
            for end in ENDS:
                path = f"bench-{uuid.uuid4()}"
                id_ = await published(api, body(way, end, path, credential), path)
                places[way, end] = (id_, path)
        bench = Bench(api, runs, follower, count, at_once)
        rates: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in places}
        for _ in range(rounds):
            for key, (id_, path) in places.items():
                rates[key].append(await bench.measure(id_, path))
        for (way, end), found in rates.items():
            bare, ours = (statistics.median(one) for one in zip(*found, strict=True))
            ratio = statistics.median(b / a for a, b in found)
            print(f"| {way} | {end} | {bare:.0f} | {ours:.0f} | {ratio:.2f} |")
        await follower.aclose()
        await runs.aclose()
        for id_, _ in places.values():
            await api.post(f"/workflows/{id_}/archive")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    asyncio.run(main(asked.count, asked.at_once, asked.rounds))
