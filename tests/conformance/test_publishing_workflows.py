"""What is live, what is only a draft, and how a workflow leaves."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from reconciler.errors import N8nConflict, N8nInvalid, N8nNotFound
from tests.conformance.conftest import Bench
from tests.conformance.samples import moved, node, webhook, workflow

UNKNOWN = "n8n-nodes-base.thereIsNoSuchNode"


async def test_the_answer_to_publish_names_the_version(n8n: Bench, path: str) -> None:
    made = await n8n.create(workflow(path))
    body = {"versionId": made["versionId"], "name": "3f2a1c", "description": "from git"}
    shown = await n8n.api.post(f"/workflows/{made['id']}/publish", body)
    assert shown["active"] is True
    assert made["versionId"] == shown["versionId"] == shown["activeVersionId"]
    version: Any = shown["activeVersion"]
    assert made["versionId"] == version["versionId"]
    assert made["nodes"] == version["nodes"]
    assert made["connections"] == version["connections"]
    assert ("3f2a1c", "from git") == (version["name"], version["description"])
    assert made["updatedAt"] == shown["updatedAt"]


async def test_the_webhook_comes_some_time_after_publish(n8n: Bench, path: str) -> None:
    made = await n8n.create(workflow(path))
    assert await n8n.api.probe(path) == 404
    await n8n.api.post(f"/workflows/{made['id']}/publish", {})
    assert await n8n.until_answered(path) == 200
    assert (await n8n.api.get(f"/workflows/{made['id']}"))["triggerCount"] == 1


async def test_publishing_twice_renames_the_version(n8n: Bench, path: str) -> None:
    made = await n8n.published(workflow(path))
    again: Any = await n8n.api.post(f"/workflows/{made['id']}/publish", {"name": "second"})
    assert made["activeVersionId"] == again["activeVersionId"]
    assert again["activeVersion"]["name"] == "second"


async def test_an_unknown_version_cannot_be_published(n8n: Bench, path: str) -> None:
    made = await n8n.create(workflow(path))
    with pytest.raises(N8nNotFound, match="Version not found"):
        await n8n.api.post(f"/workflows/{made['id']}/publish", {"versionId": str(uuid.uuid4())})


async def test_an_older_version_can_be_published_again(n8n: Bench, path: str) -> None:
    body = workflow(path)
    first = await n8n.published(body)
    where = f"/workflows/{first['id']}"
    second = await n8n.api.put(where, moved(body, 70))
    assert second["versionId"] == second["activeVersionId"]
    back = await n8n.api.post(f"{where}/publish", {"versionId": first["versionId"]})
    assert (second["versionId"], first["versionId"]) == (
        back["versionId"],
        back["activeVersionId"],
    )
    old = await n8n.api.get(f"{where}/versions/{first['versionId']}")
    assert first["nodes"] == old["nodes"]


async def test_an_update_of_a_published_workflow_goes_live(n8n: Bench, path: str) -> None:
    body = workflow(path)
    made = await n8n.published(body)
    put = await n8n.api.put(f"/workflows/{made['id']}", moved(body, 70))
    assert made["versionId"] != put["versionId"]
    assert put["versionId"] == put["activeVersionId"]


async def test_an_update_can_leave_the_live_version(n8n: Bench, path: str) -> None:
    body = workflow(path)
    made = await n8n.published(body)
    put: Any = await n8n.api.put(f"/workflows/{made['id']}", moved(body, 70), publishIfActive=False)
    assert made["versionId"] != put["versionId"]
    assert made["versionId"] == put["activeVersionId"]
    assert body["nodes"] == put["activeVersion"]["nodes"]
    assert moved(body, 70)["nodes"] == put["nodes"]


async def test_a_refused_update_has_saved_the_draft(n8n: Bench, path: str) -> None:
    body = workflow(path)
    made = await n8n.published(body)
    where = f"/workflows/{made['id']}"
    broken = {**body, "nodes": [body["nodes"][0], {**body["nodes"][1], "type": UNKNOWN}]}
    with pytest.raises(N8nInvalid, match="Unrecognized node type"):
        await n8n.api.put(where, broken)
    found: Any = await n8n.api.get(where)
    assert broken["nodes"] == found["nodes"]
    assert body["nodes"] == found["activeVersion"]["nodes"]
    assert made["versionId"] == found["activeVersionId"] != found["versionId"]
    assert found["active"] is True
    assert await n8n.api.probe(path) == 200


async def test_a_taken_path_cannot_be_published(n8n: Bench, path: str) -> None:
    await n8n.published(workflow(path))
    other = await n8n.create(workflow(path))
    with pytest.raises(N8nConflict, match="conflict with one of the webhooks"):
        await n8n.api.post(f"/workflows/{other['id']}/publish", {})
    assert (await n8n.api.get(f"/workflows/{other['id']}"))["active"] is False


CANNOT: dict[str, tuple[list[Any], str]] = {
    "an unknown node type": (
        [webhook("x"), {**node("Odd", "noOp"), "type": UNKNOWN}],
        f"Unrecognized node type: {UNKNOWN}",
    ),
    "no trigger": ([node("Alone", "noOp")], "has no trigger node"),
    "a manual trigger only": ([node("By hand", "manualTrigger")], "has no trigger node"),
    "a disabled trigger": ([webhook("x", disabled=True)], "has no trigger node"),
    "no credential where one is asked for": (
        [webhook("x", parameters={"authentication": "headerAuth"})],
        'Node "Entry":\n  - Missing required credential: httpHeaderAuth',
    ),
}


@pytest.mark.parametrize("case", sorted(CANNOT))
async def test_a_workflow_cannot_be_published_with(n8n: Bench, case: str) -> None:
    nodes, words = CANNOT[case]
    made = await n8n.create({**workflow("x"), "nodes": nodes, "connections": {}})
    with pytest.raises(N8nInvalid) as caught:
        await n8n.api.post(f"/workflows/{made['id']}/publish", {})
    assert words in caught.value.detail
    assert (await n8n.api.get(f"/workflows/{made['id']}"))["activeVersionId"] is None


async def test_a_missing_parameter_stops_a_connected_node_only(n8n: Bench, path: str) -> None:
    call = node("Call", "httpRequest", typeVersion=4.2)
    made = await n8n.create(workflow(path, call))
    where = f"/workflows/{made['id']}"
    await n8n.api.post(f"{where}/publish", {})
    wired = workflow(path, call)
    wired["connections"]["Next"] = {"main": [[{"node": "Call", "type": "main", "index": 0}]]}
    with pytest.raises(N8nInvalid, match="Missing or invalid required parameters: url"):
        await n8n.api.put(where, wired)


async def test_a_called_workflow_must_be_published_first(n8n: Bench, path: str) -> None:
    called = await n8n.create(
        {
            "name": "called",
            "nodes": [
                node(
                    "When called",
                    "executeWorkflowTrigger",
                    {"inputSource": "passthrough"},
                    typeVersion=1.1,
                )
            ],
            "connections": {},
            "settings": {},
        }
    )
    target = {"__rl": True, "mode": "id", "value": called["id"]}
    call = node("Call", "executeWorkflow", {"workflowId": target, "options": {}}, typeVersion=1.2)
    caller = await n8n.create(workflow(path, call))
    with pytest.raises(N8nInvalid, match="which is not published"):
        await n8n.api.post(f"/workflows/{caller['id']}/publish", {})
    await n8n.api.post(f"/workflows/{called['id']}/publish", {})
    shown = await n8n.api.post(f"/workflows/{caller['id']}/publish", {})
    assert shown["active"] is True


async def test_unpublishing_leaves_a_draft(n8n: Bench, path: str) -> None:
    made = await n8n.published(workflow(path))
    where = f"/workflows/{made['id']}"
    for _ in range(2):
        shown = await n8n.api.post(f"{where}/unpublish")
        assert (False, None, None) == (
            shown["active"],
            shown["activeVersionId"],
            shown["activeVersion"],
        )
        assert made["versionId"] == shown["versionId"]
    assert await n8n.until_gone(path) == 404


async def test_a_published_workflow_cannot_be_deleted(n8n: Bench, path: str) -> None:
    made = await n8n.published(workflow(path))
    with pytest.raises(N8nConflict, match="Cannot delete a published workflow"):
        await n8n.api.delete(f"/workflows/{made['id']}")


async def test_deleting_waits_for_unpublishing(n8n: Bench, path: str) -> None:
    made = await n8n.published(workflow(path))
    where = f"/workflows/{made['id']}"
    await n8n.api.post(f"{where}/unpublish")
    await n8n.until_gone(path)
    gone = await n8n.api.delete(where)
    assert made["id"] == gone["id"]
    with pytest.raises(N8nNotFound):
        await n8n.api.get(where)


async def test_an_archived_workflow_is_kept_and_untouchable(n8n: Bench, path: str) -> None:
    name = str(uuid.uuid4())
    made = await n8n.published(workflow(path, name=name))
    where = f"/workflows/{made['id']}"
    archived = await n8n.api.post(f"{where}/archive")
    assert (True, False, None) == (
        archived["isArchived"],
        archived["active"],
        archived["activeVersionId"],
    )
    assert made["versionId"] != archived["versionId"]
    again = await n8n.api.post(f"{where}/archive")
    assert archived["versionId"] == again["versionId"]
    (row,) = [row async for row in n8n.api.pages("/workflows", name=name)]
    assert row["isArchived"] is True
    with pytest.raises(N8nInvalid, match="Cannot update an archived workflow"):
        await n8n.api.put(where, workflow(path))
    with pytest.raises(N8nInvalid, match="Cannot activate an archived workflow"):
        await n8n.api.post(f"{where}/publish", {})
    assert await n8n.until_gone(path) == 404


async def test_the_answer_to_archive_shows_an_old_time(n8n: Bench, path: str) -> None:
    made = await n8n.create(workflow(path))
    archived = await n8n.api.post(f"/workflows/{made['id']}/archive")
    found = await n8n.api.get(f"/workflows/{made['id']}")
    assert made["updatedAt"] == archived["updatedAt"] != found["updatedAt"]
    assert archived["versionId"] == found["versionId"]


async def test_unarchiving_gives_back_a_draft(n8n: Bench, path: str) -> None:
    made = await n8n.published(workflow(path))
    where = f"/workflows/{made['id']}"
    archived = await n8n.api.post(f"{where}/archive")
    restored = await n8n.api.post(f"{where}/unarchive")
    assert (False, False) == (restored["isArchived"], restored["active"])
    assert archived["versionId"] != restored["versionId"]
    assert made["nodes"] == restored["nodes"]
    with pytest.raises(N8nInvalid, match="Workflow is not archived"):
        await n8n.api.post(f"{where}/unarchive")
    shown = await n8n.api.post(f"{where}/publish", {})
    assert shown["active"] is True


async def test_an_archived_workflow_can_be_deleted(n8n: Bench, path: str) -> None:
    made = await n8n.create(workflow(path))
    await n8n.api.post(f"/workflows/{made['id']}/archive")
    await n8n.api.delete(f"/workflows/{made['id']}")
    with pytest.raises(N8nNotFound):
        await n8n.api.delete(f"/workflows/{made['id']}")
