"""How n8n answers what it doesn't like, and what it tells about itself."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from reconciler.errors import N8nForbidden, N8nInvalid, N8nUnauthorized
from reconciler.n8n import instance
from reconciler.n8n.client import N8n
from tests.conformance.conftest import Bench
from tests.conformance.samples import workflow


async def test_a_wrong_key_is_refused(n8n: Bench) -> None:
    async with N8n(n8n.target.url, "wrong") as stranger:
        with pytest.raises(N8nUnauthorized, match="refuses the API key"):
            await stranger.get("/workflows")


async def test_a_missing_key_is_refused(n8n: Bench) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{n8n.target.url}/api/v1/workflows")
    assert (401, {"message": "Unauthorized"}) == (answer.status_code, answer.json())


async def test_a_broken_body_is_answered_with_500_and_a_page(n8n: Bench) -> None:
    headers = {"content-type": "application/json"}
    answer = await n8n.raw("POST", "/api/v1/workflows", headers=headers, content=b'{"name": ')
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("text/html")
    assert "<pre>" in answer.text


async def test_a_body_must_say_that_it_is_json(n8n: Bench) -> None:
    headers = {"content-type": "text/plain"}
    answer = await n8n.raw("POST", "/api/v1/workflows", headers=headers, content=b"{}")
    assert 415 == answer.status_code


async def test_a_list_is_no_workflow(n8n: Bench) -> None:
    answer = await n8n.raw("POST", "/api/v1/workflows", json=[1])
    expected: Any = {"message": "request/body Expected object, received array"}
    assert (400, expected) == (answer.status_code, answer.json())


async def test_nothing_runs_a_workflow(n8n: Bench) -> None:
    made = await n8n.create(workflow("a"))
    with pytest.raises(N8nInvalid) as caught:
        await n8n.api.post(f"/workflows/{made['id']}/execute")
    assert 405 == caught.value.status


async def test_an_unknown_route_is_told_from_an_unknown_object(n8n: Bench) -> None:
    with pytest.raises(N8nInvalid, match="does not know GET /nothing"):
        await n8n.api.get("/nothing")


async def test_variables_need_a_licence(n8n: Bench) -> None:
    with pytest.raises(N8nForbidden, match="Your license does not allow for feat:variables"):
        await n8n.api.get("/variables")


async def test_a_start_page_is_answered_to_paths_of_nobody(n8n: Bench) -> None:
    answer = await n8n.raw("GET", "/no/such/page")
    assert 200 == answer.status_code
    assert answer.headers["content-type"].startswith("text/html")


async def test_a_webhook_that_is_not_there(n8n: Bench, path: str) -> None:
    answer = await n8n.raw("POST", f"/webhook/{path}")
    assert 404 == answer.status_code
    assert "is not registered" in answer.json()["message"]


async def test_a_webhook_answers_to_its_method_only(n8n: Bench, path: str) -> None:
    await n8n.published(workflow(path))
    assert 404 == (await n8n.raw("GET", f"/webhook/{path}")).status_code
    answer = await n8n.raw("POST", f"/webhook/{path}", json={"id": "1", "items": []})
    assert (200, {"message": "Workflow was started"}) == (answer.status_code, answer.json())


async def test_a_run_names_the_version_that_ran(n8n: Bench, path: str) -> None:
    made = await n8n.published(workflow(path))
    await n8n.raw("POST", f"/webhook/{path}", json={"id": "1"})
    runs = [run async for run in n8n.api.pages("/executions", workflowId=str(made["id"]))]
    assert runs
    assert {made["id"]} == {run["workflowId"] for run in runs}
    one = await n8n.api.get(f"/executions/{runs[0]['id']}")
    assert made["activeVersionId"] == one["workflowVersionId"]


async def test_the_instance_tells_its_version_and_readiness(n8n: Bench) -> None:
    facts = await instance.facts(n8n.api)
    assert facts.version is not None
    assert facts.version.split(".")[0] == "2"
    assert (True, False) == (facts.ready, facts.licensed)
    assert facts.scopes is not None
    assert "workflow:create" in facts.scopes
    assert facts.excluded_nodes is not None
    assert "n8n-nodes-base.executeCommand" in facts.excluded_nodes
    assert facts.community_nodes == frozenset()


async def test_node_types_are_not_shown_to_an_api_key(n8n: Bench) -> None:
    headers = {"X-N8N-API-KEY": n8n.target.api_key}
    answer = await n8n.raw("GET", "/types/nodes.json", headers=headers)
    assert 401 == answer.status_code
