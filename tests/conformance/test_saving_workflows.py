"""What n8n takes, keeps and refuses when a workflow is saved."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from reconciler.errors import N8nInvalid, N8nNotFound
from tests.conformance.conftest import Bench
from tests.conformance.samples import moved, node, webhook, workflow


async def test_a_created_workflow_is_answered_whole(n8n: Bench, path: str) -> None:
    body = workflow(path, settings={"executionTimeout": 55, "timezone": "Europe/Berlin"})
    made = await n8n.create(body)
    assert body["nodes"] == made["nodes"]
    assert body["connections"] == made["connections"]
    assert body["settings"] == made["settings"]
    got = (made["name"], made["active"], made["isArchived"], made["activeVersionId"])
    assert ("conformance", False, False, None) == got
    assert made["activeVersion"] is None
    assert made["triggerCount"] == 0
    assert made["versionId"]
    read = await n8n.api.get(f"/workflows/{made['id']}")
    for key in set(read) - {"shared"}:
        assert made[key] == read[key], key


async def test_names_are_not_unique(n8n: Bench) -> None:
    name = f"twin {uuid.uuid4()}"
    first = await n8n.create(workflow("a", name=name))
    second = await n8n.create(workflow("a", name=name))
    assert first["id"] != second["id"]
    rows = [row async for row in n8n.api.pages("/workflows", name=name)]
    assert {first["id"], second["id"]} == {row["id"] for row in rows}


async def test_the_name_filter_finds_parts_of_names(n8n: Bench) -> None:
    part = str(uuid.uuid4())
    made = await n8n.create(workflow("a", name=f"before {part} after"))
    rows = [row async for row in n8n.api.pages("/workflows", name=part)]
    assert [made["id"]] == [row["id"] for row in rows]


async def test_a_row_of_the_list_lacks_the_description_only(n8n: Bench) -> None:
    name = str(uuid.uuid4())
    made = await n8n.create(workflow("a", name=name))
    (row,) = [row async for row in n8n.api.pages("/workflows", name=name)]
    assert {"description", "versionCounter", "sourceWorkflowId"} == {
        key for key in made if key not in row and key != "parentFolder"
    }
    assert made["nodes"] == row["nodes"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"foo": 1}, "request/body Unrecognized key(s) in object: 'foo'"),
    "an id": ({"id": "mine"}, "request/body/id is read-only"),
    "active": ({"active": True}, "request/body/active is read-only"),
    "tags": ({"tags": []}, "request/body/tags is read-only"),
    "meta": ({"meta": None}, "request/body/meta is read-only"),
    "a description": (
        {"description": "x"},
        "request/body Unrecognized key(s) in object: 'description'",
    ),
    "no name at all": ({"name": None}, "request/body/name Expected string, received null"),
    "an empty name": ({"name": ""}, "Workflow name must be 1 to 128 characters long."),
    "a long name": ({"name": "x" * 129}, "Workflow name must be 1 to 128 characters long."),
    "an unknown setting": (
        {"settings": {"zip": 1}},
        "request/body/settings Unrecognized key(s) in object: 'zip'",
    ),
    "a null setting": (
        {"settings": {"timezone": None}},
        "request/body/settings/timezone Expected string, received null",
    ),
    "a setting out of its list": (
        {"settings": {"saveDataErrorExecution": "DEFAULT"}},
        "saveDataErrorExecution Invalid enum value. Expected 'all' | 'none', received 'DEFAULT'",
    ),
    "an unknown node key": (
        {"nodes": [node("A", "noOp", color=1)]},
        "request/body/nodes/0 Unrecognized key(s) in object: 'color'",
    ),
    "nodes that are no list": (
        {"nodes": {}},
        "request/body/nodes Expected array, received object",
    ),
    "one node id twice": (
        {"nodes": [node("A", "noOp"), node("B", "noOp", id="a")], "connections": {}},
        'nodes[1].id (duplicate_node_id): Nodes "A" and "B" share the node ID "a"',
    ),
    "one node name twice": (
        {"nodes": [node("A", "noOp"), node("A", "noOp", id="b")], "connections": {}},
        'nodes[1].name (duplicate_node_name): Duplicate node name "A"',
    ),
    "a connection to nowhere": (
        {
            "nodes": [node("A", "noOp")],
            "connections": {"A": {"main": [[{"node": "Z", "type": "main", "index": 0}]]}},
        },
        "connections.A.main[0][0].node (unknown_connection_target)",
    ),
    "a connection from nowhere": (
        {"nodes": [node("A", "noOp")], "connections": {"Z": {"main": []}}},
        "connections.Z (unknown_connection_source)",
    ),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
async def test_a_workflow_is_refused_with(n8n: Bench, case: str) -> None:
    change, words = REFUSED[case]
    with pytest.raises(N8nInvalid) as caught:
        await n8n.create({**workflow("a"), **change})
    assert words in caught.value.detail
    assert caught.value.status == 400


async def test_settings_are_merged_by_an_update(n8n: Bench) -> None:
    body = workflow("a", settings={"executionTimeout": 55, "saveExecutionProgress": True})
    made = await n8n.create(body)
    put = await n8n.api.put(f"/workflows/{made['id']}", {**body, "settings": {"timezone": "UTC"}})
    expected = {"executionTimeout": 55, "saveExecutionProgress": True, "timezone": "UTC"}
    assert expected == put["settings"]


async def test_three_settings_can_be_taken_back(n8n: Bench) -> None:
    chosen: Any = {"executionTimeout": 55, "timezone": "UTC", "errorWorkflow": "x"}
    body = workflow("a", settings=chosen)
    made = await n8n.create(body)
    back: Any = {"executionTimeout": -1, "timezone": "DEFAULT", "errorWorkflow": "DEFAULT"}
    put = await n8n.api.put(f"/workflows/{made['id']}", {**body, "settings": back})
    assert put["settings"] == {}


async def test_the_binary_mode_is_dropped_without_a_word(n8n: Bench) -> None:
    made = await n8n.create(workflow("a", settings={"binaryMode": "combined"}))
    assert made["settings"] == {}


async def test_only_nodes_and_connections_make_a_version(n8n: Bench) -> None:
    body = workflow("a")
    made = await n8n.create(body)
    where = f"/workflows/{made['id']}"
    same = await n8n.api.put(where, body)
    renamed = await n8n.api.put(where, {**body, "name": "renamed", "settings": {"timezone": "UTC"}})
    changed = await n8n.api.put(where, moved(body, 50))
    assert made["versionId"] == same["versionId"] == renamed["versionId"]
    assert made["versionId"] != changed["versionId"]
    times = [made["updatedAt"], same["updatedAt"], renamed["updatedAt"], changed["updatedAt"]]
    assert times == sorted(set(times))


async def test_a_description_comes_with_an_update_and_stays(n8n: Bench) -> None:
    body = workflow("a")
    made = await n8n.create(body)
    where = f"/workflows/{made['id']}"
    await n8n.api.put(where, {**body, "description": "files invoices"})
    await n8n.api.put(where, body)
    assert (await n8n.api.get(where))["description"] == "files invoices"


async def test_missing_ids_of_nodes_are_made_up_at_every_save(n8n: Bench) -> None:
    body = workflow("a")
    del body["nodes"][0]["webhookId"], body["nodes"][1]["id"]
    made = await n8n.create(body)
    assert made["nodes"][0]["webhookId"]
    assert made["nodes"][1]["id"]
    again: Any = await n8n.api.put(f"/workflows/{made['id']}", body)
    assert made["versionId"] != again["versionId"]
    assert made["nodes"][0]["webhookId"] != again["nodes"][0]["webhookId"]


async def test_parameters_and_type_version_may_be_left_out(n8n: Bench) -> None:
    bare = {"name": "Bare", "type": "n8n-nodes-base.noOp", "position": [0, 0], "id": "bare"}
    made = await n8n.create(workflow("a", bare))
    got = made["nodes"][2]
    assert "Bare" == got["name"]


async def test_a_binding_is_repaired_by_name(n8n: Bench) -> None:
    name = f"key {uuid.uuid4()}"
    body: Any = {"name": name, "type": "httpHeaderAuth", "data": {"name": "X-A", "value": "b"}}
    credential = await n8n.api.post("/credentials", body)
    right = {"httpHeaderAuth": {"id": credential["id"], "name": name}}
    for stale in ({"id": "gone", "name": name}, {"id": credential["id"], "name": "old"}):
        entry = webhook("a", credentials={"httpHeaderAuth": stale})
        made = await n8n.create({**workflow("a"), "nodes": [entry], "connections": {}})
        assert right == made["nodes"][0]["credentials"]
    unknown = {"httpHeaderAuth": {"id": "gone", "name": f"nobody {uuid.uuid4()}"}}
    entry = webhook("a", credentials=unknown)
    made = await n8n.create({**workflow("a"), "nodes": [entry], "connections": {}})
    assert unknown == made["nodes"][0]["credentials"]
    await n8n.api.delete(f"/credentials/{credential['id']}")


async def test_a_binding_without_an_id_gets_somebody_elses_credential(n8n: Bench) -> None:
    body: Any = {
        "name": "stranger",
        "type": "httpHeaderAuth",
        "data": {"name": "X-A", "value": "b"},
    }
    stranger = await n8n.api.post("/credentials", body)
    entry = webhook("a", credentials={"httpHeaderAuth": {"name": f"nobody {uuid.uuid4()}"}})
    made = await n8n.create({**workflow("a"), "nodes": [entry], "connections": {}})
    bound = made["nodes"][0]["credentials"]["httpHeaderAuth"]
    assert set(bound) == {"id", "name"}
    everyone = {row["id"] async for row in n8n.api.pages("/credentials")}
    assert bound["id"] in everyone
    await n8n.api.delete(f"/credentials/{stranger['id']}")


async def test_nobody_knows_an_unknown_id(n8n: Bench) -> None:
    calls = {
        "GET": n8n.api.get("/workflows/nobody"),
        "DELETE": n8n.api.delete("/workflows/nobody"),
        "PUT": n8n.api.put("/workflows/nobody", workflow("a")),
        "publish": n8n.api.post("/workflows/nobody/publish", {}),
        "unpublish": n8n.api.post("/workflows/nobody/unpublish"),
        "archive": n8n.api.post("/workflows/nobody/archive"),
        "unarchive": n8n.api.post("/workflows/nobody/unarchive"),
    }
    for call in calls.values():
        with pytest.raises(N8nNotFound):
            await call
