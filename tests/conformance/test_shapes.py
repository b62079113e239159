"""Which fields each answer has: what a kind may rely on without asking again."""

from __future__ import annotations

import uuid

from tests.conformance.conftest import Bench
from tests.conformance.samples import moved, workflow

ALWAYS = {
    "id",
    "name",
    "active",
    "activeVersionId",
    "createdAt",
    "updatedAt",
    "isArchived",
    "versionId",
    "triggerCount",
    "nodes",
    "connections",
    "nodeGroups",
    "settings",
    "staticData",
    "pinData",
    "meta",
    "activeVersion",
}
ALONE = ALWAYS | {"description", "versionCounter", "sourceWorkflowId"}  # not in a list
VERSION = {
    "versionId",
    "workflowId",
    "nodes",
    "connections",
    "nodeGroups",
    "authors",
    "name",
    "description",
    "autosaved",
    "createdAt",
    "updatedAt",
}


async def test_each_answer_has_its_fields(n8n: Bench, path: str) -> None:
    name = str(uuid.uuid4())
    body = workflow(path, name=name)
    made = await n8n.create(body)
    where = f"/workflows/{made['id']}"
    assert set(made) == ALONE | {"tags", "shared", "parentFolder"}
    assert set(await n8n.api.get(where)) == ALONE | {"tags", "shared"}
    assert set(await n8n.api.put(where, moved(body, 9))) == ALONE | {"tags"}
    assert set(await n8n.api.post(f"{where}/publish", {})) == ALONE
    (row,) = [row async for row in n8n.api.pages("/workflows", name=name)]
    assert set(row) == ALWAYS | {"tags", "shared"}
    pinless = [r async for r in n8n.api.pages("/workflows", name=name, excludePinnedData=True)]
    assert [set(r) for r in pinless] == [set(row) - {"pinData"}]
    for action in ("unpublish", "archive", "unarchive"):
        answer = await n8n.api.post(f"{where}/{action}")
        assert ALONE | {"shared"} <= set(answer) <= ALONE | {"tags", "shared"}


async def test_a_published_version_has_its_fields(n8n: Bench, path: str) -> None:
    body = workflow(path)
    made = await n8n.create(body)
    where = f"/workflows/{made['id']}"
    published = await n8n.api.post(f"{where}/publish", {})
    updated = await n8n.api.put(where, moved(body, 9))
    for answer in (published, updated, await n8n.api.get(where)):
        version = answer["activeVersion"]
        assert isinstance(version, dict)
        assert VERSION <= set(version) <= VERSION | {"workflowPublishHistory"}
        assert made["id"] == version["workflowId"]
        assert answer["activeVersionId"] == version["versionId"]
