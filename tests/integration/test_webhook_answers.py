"""What a webhook's caller is told when it waits, or nobody can be let in; what is kept of calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from reconciler.app import new_id
from reconciler.store.database import Database
from reconciler.store.deliveries import Deliveries
from reconciler.store.replies import Replies, Reply
from tests.hooks_rig import SECRET, Hooks, hook, serving
from tests.integration.tenants import Tenants, tenants_of


@pytest.fixture
def world(upgraded_url: str) -> Iterator[Tenants]:
    """Two organizations with an automation each."""
    with tenants_of(upgraded_url) as tenants:
        for name in ("acme", "globex"):
            tenants.organization(name)
            tenants.automation(name, "intake")
        yield tenants


@pytest.fixture
async def hooks(database: Database, world: Tenants) -> AsyncIterator[Hooks]:
    """A server, and a signed webhook on acme's automation."""
    await hook(database, world)
    async with serving(database) as hooks:
        yield hooks


async def finish(world: Tenants, id_: str, status: str, **columns: Any) -> None:
    """End an execution by hand, as a worker would."""
    sets = "".join(f', "{name}" = %s' for name in columns)
    world.sql(
        f"UPDATE workflow_executions SET status = %s{sets} WHERE id = %s",
        status, *columns.values(), id_,
    )  # fmt: skip


async def waiting(hooks: Hooks, world: Tenants, **more: Any) -> tuple[asyncio.Task[Any], str]:
    """Make a call that waits, and find its execution."""
    task = asyncio.create_task(hooks.signed(params={"wait": "10s", "a": "1"}, **more))
    while not (found := world.sql("SELECT id FROM workflow_executions")):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return task, found[0][0]


async def test_who_waits_gets_the_output(hooks: Hooks, world: Tenants) -> None:
    task, id_ = await waiting(hooks, world)
    await finish(world, id_, "SUCCESS", outputData=json.dumps([{"total": 3}]))
    answer: httpx.Response = await task
    assert answer.status_code == 200
    assert answer.json() == {"executionId": id_, "status": "SUCCESS", "output": [{"total": 3}]}
    assert {"a": "1"} == world.value("SELECT \"triggerData\" -> 'query' FROM workflow_executions")


async def test_who_waits_is_told_of_a_failure(hooks: Hooks, world: Tenants) -> None:
    task, id_ = await waiting(hooks, world)
    await finish(world, id_, "FAILED", errorMessage=f"no route with {SECRET}")
    body = (await task).json()
    assert ("FAILED", True) == (body["status"], "no route" in body["error"])
    assert SECRET not in body["error"]


async def test_who_waits_gets_what_the_workflow_responds(
    hooks: Hooks, database: Database, world: Tenants
) -> None:
    task, id_ = await waiting(hooks, world)
    headers = {
        "content-type": "text/csv",
        "set-cookie": "a=b",
        "x-shop": "7",
        "connection": "close",
    }
    reply = Reply(status=418, headers=headers, content=b"a;b\n")
    assert await Replies(database).keep(id_, reply)
    await finish(world, id_, "SUCCESS")
    answer: httpx.Response = await task
    assert (418, b"a;b\n") == (answer.status_code, answer.content)
    assert ("text/csv", "7", id_) == tuple(
        answer.headers[name] for name in ("content-type", "x-shop", "x-execution-id")
    )
    assert "set-cookie" not in answer.headers


async def test_who_waits_too_long_is_told_where_it_is(hooks: Hooks) -> None:
    answer = await hooks.signed(params={"wait": "200ms"})
    assert (202, "QUEUED") == (answer.status_code, answer.json()["status"])


@pytest.mark.parametrize("wait", ["soon", "", "-1s", "10", "9999999d" * 120])
async def test_a_wait_that_is_no_duration_is_malformed(hooks: Hooks, wait: str) -> None:
    answer = await hooks.signed(params={"wait": wait})
    assert (400, "bad-wait") == (answer.status_code, answer.json()["error"]["code"])


@pytest.mark.parametrize(
    "wrong, status, reason",
    [
        ({"notAfter": ["next week"]}, 503, "secret-unreadable"),
        ({"notAfter": ["2099-01-01T00:00:00"]}, 503, "secret-unreadable"),
        ({"notAfter": [4711]}, 503, "secret-unreadable"),
        ({"notAfter": 4711}, 503, "secret-unreadable"),
        ({"scheme": ["standard-webhooks"]}, 401, "no-auth"),
        ({"scheme": {}}, 401, "no-auth"),
    ],
)
async def test_an_auth_that_somebody_else_wrote_wrong_lets_nobody_in(
    hooks: Hooks, world: Tenants, wrong: dict[str, Any], status: int, reason: str
) -> None:
    world.sql("UPDATE workflow_triggers SET auth = auth || %s::jsonb", json.dumps(wrong))
    assert (await hooks.signed()).status_code == status
    await hooks.app.rejections.flush()
    assert reason == world.value("SELECT reason FROM reconciler.webhook_deliveries")


async def test_old_deliveries_are_removed_in_batches(
    hooks: Hooks, database: Database, world: Tenants
) -> None:
    for _ in range(6):
        await hooks.signed()
    old = "UPDATE reconciler.webhook_deliveries SET received_at = now() - interval '2 days' "
    world.sql(old + "WHERE id <= (SELECT min(id) + 4 FROM reconciler.webhook_deliveries)")
    deliveries = Deliveries(database, new_id=new_id)
    assert [3, 2, 0] == [await deliveries.prune(86_400, most=3) for _ in range(3)]
    assert world.value("SELECT count(*) FROM reconciler.webhook_deliveries") == 1
