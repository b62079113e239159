"""The API on a real PostgreSQL: what a call becomes, and what strangers can send."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from reconciler.store.database import Database
from reconciler.store.executions import Executions
from reconciler.vault.tokens import mint
from reconciler.web.api import api_router
from reconciler.web.app import make_app
from tests.integration.api_rig import Api, open_api

TYPES = {"content-type": "application/json"}


@pytest.fixture
async def api(upgraded_url: str, database: Database) -> AsyncIterator[Api]:
    """The API over a fresh database."""
    async with open_api(upgraded_url, database) as api:
        yield api


async def test_an_event_is_answered_with_what_it_started(api: Api) -> None:
    token = await api.token()
    body = {"type": "DOCUMENT_UPLOADED", "id": "doc-7", "data": {"name": "a.pdf"}}

    first = await api.call(token, "POST", "/api/events", json=body)
    again = await api.call(token, "POST", "/api/events", json=body)
    other = await api.call(token, "POST", "/api/events", json={**body, "data": {}})

    assert (202, 200, 409) == (first.status_code, again.status_code, other.status_code)
    [started] = first.json()["executions"]
    assert ("acme/greet", "scans", "QUEUED") == (
        started["automation"],
        started["trigger"],
        started["status"],
    )
    assert {**first.json(), "duplicate": True} == again.json()
    shown = (await api.call(token, "GET", "/api/events/doc-7")).json()
    assert ("dispatched", 1, {"name": "a.pdf"}) == (
        shown["state"],
        shown["executions"],
        shown["data"],
    )
    assert [started] == shown["started"]
    execution = await api.call(token, "GET", f"/api/executions/{started['executionId']}")
    assert {"name": "a.pdf"} == execution.json()["triggerData"]
    assert "doc-7" == execution.json()["metadata"]["event"]["id"]


async def test_an_event_without_an_id_gets_one(api: Api) -> None:
    token = await api.token()
    ids = {
        (await api.call(token, "POST", "/api/events", json={"type": "a.b"})).json()["eventId"]
        for _ in range(3)
    }
    assert 3 == len(ids)


async def test_a_run_is_asked_for_by_id_or_name_and_known_by_its_key(api: Api) -> None:
    token = await api.token()
    key = {"Idempotency-Key": "order-1"}

    first = await api.run(token, json={"input": {"a": 1}}, headers=key)
    again = await api.run(token, "acme-greet", json={"input": {"a": 1.0}}, headers=key)
    third = await api.run(token, "greet")

    assert (202, 200, 202) == (first.status_code, again.status_code, third.status_code)
    assert {**first.json(), "duplicate": True} == again.json()
    rows = api.tenants.sql(
        'SELECT "triggerData", cause FROM workflow_executions ORDER BY "createdAt"'
    )
    assert [({"a": 1}, "manual"), ({}, "manual")] == rows


async def test_a_key_is_not_good_for_another_input_or_trigger(api: Api) -> None:
    token = await api.token()
    for name in ("one", "two"):
        api.tenants.trigger("acme-greet", name, triggerType="API_CALL", triggerEvent="api.call")
    key = {"Idempotency-Key": "order-1"}
    body = {"input": {"a": 1}, "trigger": "one"}

    first = await api.run(token, json=body, headers=key)
    others = [
        await api.run(token, params=params, json={**body, **other}, headers=key)
        for other in ({"input": {"a": 2}}, {"input": [{"a": 1}]}, {"trigger": "two"})
        for params in ({}, {"wait": "5s"})
    ]
    again = await api.run(token, json=body, headers=key)

    assert [409] * 6 == [one.status_code for one in others]
    error = others[0].json()["error"]
    assert ("key-reused", True) == (error["code"], first.json()["executionId"] in error["message"])
    assert (200, True) == (again.status_code, again.json()["duplicate"])
    assert [(1,)] == api.tenants.sql("SELECT count(*) FROM workflow_executions")


async def test_calls_go_through_the_api_trigger_with_its_filters_and_limit(api: Api) -> None:
    token = await api.token()
    api.tenants.trigger(
        "acme-greet",
        "api",
        triggerType="API_CALL",
        triggerEvent="api.call",
        filters={"kind": "order"},
    )
    api.tenants.sql(
        "INSERT INTO reconciler.automation_runtime (automation_id, rate_limit, rate_period_seconds) "
        "VALUES ('acme-greet', 2, 60)"
    )
    order: dict[str, Any] = {"json": {"input": {"kind": "order"}}}

    answers = [await api.run(token, **order) for _ in range(3)]
    ignored = await api.run(token, json={"input": {"kind": "spam"}})
    unknown = await api.run(token, json={"trigger": "nope"})

    assert [202, 202, 429] == [one.status_code for one in answers]
    assert "rate-limited" == answers[2].json()["error"]["code"]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 62
    assert (200, "IGNORED") == (ignored.status_code, ignored.json()["status"])
    assert (404, True) == (unknown.status_code, "api, scans" in unknown.text)
    assert [("api", "acme-greet-api")] * 2 == api.tenants.sql(
        'SELECT cause, "triggerId" FROM workflow_executions'
    )


async def test_the_limit_is_exact_and_a_known_key_takes_no_place(api: Api) -> None:
    token = await api.token()
    api.tenants.sql(
        "INSERT INTO reconciler.automation_runtime (automation_id, rate_limit, rate_period_seconds) "
        "VALUES ('acme-greet', 10, 60)"
    )

    answers = await asyncio.gather(
        *(api.run(token, headers={"Idempotency-Key": f"k{n % 30}"}) for n in range(60))
    )

    statuses = sorted(one.status_code for one in answers)
    assert (
        10 == statuses.count(202) == api.tenants.value("SELECT count(*) FROM workflow_executions")
    )
    assert {200, 202, 429} >= set(statuses)
    known = [one.json()["executionId"] for one in answers if one.status_code == 200]
    assert set(known) <= {one.json()["executionId"] for one in answers if one.status_code == 202}


async def test_what_is_switched_off_or_full_says_so(api: Api) -> None:
    token = await api.token()
    api.tenants.sql(
        "INSERT INTO reconciler.automation_runtime (automation_id, max_queued) "
        "VALUES ('acme-greet', 1)"
    )
    assert 202 == (await api.run(token)).status_code
    full = await api.run(token)
    api.tenants.sql('UPDATE automations SET "isActive" = false')
    off = await api.run(token)

    assert (429, "queue-full") == (full.status_code, full.json()["error"]["code"])
    assert (409, "inactive") == (off.status_code, off.json()["error"]["code"])


async def test_what_only_other_workflows_call_is_not_queued_to_fail(api: Api) -> None:
    token = await api.token()
    entry = "UPDATE automations SET metadata = %s WHERE id = 'acme-greet'"
    api.tenants.sql(entry, '{"reconciler": {"entry": []}}')
    closed = await api.run(token)
    api.tenants.sql(entry, '{"reconciler": {"entry": [{"node": "Start"}]}}')
    open_ = await api.run(token)

    assert (409, "not-startable", 202) == (
        closed.status_code,
        closed.json()["error"]["code"],
        open_.status_code,
    )


async def test_who_waits_gets_the_result_or_what_there_is_so_far(api: Api) -> None:
    token = await api.token()

    async def finish() -> None:
        async with asyncio.timeout(10):
            while not api.tenants.sql("SELECT 1 FROM workflow_executions"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        api.tenants.sql(
            "UPDATE workflow_executions SET status = 'SUCCESS', \"outputData\" = '[{\"b\": 2}]'"
        )

    done, _ = await asyncio.gather(api.run(token, params={"wait": "10s"}), finish())
    soon = await api.run(token, params={"wait": "100ms"})

    assert (200, "SUCCESS", [{"b": 2}]) == (
        done.status_code,
        done.json()["status"],
        done.json()["output"],
    )
    assert (202, "QUEUED") == (soon.status_code, soon.json()["status"])


async def test_cancel_and_retry(api: Api) -> None:
    token = await api.token()
    id_ = (await api.run(token, json={"input": {"a": 1}})).json()["executionId"]

    early = await api.call(token, "POST", f"/api/executions/{id_}/retry")
    cancelled = await api.call(token, "POST", f"/api/executions/{id_}/cancel")
    late = await api.call(token, "POST", f"/api/executions/{id_}/cancel")
    retried = await api.call(token, "POST", f"/api/executions/{id_}/retry")

    assert [409, 200, 409, 202] == [one.status_code for one in (early, cancelled, late, retried)]
    again = await api.call(token, "GET", f"/api/executions/{retried.json()['executionId']}")
    assert ({"a": 1}, id_, "QUEUED") == (
        again.json()["triggerData"],
        again.json()["retryOf"],
        again.json()["status"],
    )


async def test_pages_and_filters_of_executions(api: Api) -> None:
    token = await api.token()
    ids = [(await api.run(token)).json()["executionId"] for _ in range(5)]
    await api.call(token, "POST", f"/api/executions/{ids[0]}/cancel")

    async def listed(**query: Any) -> Any:
        return (await api.call(token, "GET", "/api/executions", params=query)).json()

    first = await listed(limit=3)
    rest = await listed(limit=3, cursor=first["next"])
    assert ids[::-1] == [one["id"] for one in (*first["executions"], *rest["executions"])]
    assert rest["next"] is None
    for query, expected in (
        ({"status": "CANCELLED"}, 1), ({"status": ["CANCELLED", "QUEUED"]}, 5), ({"since": "1h"}, 5),
        ({"until": "1h"}, 0), ({"cause": "event"}, 0), ({"automation": "acme/greet"}, 5),
        ({"since": "2020-01-01T00:00:00Z"}, 5),
    ):  # fmt: skip
        assert expected == len((await listed(**query))["executions"]), query


BAD_BODIES = [
    b"[" * 100_000, b'{"type": ' + b"9" * 5000 + b"}", b'{"type": NaN}', b'{"type": "\\ud800"}',
    b'{"type": "a.b", "data": {"x": "\\u0000"}}', b"\xff", '{"type": "a.b"}'.encode("utf-16"), b"",
    b"[]", b"null", b"3", b'{"type": "a.b", "orgId": "globex"}', b'{"type": "a.b", "data": []}',
    b'{"type": "a.b", "id": "with space"}', b'{"type": "a.b", "id": "x' + b"y" * 300 + b'"}', b'{"type": "WEBHOOK"}',
    b'{"type": "nonsense"}', b'{"data": {}}', b'{"type": "a.b", "data": {"x": 1e999}}', b'{"type": 3}',
]  # fmt: skip


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
async def test_no_body_ends_in_a_500_or_gets_in(api: Api, body: bytes) -> None:
    answer = await api.call(await api.token(), "POST", "/api/events", content=body, headers=TYPES)

    assert 400 <= answer.status_code < 500, answer.text
    assert {"code", "message"} <= answer.json()["error"].keys()
    assert 0 == api.tenants.value("SELECT count(*) FROM reconciler.events")


async def test_odd_requests_get_a_4xx(api: Api) -> None:
    token = await api.token()
    for method, path, more in (
        ("GET", "/api/executions/%00", {}), ("GET", "/api/executions/%ff", {}),
        ("GET", "/api/executions?limit=1000000000", {}), ("GET", "/api/executions?cursor=x%00", {}),
        ("GET", "/api/executions?cursor=abc", {}), ("GET", "/api/executions?status=DONE", {}),
        ("GET", "/api/executions?since=yesterday", {}), ("GET", "/api/executions?since=9999999d", {}),
        ("GET", "/api/executions?since=0001-01-01T00:00:00Z", {}), ("GET", "/api/executions?order=id", {}),
        ("GET", "/api/events?before=unknown", {}), ("GET", "/api/events?state=odd", {}),
        ("POST", "/api/events", {"content": b"type=a.b", "headers": {"content-type": "text/plain"}}),
        ("POST", "/api/automations/greet/run?wait=soon", {}),
        ("POST", f"/api/automations/greet/run?wait={'9999999d' * 120}", {}),
        ("POST", "/api/automations/greet/run", {"headers": {"Idempotency-Key": "a b"}}),
        ("POST", "/api/automations/greet/run", {"json": {"input": [1]}}),
        ("POST", "/api/automations/greet/run", {"json": {"status": "SUCCESS"}}),
        ("DELETE", "/api/events", {}), ("GET", "/api/nothing", {}),
    ):  # fmt: skip
        answer = await api.call(token, method, path, **more)
        assert 400 <= answer.status_code < 500, (path, answer.status_code, answer.text)
        assert "error" in answer.json()


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_cursor_from_before_or_after_all_time_is_refused(api: Api, at: str) -> None:
    cursor = base64.urlsafe_b64encode(f"{at} x".encode()).decode().rstrip("=")
    answer = await api.call(await api.token(), "GET", f"/api/executions?cursor={cursor}")
    assert (422, "invalid") == (answer.status_code, answer.json()["error"]["code"])


async def test_strange_names_are_just_data(api: Api) -> None:
    token = await api.token()
    for name in ("' OR 1=1 --", "%25", "_", "../../x", "😀", "a" * 190):
        found = await api.call(token, "GET", "/api/executions", params={"automation": name})
        assert 404 == found.status_code
        assert json.dumps(found.json())


async def test_without_the_database_nothing_is_accepted_and_the_caller_may_come_back() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none")
    router = api_router(database, Executions(database, new_id=str), new_id=str, poke=lambda: None)
    token, _ = mint("api", "t1", bytes(32))
    headers = {"Authorization": f"Bearer {token.reveal()}"}
    transport = httpx.ASGITransport(make_app([router]), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
        for method, path in (("POST", "/api/events"), ("GET", "/api/executions")):
            answer = await http.request(method, path, headers=headers, json={"type": "a.b"})
            assert (503, "unavailable") == (answer.status_code, answer.json()["error"]["code"])
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
