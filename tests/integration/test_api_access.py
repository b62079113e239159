"""Who may call the API on a real PostgreSQL: tokens, roles, scopes, organizations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI

from reconciler.access import ALLOWED, Action, Role
from reconciler.store.database import Database
from reconciler.store.executions import Executions
from reconciler.store.tokens import Tokens
from reconciler.vault.tokens import mint
from reconciler.web.api import api_router
from tests.integration.api_rig import Api, open_api


@pytest.fixture
async def api(upgraded_url: str, database: Database) -> AsyncIterator[Api]:
    """The API over a fresh database."""
    async with open_api(upgraded_url, database) as api:
        yield api


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
