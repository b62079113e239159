"""All of HTTP, fuzzed by schemathesis from its own description: no answer is ever a 5xx.

With a token, without one, and for webhooks, which the description does not have.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.access import Role
from reconciler.app import new_id
from reconciler.store.database import Database
from reconciler.web.api import api_router
from reconciler.web.app import make_app
from reconciler.web.health import Health, health_router
from reconciler.web.push import push_router
from reconciler.web.server import HttpServer
from reconciler.web.webhooks import PREFIX
from tests.hooks_rig import hook, parts
from tests.integration.api_rig import Api, open_api

EXAMPLES = 20  # for each operation; nightly runs may take more
CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance"
BODIES = {
    "application/json": {"schema": {}},
    "text/plain": {"schema": {"type": "string"}},
    "application/x-www-form-urlencoded": {"schema": {"type": "object"}},
    "multipart/form-data": {"schema": {"type": "object"}},
}
OPTIONS = [
    {
        "name": "wait",
        "in": "query",
        "schema": {"enum": ["1ms", "0s", "x", "-1s", "9999999d" * 120]},
    },
    {"name": "webhook-id", "in": "header", "schema": {"type": "string"}},
]


def webhook_paths() -> dict[str, Any]:
    """Describe an open webhook, and all others."""
    names = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in ("automation", "trigger")
    ]
    paths = {"acme-greet/open": OPTIONS, "{automation}/{trigger}": [*OPTIONS, *names]}
    return {
        PREFIX + path: {
            method: {
                "parameters": parameters,
                **({} if method == "get" else {"requestBody": {"content": BODIES}}),
                "responses": {"default": {"description": "any"}},
            }
            for method in ("get", "post", "put", "delete")
        }
        for path, parameters in paths.items()
    }


WEBHOOKS = {
    "openapi": "3.1.0",
    "info": {"title": "webhooks", "version": "1"},
    "paths": webhook_paths(),
}


def with_names_that_exist(described: dict[str, Any]) -> dict[str, Any]:
    """Let names and types be some that exist, now and then: the rest of a call is then looked at."""
    known = {
        "name": ["greet"],
        "organization": ["acme", "globex"],
        "id_": ["x0", "x1"],
        "type": ["DOCUMENT_UPLOADED", "document.uploaded"],
    }

    def visit(part: Any) -> None:
        if isinstance(part, list):
            for one in part:
                visit(one)
        elif isinstance(part, dict):
            if part.get("in") in {"path", "query"} and part.get("name") in known:
                part["schema"] = {"anyOf": [{"enum": known[part["name"]]}, part["schema"]]}
            properties = part.get("properties")
            if part.get("title") == "EventBody" and isinstance(properties, dict):
                properties["type"] = {"anyOf": [{"enum": known["type"]}, properties["type"]]}
            for one in part.values():
                visit(one)

    visit(described)
    return described


@pytest.fixture
async def api(upgraded_url: str, database: Database) -> AsyncIterator[Api]:
    """Two organizations and tokens for them."""
    async with open_api(upgraded_url, database) as api:
        for organization in ("acme", "globex"):
            api.tenants.trigger(
                f"{organization}-greet", "call", triggerType="API_CALL", triggerEvent="api.call"
            )
        await hook(database, api.tenants, "acme-greet", "open", scheme="none",
                   methods=["GET", "POST", "PUT", "DELETE"])  # fmt: skip
        yield api


@asynccontextmanager
async def served(api: Api) -> AsyncIterator[str]:
    """Serve everything that a daemon serves."""
    app, executions, notifier = parts(api.database)
    routers = [
        health_router(Health({})),
        push_router(api.database, secret="push-secret", branch="main"),
        api_router(api.database, executions, new_id=new_id, poke=notifier.poke),
    ]
    listening, stopping = asyncio.Event(), asyncio.Event()
    server = HttpServer(
        make_app(routers, direct={PREFIX: app}), "127.0.0.1", 0, listening=lambda _: listening.set()
    )
    task = asyncio.create_task(server.run(stopping))
    await listening.wait()
    try:
        yield server.url
    finally:
        stopping.set()
        await task
        await app.rejections.close()
        await notifier.close()


async def fuzz(schema: str, *words: str, folder: Path) -> None:
    """Run schemathesis; what it found is the test's message."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "run", schema, "--checks", CHECKS,
        "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES),
        "--mode", "all", "--seed", "7", "--no-color", "--warnings", "off",
        "--suppress-health-check", "all", *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=folder,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode(errors="replace")[-6000:]


@pytest.mark.slow
@pytest.mark.parametrize("role", [Role.OPERATOR, None])
async def test_the_api_answers_nothing_with_a_server_error(
    api: Api, role: Role | None, tmp_path: Path
) -> None:
    words = ["--exclude-path-regex", "^/metrics$"]
    if role is not None:
        token = await api.token("acme", role)
        words += ["--header", f"Authorization: Bearer {token}"]
    schema = tmp_path / "api.json"
    async with served(api) as url:
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            described = (await client.get("/api/openapi.json")).json()
        schema.write_text(json.dumps(with_names_that_exist(described)), encoding="utf-8")
        await fuzz(str(schema), "--url", url, *words, folder=tmp_path)
    theirs = "SELECT count(*) FROM workflow_executions WHERE \"orgId\" = 'globex'"
    assert api.tenants.value(theirs) == 0
    for table, column in (
        ("reconciler.events", "organization_id"),
        ("workflow_executions", '"orgId"'),
    ):
        ours = f"SELECT count(*) FROM {table} WHERE {column} = 'acme'"
        assert (api.tenants.value(ours) > 0) == (role is not None), table


@pytest.mark.slow
async def test_webhooks_answer_nothing_with_a_server_error(api: Api, tmp_path: Path) -> None:
    schema = tmp_path / "webhooks.json"
    schema.write_text(json.dumps(WEBHOOKS), encoding="utf-8")
    api.tenants.sql(
        "INSERT INTO reconciler.automation_runtime (automation_id, rate_limit) "
        "VALUES ('acme-greet', 1000000)"
    )
    async with served(api) as url:
        await fuzz(str(schema), "--url", url, folder=tmp_path)
    assert api.tenants.value("SELECT count(*) FROM workflow_executions") > 10
