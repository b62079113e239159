"""A real n8n starts runs by itself, beside ours; each is recorded once, ours not again."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from reconciler.app import new_id
from reconciler.n8n.client import N8n
from reconciler.n8n.follow import Follower, Job
from reconciler.n8n.runs import Runs
from reconciler.runtime.collector import Collector, Rhythm
from reconciler.store.native import NativeRuns
from reconciler.trigger.execution import Cause, NewExecution
from reconciler.workflow.entry import ENTRY_HEADER, ENTRY_NAME
from tests.servers import RealN8n
from tests.worker_rig import desk

pytestmark = [pytest.mark.n8n, pytest.mark.xdist_group("n8n")]
CLOCK = "n8n-nodes-base.scheduleTrigger"


def node(name: str, kind: str, version: float, parameters: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "type": f"n8n-nodes-base.{kind}",
        "typeVersion": version,
        "position": [0, 0],
        "parameters": parameters,
        **more,
    }


@asynccontextmanager
async def ticking(api: N8n, path: str) -> AsyncIterator[str]:
    """Publish a workflow that n8n runs each second, and that has a managed entry as well."""
    data: Any = {"name": ENTRY_HEADER, "value": "hush"}
    made: Any = {"name": path, "type": "httpHeaderAuth", "data": data}
    credential = await api.post("/credentials", made)
    hook = {"httpMethod": "POST", "path": path, "authentication": "headerAuth"}
    bound = {"httpHeaderAuth": {"id": credential["id"], "name": path}}
    edge = {"main": [[{"node": "Done", "type": "main", "index": 0}]]}
    body: Any = {
        "name": path,
        "nodes": [
            node("Clock", "scheduleTrigger", 1.2, {"rule": {"interval": [{"field": "seconds", "secondsInterval": 1}]}}),
            node(ENTRY_NAME, "webhook", 2.1, hook, webhookId=path, credentials=bound),
            node("Done", "noOp", 1, {}),
        ],
        "connections": {"Clock": edge, ENTRY_NAME: edge},
        "settings": {},
    }  # fmt: skip
    workflow = str((await api.post("/workflows", body))["id"])
    await api.post(f"/workflows/{workflow}/publish", {})
    async with asyncio.timeout(60):
        while await api.probe(path) == 404:  # noqa: ASYNC110  # n8n tells nobody
            await asyncio.sleep(0.05)
    try:
        yield workflow
    finally:
        await api.post(f"/workflows/{workflow}/archive")
        await api.delete(f"/credentials/{credential['id']}")


async def test_the_history_is_complete(upgraded_url: str, real_n8n: RealN8n) -> None:
    path = f"clock-{uuid.uuid4()}"
    async with desk(upgraded_url) as rows, N8n(real_n8n.url, real_n8n.api_key) as api:
        runs = Runs(api)
        follower = Follower(runs)
        async with ticking(api, path) as workflow:
            await rows.automation("a1", workflow=workflow)
            await rows.rows("UPDATE automations SET \"createdAt\" = now() - interval '1 hour'")
            payload = json.dumps({"n8n": {"nodes": {"Clock": {"type": CLOCK}}}})
            await rows.rows(
                """
                INSERT INTO reconciler.resources (organization, kind, name, row_id, payload)
                VALUES ('acme', 'Automation', 'a1', 'a1', %(payload)s::json)
                """,
                payload=payload,
            )
            collector = Collector(
                runs,
                NativeRuns(rows.database, new_id=new_id),
                holder="d1",
                starts=lambda type_: type_ == CLOCK,
                rhythm=Rhythm(every=0.3, lag=0.5),
            )
            stopping = asyncio.Event()
            task = asyncio.create_task(collector.run(stopping))
            ours = set()
            for number in range(5):
                new = NewExecution(automation_id="a1", cause=Cause.API, trigger_data={"n": number})
                [accepted] = await rows.executions.insert([new])
                correlation = f"{accepted.id}:1"
                finished = await follower.run(
                    Job(
                        automation_id=path,
                        workflow_id=workflow,
                        secret="hush",
                        correlation=correlation,
                        body={"id": correlation},
                    )
                )
                ours.add(finished.run.id)
                await asyncio.sleep(0.5)
        await asyncio.sleep(2)
        stopping.set()
        await task
        in_n8n = {str(row["id"]) async for row in runs.listed(workflowId=workflow)}
        recorded = await rows.rows(
            """
            SELECT "n8nExecutionId", status::text, "triggerData", "n8nVersionId", metadata
            FROM workflow_executions WHERE cause = 'native'
            """
        )
        assert len(recorded) >= 2
        assert {row[0] for row in recorded} == in_n8n - ours
        assert len(recorded) == len(in_n8n - ours)
        assert {row[1] for row in recorded} == {"SUCCESS"}
        assert all("timestamp" in row[2] for row in recorded)
        assert all(row[3] for row in recorded)
        assert {json.dumps(row[4]) for row in recorded} == {
            json.dumps({"n8n": {"mode": "trigger", "node": "Clock"}})
        }
        counted = await rows.value('SELECT "executionCount" FROM automations')
        assert counted == len(recorded)
        await follower.aclose()
        await runs.aclose()
