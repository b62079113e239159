"""The API on a real PostgreSQL: who may what, what a call becomes, what strangers can send."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from reconciler.access import ALLOWED, Action, Role
from reconciler.store.database import Database
from reconciler.store.executions import Executions
from reconciler.store.tokens import NewToken, Tokens
from reconciler.vault.tokens import mint
from reconciler.web.api import api_router
from reconciler.web.app import make_app
from tests.integration.tenants import Tenants, tenants_of

RANDOM = itertools.count(1)
TYPES = {"content-type": "application/json"}


@dataclass(slots=True)
class Api:
    """The API as callers see it, and the tables behind it."""

    http: httpx.AsyncClient
    database: Database
    executions: Executions
    tenants: Tenants

    async def token(
        self,
        organization: str = "acme",
        role: Role = Role.OPERATOR,
        *,
        scopes: tuple[Action, ...] = (),
        lasts: timedelta | None = None,
        email: str | None = None,
        kind: str = "api",
    ) -> str:
        """Make a token and give its text."""
        number = next(RANDOM)
        secret, digest = mint(kind, f"t{number}", number.to_bytes(32))
        created, _ = await Tokens(self.database).create(
            NewToken(
                id=f"t{number}",
                organization_id=organization,
                name=f"robot {number}",
                role=role.value,
                scopes=[scope.value for scope in scopes],
                digest=digest,
                created_by="test",
                lasts=lasts,
                email=email,
            )
        )
        assert created
        return secret.reveal()

    async def call(self, token: str | None, method: str, path: str, **more: Any) -> httpx.Response:
        """Call the API."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return await self.http.request(
            method, path, headers={**headers, **more.pop("headers", {})}, **more
        )

    async def run(self, token: str, name: str = "acme/greet", **more: Any) -> httpx.Response:
        """Run an automation."""
        return await self.call(token, "POST", f"/api/automations/{name}/run", **more)


@pytest.fixture
def tenants(upgraded_url: str) -> Iterator[Tenants]:
    with tenants_of(upgraded_url) as tenants:
        for name in ("acme", "globex"):
            tenants.organization(name)
            tenants.automation(name, "greet")
            tenants.trigger(f"{name}-greet", "scans")
        yield tenants


