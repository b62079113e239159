"""What n8n shows of a credential, and what a change of one leaves of its secret."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from reconciler.errors import N8nInvalid, N8nNotFound
from tests.conformance.conftest import Bench
from tests.conformance.samples import webhook, workflow

SHOWN = {
    "id",
    "name",
    "type",
    "isManaged",
    "isGlobal",
    "isResolvable",
    "resolvableAllowFallback",
    "resolverId",
    "createdAt",
    "updatedAt",
}


@pytest.fixture
async def made(n8n: Bench) -> AsyncIterator[Any]:
    """A header credential."""
    credential = await n8n.api.post("/credentials", body())
    yield credential
    with contextlib.suppress(N8nNotFound):
        await n8n.api.delete(f"/credentials/{credential['id']}")


def body(**more: Any) -> Any:
    data = {"name": "X-Reconciler", "value": "first secret"}
    return {"name": f"key {uuid.uuid4()}", "type": "httpHeaderAuth", "data": data, **more}


async def guarded(n8n: Bench, path: str, credential: Any) -> None:
    """Publish a webhook that asks for *credential*."""
    bound = {"httpHeaderAuth": {"id": credential["id"], "name": credential["name"]}}
    entry = webhook(path, parameters={"authentication": "headerAuth"}, credentials=bound)
    plain = workflow(path)
    await n8n.published({**plain, "nodes": [entry, plain["nodes"][1]]})


async def knock(n8n: Bench, path: str, value: str) -> int:
    headers = {"X-Reconciler": value}
    return (await n8n.raw("POST", f"/webhook/{path}", headers=headers)).status_code


async def test_no_answer_shows_the_secret(n8n: Bench, made: Any) -> None:
    assert SHOWN == set(made)
    assert made == await n8n.api.get(f"/credentials/{made['id']}")
    rows = [row async for row in n8n.api.pages("/credentials") if row["id"] == made["id"]]
    assert [{"id", "name", "type", "createdAt", "updatedAt", "shared"}] == [set(r) for r in rows]


async def test_names_of_credentials_are_not_unique(n8n: Bench, made: Any) -> None:
    twin = await n8n.api.post("/credentials", body(name=made["name"]))
    assert made["id"] != twin["id"]
    await n8n.api.delete(f"/credentials/{twin['id']}")


async def test_the_newest_credential_is_listed_first(n8n: Bench, made: Any) -> None:
    younger = await n8n.api.post("/credentials", body())
    rows = [str(row["id"]) async for row in n8n.api.pages("/credentials")]
    assert rows.index(str(younger["id"])) < rows.index(made["id"])
    await n8n.api.delete(f"/credentials/{younger['id']}")


@pytest.mark.parametrize(
    "change,words",
    [
        ({"type": "noSuchType"}, "not a known type"),
        ({"data": {"foo": "x"}}, 'not allowed to have the additional property "foo"'),
        ({"id": "mine"}, "request/body/id is read-only"),
    ],
    ids=["an unknown type", "an unknown field", "an id"],
)
async def test_a_credential_is_refused_with(n8n: Bench, change: Any, words: str) -> None:
    with pytest.raises(N8nInvalid) as caught:
        await n8n.api.post("/credentials", body(**change))
    assert words in caught.value.detail


async def test_a_credential_needs_data(n8n: Bench) -> None:
    without = {key: value for key, value in body().items() if key != "data"}
    with pytest.raises(N8nInvalid, match="must have required property 'data'"):
        await n8n.api.post("/credentials", without)


async def test_the_secret_opens_the_webhook(n8n: Bench, made: Any, path: str) -> None:
    await guarded(n8n, path, made)
    assert await n8n.api.probe(path) == 403
    assert await knock(n8n, path, "wrong") == 403
    assert await knock(n8n, path, "first secret") == 200


async def test_a_change_of_name_keeps_the_secret(n8n: Bench, made: Any, path: str) -> None:
    await guarded(n8n, path, made)
    changed = await n8n.api.patch(f"/credentials/{made['id']}", {"name": f"new {uuid.uuid4()}"})
    assert made["updatedAt"] != changed["updatedAt"]
    assert await knock(n8n, path, "first secret") == 200


async def test_data_is_replaced_as_a_whole(n8n: Bench, made: Any, path: str) -> None:
    await guarded(n8n, path, made)
    where = f"/credentials/{made['id']}"
    await n8n.api.patch(where, {"data": {"name": "X-Reconciler", "value": "second secret"}})
    assert await knock(n8n, path, "first secret") == 403
    assert await knock(n8n, path, "second secret") == 200
    await n8n.api.patch(where, {"data": {"value": "third secret"}})
    assert await knock(n8n, path, "third secret") == 500


async def test_partial_data_is_merged(n8n: Bench, made: Any, path: str) -> None:
    await guarded(n8n, path, made)
    change: Any = {"data": {"value": "second secret"}, "isPartialData": True}
    await n8n.api.patch(f"/credentials/{made['id']}", change)
    assert await knock(n8n, path, "second secret") == 200


async def test_every_change_moves_the_time(n8n: Bench, made: Any) -> None:
    where = f"/credentials/{made['id']}"
    changed = await n8n.api.patch(where, {"name": made["name"]})
    assert made["updatedAt"] != changed["updatedAt"]


async def test_the_time_stays_when_a_credential_is_used(n8n: Bench, made: Any, path: str) -> None:
    await guarded(n8n, path, made)
    await knock(n8n, path, "first secret")
    assert made["updatedAt"] == (await n8n.api.get(f"/credentials/{made['id']}"))["updatedAt"]


async def test_the_type_changes_only_with_the_data(n8n: Bench, made: Any) -> None:
    where = f"/credentials/{made['id']}"
    with pytest.raises(N8nInvalid, match="data is required when changing credential type"):
        await n8n.api.patch(where, {"type": "httpBasicAuth"})
    data: Any = {"user": "a", "password": "b"}
    changed = await n8n.api.patch(where, {"type": "httpBasicAuth", "data": data})
    assert changed["type"] == "httpBasicAuth"


async def test_unknown_fields_of_a_change(n8n: Bench, made: Any) -> None:
    where = f"/credentials/{made['id']}"
    with pytest.raises(N8nInvalid, match='additional property "foo"'):
        await n8n.api.patch(where, {"data": {"foo": "x"}})
    changed = await n8n.api.patch(where, {"foo": "x"})
    assert made["id"] == changed["id"]


async def test_a_credential_in_use_can_be_deleted(n8n: Bench, made: Any, path: str) -> None:
    await guarded(n8n, path, made)
    await n8n.api.delete(f"/credentials/{made['id']}")
    assert await knock(n8n, path, "first secret") == 500
    with pytest.raises(N8nNotFound):
        await n8n.api.delete(f"/credentials/{made['id']}")
    with pytest.raises(N8nNotFound):
        await n8n.api.patch(f"/credentials/{made['id']}", {"name": "x"})
    with pytest.raises(N8nNotFound):
        await n8n.api.get(f"/credentials/{made['id']}")


async def test_a_type_is_known_when_it_has_a_schema(n8n: Bench) -> None:
    schema: Any = await n8n.api.get("/credentials/schema/httpHeaderAuth")
    assert {"name", "value"} <= set(schema["properties"])
    with pytest.raises(N8nNotFound):
        await n8n.api.get("/credentials/schema/noSuchType")
