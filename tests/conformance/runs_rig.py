"""Workflows that end in all kinds of ways, behind a managed entry, and what follows their runs."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from reconciler.n8n.follow import Follower, Job
from reconciler.n8n.runs import Runs
from reconciler.n8n.sight import Pace
from reconciler.workflow.entry import ENTRY_NAME
from tests.conformance.conftest import Bench
from tests.conformance.samples import node
from tests.doubles.fake_n8n_executions import NEVER, Outcome

SECRET = "of-the-entry"
AN_HOUR = timedelta(hours=1)
PASS = "Schedule Trigger"
ENDS: dict[str, tuple[Any, Outcome]] = {
    "quick": (node("Done", "noOp"), Outcome()),
    "deep": (
        node(
            "Done",
            "set",
            {"mode": "raw", "jsonOutput": '{"x": ' + "[" * 1500 + "]" * 1500 + "}", "options": {}},
            typeVersion=3.4,
        ),
        Outcome(output=[{"x": json.loads("[" * 300 + "]" * 300)}]),  # its own writer goes no deeper
    ),
    "slow": (
        node("Done", "wait", {"amount": 1, "unit": "seconds"}, typeVersion=1.1, webhookId="w1"),
        Outcome(seconds=1.0),
    ),
    "failing": (
        node("Done", "stopAndError", {"errorMessage": "no such customer"}),
        Outcome(error="no such customer"),
    ),
    "waiting": (
        node("Done", "wait", {"resume": "webhook"}, typeVersion=1.1, webhookId="w2"),
        Outcome(seconds=NEVER, waits=True),
    ),
    "answering": (
        node(
            "Done",
            "respondToWebhook",
            {"respondWith": "text", "responseBody": "made", "options": {"responseCode": 201}},
            typeVersion=1.1,
        ),
        Outcome(respond=(201, {"content-type": "text/html; charset=utf-8"}, b"made")),
    ),
}
OWN_WORDS: dict[int, str] = {  # n8n's, when it starts nothing
    403: "Authorization data is wrong!",
    404: '{"code": 404, "message": "The requested webhook \\"POST a\\" is not registered."}',
    413: '{"message": "request entity too large"}',
    422: '{"code": 422, "message": "Failed to parse request body"}',
    500: "No authentication data defined on node!",
    503: "n8n is starting up. Please wait",
}


def imitating(status: int) -> tuple[Any, Outcome]:
    """Make a node that says what n8n says, and tries to look like it."""
    policy = {"name": "Content-Security-Policy", "value": "default-src *"}
    options = {"responseCode": status, "responseHeaders": {"entries": [policy]}}
    words = {"respondWith": "text", "responseBody": OWN_WORDS[status], "options": options}
    last = node("Done", "respondToWebhook", words, typeVersion=1.1)
    return last, Outcome(respond=(status, {}, OWN_WORDS[status].encode()))


ENDS |= {f"imitating {status}": imitating(status) for status in OWN_WORDS}


@dataclass(frozen=True, slots=True)
class Flow:
    """A published workflow with a managed entry."""

    id: str
    path: str
    version_id: str

    def job(self, correlation: str, *items: Any, secret: str = SECRET) -> Job:
        return Job(
            automation_id=self.path,
            workflow_id=self.id,
            secret=secret,
            correlation=correlation,
            body={"id": correlation, "items": list(items) or [{"n": 1}]},
            seconds=20,
        )


@dataclass(frozen=True, slots=True)
class Place:
    """What a test of runs needs."""

    bench: Bench
    runs: Runs
    follower: Follower
    credential: Any

    async def flow(self, kind: str, **settings: Any) -> Flow:
        """Publish a workflow whose runs end as *kind* says."""
        last, outcome = ENDS[kind]
        path = f"runs-{uuid.uuid4()}"
        parameters: dict[str, Any] = {
            "httpMethod": "POST",
            "path": path,
            "authentication": "headerAuth",
            "responseMode": "onReceived" if outcome.respond is None else "responseNode",
            "options": {},
        }
        bound = {"httpHeaderAuth": {"id": self.credential["id"], "name": self.credential["name"]}}
        entry = node(ENTRY_NAME, "webhook", parameters, typeVersion=2.1, credentials=bound)
        through = node(PASS, "splitOut", {"fieldToSplitOut": "body.items", "options": {}})
        link = {"type": "main", "index": 0}
        shown = await self.bench.published(
            {
                "name": f"runs {kind}",
                "nodes": [{**entry, "webhookId": path}, through, last],
                "connections": {
                    ENTRY_NAME: {"main": [[{"node": PASS, **link}]]},
                    PASS: {"main": [[{"node": "Done", **link}]]},
                },
                "settings": settings,
            }
        )
        fake = self.bench.target.fake
        if fake is not None:
            fake.always(str(shown["id"]), outcome)
        return Flow(str(shown["id"]), path, str(shown["activeVersionId"]))


@asynccontextmanager
async def following(n8n: Bench) -> AsyncIterator[tuple[Runs, Follower]]:
    """Follow runs as one more process would."""
    runs = Runs(n8n.api)
    follower = Follower(runs, Pace(unseen=2.0))
    try:
        yield runs, follower
    finally:
        await follower.aclose()
        await runs.aclose()


def name() -> str:
    """Make a correlation id that nobody has."""
    return f"{uuid.uuid4()}:1"