@pytest.fixture
async def api(tenants: Tenants, database: Database) -> AsyncIterator[Api]:
    ids = (f"x{number}" for number in itertools.count())
    executions = Executions(database, new_id=lambda: next(ids))
    router = api_router(database, executions, new_id=lambda: next(ids), poke=lambda: None)
    transport = httpx.ASGITransport(make_app([router]), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
        yield Api(http, database, executions, tenants)


ROUTES: list[tuple[str, str, Action, dict[str, Any]]] = [
    ("POST", "/api/events", Action.EVENTS_SEND, {"json": {"type": "FORM_SUBMITTED"}}),
    ("GET", "/api/events", Action.EVENTS_VIEW, {}),
    ("GET", "/api/events/first", Action.EVENTS_VIEW, {}),
    ("POST", "/api/automations/acme-greet/run", Action.AUTOMATIONS_RUN, {}),
    ("POST", "/api/automations/acme/greet/run", Action.AUTOMATIONS_RUN, {}),
    ("GET", "/api/executions", Action.EXECUTIONS_VIEW, {}),
    ("GET", "/api/executions/e1", Action.EXECUTIONS_VIEW, {}),
    ("POST", "/api/executions/e1/cancel", Action.EXECUTIONS_CANCEL, {}),
    ("POST", "/api/executions/e1/retry", Action.EXECUTIONS_RETRY, {}),
]


async def _with_things(api: Api) -> None:
    """Make an event and an execution that the routes name."""
    api.tenants.sql(
        "INSERT INTO reconciler.events (organization_id, id, type, data) "
        "VALUES ('acme', 'first', 'form.submitted', '{\"secret\": 1}')"
    )
    api.tenants.sql(
        'INSERT INTO workflow_executions (id, "automationId", "orgId", status, "triggerData", '
        '"updatedAt", "completedAt", "errorMessage") VALUES '
        "('e1', 'acme-greet', 'acme', 'FAILED', '{\"secret\": 1}', now(), now(), 'a secret')"
    )


@pytest.mark.parametrize("method, path, action, more", ROUTES)
async def test_every_route_asks_for_a_token_and_a_role(
    api: Api, method: str, path: str, action: Action, more: dict[str, Any]
) -> None:
    await _with_things(api)
    good = await api.token()
    expired = await api.token(lasts=timedelta(seconds=-1))
    revoked = await api.token()
    api.tenants.sql(
        "UPDATE reconciler.api_tokens SET revoked_at = now() WHERE id = %s", revoked.split("_")[2]
    )
    junk = [None, "nothing", good[:-1] + ("a" if good[-1] != "a" else "b"), expired, revoked]
    junk.append(await api.token(kind="web"))
    junk.append(mint("api", "unknown", bytes(32))[0].reveal())

    for token in junk:
        answer = await api.call(token, method, path, **more)
        assert (401, "unauthorized") == (answer.status_code, answer.json()["error"]["code"])
        assert "Bearer" == answer.headers["WWW-Authenticate"]
    in_query = await api.http.request(method, f"{path}?token={good}&access_token={good}", **more)
    assert 401 == in_query.status_code

    for role in Role:
        answer = await api.call(await api.token(role=role), method, path, **more)
        allowed = action in ALLOWED[role]
        assert (answer.status_code != 403) is allowed, (role, answer.text)
        scoped = await api.call(await api.token(role=role, scopes=(action,)), method, path, **more)
        assert (scoped.status_code != 403) is allowed
    other = next(one for one in Action if one is not action)
    answer = await api.call(await api.token(scopes=(other,)), method, path, **more)
    assert (403, "forbidden") == (answer.status_code, answer.json()["error"]["code"])


def test_the_list_of_routes_is_complete() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none")
    router = api_router(database, Executions(database, new_id=str), new_id=str, poke=lambda: None)
    app = FastAPI()
    app.include_router(router)
    found = {
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    names = {
        "acme-greet": "{name}",
        "acme/greet": "{organization}/{name}",
        "first": "{id_}",
        "e1": "{id_}",
    }
    known = set()
    for method, path, _, _ in ROUTES:
        for name, parameter in names.items():
            path = path.replace(name, parameter)  # noqa: PLW2901
        known.add((method, path))

    assert known == found


async def test_another_organizations_things_answer_like_unknown_ones(api: Api) -> None:
    await _with_things(api)
    token = await api.token("globex", Role.ADMIN)

    for method, path, _, more in ROUTES[2:]:
        if path == "/api/executions":
            continue
        theirs = await api.call(token, method, path, **more)
        unknown = await api.call(
            token,
            method,
            path.replace("first", "zzz").replace("e1", "zzz").replace("greet", "zzz"),
            **more,
        )
        assert 404 == theirs.status_code
        assert unknown.content == theirs.content
    assert [] == (await api.call(token, "GET", "/api/events")).json()["events"]
    assert [] == (await api.call(token, "GET", "/api/executions")).json()["executions"]


async def test_a_client_sees_that_it_failed_and_not_with_what(api: Api) -> None:
    await _with_things(api)

    for role, sees in ((Role.CLIENT, False), (Role.OPERATOR, True)):
        token = await api.token(role=role)
        for path in ("/api/executions", "/api/executions/e1", "/api/events/first"):
            answer = await api.call(token, "GET", path)
            assert 200 == answer.status_code
            assert sees is ("secret" in answer.text), path


async def test_the_role_of_a_person_counts_as_it_is_now(api: Api) -> None:
    api.tenants.member("acme", "otto@acme", "OPERATOR")
    token = await api.token(role=Role.ADMIN, email="otto@acme")
    event = {"json": {"type": "FORM_SUBMITTED"}}
    assert 202 == (await api.call(token, "POST", "/api/events", **event)).status_code

    api.tenants.member("acme", "otto@acme", "CLIENT")
    assert 403 == (await api.call(token, "POST", "/api/events", **event)).status_code
    assert 200 == (await api.call(token, "GET", "/api/events")).status_code

    api.tenants.sql("DELETE FROM reconciler.memberships WHERE user_id = 'otto@acme'")
    assert 401 == (await api.call(token, "GET", "/api/events")).status_code


async def test_the_use_of_a_token_is_noted(api: Api) -> None:
    token = await api.token()
    assert [None] == [one.last_used_at for one in await Tokens(api.database).listed("acme")]

    await api.call(token, "GET", "/api/events")

    assert [] == [o for o in await Tokens(api.database).listed("acme") if o.last_used_at is None]


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
    again = await api.run(token, "acme-greet", json={"input": {"a": 2}}, headers=key)
    third = await api.run(token, "greet")

    assert (202, 200, 202) == (first.status_code, again.status_code, third.status_code)
    assert {**first.json(), "duplicate": True} == again.json()
    rows = api.tenants.sql(
        'SELECT "triggerData", cause FROM workflow_executions ORDER BY "createdAt"'
    )
    assert [({"a": 1}, "manual"), ({}, "manual")] == rows


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


async def test_who_waits_gets_the_result_or_what_there_is_so_far(api: Api) -> None:
    token = await api.token()

    async def finish() -> None:
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
        ("POST", "/api/automations/greet/run", {"headers": {"Idempotency-Key": "a b"}}),
        ("POST", "/api/automations/greet/run", {"json": {"input": [1]}}),
        ("POST", "/api/automations/greet/run", {"json": {"status": "SUCCESS"}}),
        ("DELETE", "/api/events", {}), ("GET", "/api/nothing", {}),
    ):  # fmt: skip
        answer = await api.call(token, method, path, **more)
        assert 400 <= answer.status_code < 500, (path, answer.status_code, answer.text)
        assert "error" in answer.json()


async def test_strange_names_are_just_data(api: Api) -> None:
    token = await api.token()
    for name in ("' OR 1=1 --", "%25", "_", "../../x", "😀", "a" * 190):
        found = await api.call(token, "GET", "/api/executions", params={"automation": name})
        assert 404 == found.status_code
        assert json.dumps(found.json())
