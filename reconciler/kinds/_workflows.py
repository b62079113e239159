"""n8n's workflow endpoints, as the automation kind uses them.

n8n has no optimistic lock, so an update reads the workflow again right before
it writes. A draft is written without publishing and then published by its
version: the version gets a name that tells the revision, and when n8n refuses
to publish, the draft that was there before is put back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

from reconciler.errors import (
    DeadlineExceeded,
    LiveChanged,
    N8nConflict,
    N8nError,
    N8nInvalid,
    N8nNotFound,
)
from reconciler.kinds.kind import Known, Written
from reconciler.resource.address import Address
from reconciler.resource.api import Api
from reconciler.resource.payload import Json, Object, Value
from reconciler.resource.stamp import Stamp
from reconciler.workflow.entry import find_entry_path
from reconciler.workflow.wire import node_ids, to_wire

_WRITABLE = ("name", "nodes", "connections", "settings")
_NOT_SERVED = frozenset({404, 502, 503})  # anything else comes from the webhook itself
_CONFIRM_SECONDS = 120.0  # n8n took 40 s for 1,000 workflows published at once
_VERSION_NAME_LENGTH = 128
_OWN = "reconciler"  # our key in a workflow's static data, beside n8n's "global" and "node:..."


# What n8n takes for "as if it had never been set": a PUT merges settings and refuses null.
_UNSET: Mapping[str, Json] = {
    "saveExecutionProgress": False,
    "saveManualExecutions": True,
    "saveDataErrorExecution": "all",
    "saveDataSuccessExecution": "all",
    "executionTimeout": -1,
    "errorWorkflow": "",
    "timezone": "DEFAULT",
    "executionOrder": "v1",
    "callerPolicy": "workflowsFromSameOwner",
    "callerIds": "",
    "timeSavedPerExecution": 0,
    "availableInMCP": False,
}


async def create(api: Api, address: Address, body: Object) -> Object:
    """Create a draft; its static data says for which row, as not every workflow has our entry."""
    request = _request(_document(address, body, None))
    return await api.post("/workflows", {**request, "staticData": {_OWN: body["marker"]}})


def marker(object_: Object) -> str | None:
    """Find the row id in the static data of a workflow that we created."""
    data = object_.get("staticData")
    found = data.get(_OWN) if isinstance(data, dict) else None
    return found if isinstance(found, str) and found else None


async def update(api: Api, known: Known, body: Object) -> Written:
    """Write a draft; raises LiveChanged when the workflow is not as it was when planned."""
    seen = await api.get(f"/workflows/{known.id}")
    if known.stamp is not None and Stamp.of(seen) != known.stamp:
        message = f"workflow {seen.get('name')!r} was changed in n8n after the plan was made"
        raise LiveChanged(message, hint="look at a new plan: `reconciler plan`")
    if seen.get("isArchived"):
        await api.post(f"/workflows/{known.id}/unarchive")
    document = _document(known.address, body, seen)
    settings = document["settings"]
    assert isinstance(settings, dict)
    gone = {path[1] for path in known.unset if path[:1] == ("settings",) and len(path) > 1}
    document["settings"] = {**{key: _UNSET[key] for key in gone & _UNSET.keys()}, **settings}
    return Written(await _put(api, known.id, document), previous=seen)


def _document(address: Address, body: Object, seen: Object | None) -> Object:
    """Turn the wired n8n side of a payload into what n8n takes."""
    nodes = cast("Mapping[str, Value]", body["nodes"])
    connections = cast("Mapping[str, Value]", body["connections"])
    managed = find_entry_path(nodes) is not None
    ids = node_ids(seen) if seen is not None and not managed else None
    listed, linked = to_wire(nodes, connections, str(address), ids=ids)
    return {
        "name": body["name"],
        "nodes": cast("list[Json]", listed),
        "connections": cast("Object", linked),
        "settings": body.get("settings") or {},
    }


async def publish(api: Api, written: Written, *, live: bool, label: str) -> Object:
    """Publish the draft or take the workflow offline; a refused draft is undone."""
    object_ = written.object
    id_ = str(object_["id"])
    if not live:
        if not object_.get("active"):
            return object_
        return await api.post(f"/workflows/{id_}/unpublish", idempotent=True)
    if object_.get("active") and object_.get("activeVersionId") == object_.get("versionId"):
        return object_
    version = {"versionId": object_["versionId"], "name": label[:_VERSION_NAME_LENGTH]}
    try:
        published = await api.post(f"/workflows/{id_}/publish", version, idempotent=True)
    except (N8nInvalid, N8nConflict) as error:
        await _undo(api, id_, written.previous, error)
        raise
    if published.get("activeVersionId") != object_["versionId"]:
        message = f"workflow {object_.get('name')!r} was published by somebody else meanwhile"
        raise LiveChanged(message, hint="look at a new plan: `reconciler plan`")
    return published


async def confirm(api: Api, object_: Object, entry: str) -> None:
    """Wait until n8n really serves what it said it published: its entry is registered."""
    pause = 0.05
    try:
        async with asyncio.timeout(_CONFIRM_SECONDS):
            while await api.probe(entry) in _NOT_SERVED:
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, 1.0)
    except TimeoutError:
        message = (
            f"n8n accepted workflow {object_.get('name')!r} but did not publish it "
            f"within {_CONFIRM_SECONDS:.0f} s"
        )
        raise DeadlineExceeded(message, hint="look into n8n's log") from None


async def archive(api: Api, id_: str) -> None:
    """Take a workflow offline and archive it; being gone already is fine."""
    try:
        await api.post(f"/workflows/{id_}/archive", idempotent=True)
    except N8nNotFound:
        return


async def delete(api: Api, id_: str) -> None:
    """Delete a workflow for good: offline first, then wait until n8n lets go of it."""
    try:
        await api.post(f"/workflows/{id_}/archive", idempotent=True)
        for attempt in range(8):
            try:
                await api.delete(f"/workflows/{id_}", idempotent=True)
            except N8nConflict:
                await asyncio.sleep(0.02 * 2**attempt)
            else:
                return
        await api.delete(f"/workflows/{id_}", idempotent=True)
    except N8nNotFound:
        return


async def _put(api: Api, id_: str, document: Object) -> Object:
    return await api.put(
        f"/workflows/{id_}", _request(document), idempotent=True, publishIfActive="false"
    )


def _request(document: Object) -> Object:
    return {key: document[key] for key in _WRITABLE}


async def _undo(api: Api, id_: str, previous: Object | None, error: N8nError) -> None:
    """Put the earlier draft back, so that what runs and what is shown agree again."""
    if previous is None:
        return
    try:
        await _put(api, id_, previous)
    except N8nError as second:
        error.hint = f"the earlier draft could not be put back either: {second}"
