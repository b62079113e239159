"""Between the normal form and what n8n's public API sends and takes.

Ids that n8n would make up at random are derived from the automation's address
instead, so that sending the same workflow twice is the same request.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

from reconciler.resource.payload import Json, Value
from reconciler.workflow.catalog import shipped_catalog
from reconciler.workflow.nodes import calls_workflow
from reconciler.workflow.normal import nodes_of, normalize

_SPACE = uuid.UUID("5b8f3d0e-6d0c-4f43-9a57-1f6f0f6c8d21")

UnrefWorkflow = Callable[[str], Value]
UnrefCredential = Callable[[str, Mapping[str, Json]], Value]


def to_wire(
    nodes: Mapping[str, Value],
    connections: Mapping[str, Value],
    address: str,
    *,
    ids: Mapping[str, str] | None = None,
    name_of: Callable[[Value], Value] | None = None,
) -> tuple[list[Value], dict[str, Value]]:
    """Give the nodes (a list, by name) and connections as the public API takes them.

    *ids* keeps the ids of nodes that already exist; *name_of* tells a credential's name by its
    leaf. References inside may still be references.
    """
    catalog = shipped_catalog()
    sent: list[Value] = []
    for name, node in sorted(nodes_of({"nodes": dict(nodes)}).items()):
        one = dict(node)
        kind = catalog.get(one.get("type"))
        if kind is not None and kind.webhook != "none":
            one.setdefault("webhookId", webhook_id(address, name))
        credentials = one.get("credentials")
        if isinstance(credentials, dict):
            one["credentials"] = {
                slot: _bound(leaf, name_of) for slot, leaf in sorted(credentials.items())
            }
        sent.append({"id": (ids or {}).get(name) or node_id(address, name), "name": name, **one})
    return sent, dict(connections)


def node_id(address: str, name: str) -> str:
    """The id that we give the node *name* of the automation at *address*."""
    return str(uuid.uuid5(_SPACE, f"node\n{address}\n{name}"))


def webhook_id(address: str, name: str) -> str:
    """The webhookId that we give that node where n8n would take a random one."""
    return str(uuid.uuid5(_SPACE, f"webhook\n{address}\n{name}"))


def node_ids(obj: Mapping[str, Json]) -> dict[str, str]:
    """The ids of the nodes of an n8n object, by node name."""
    return dict(normalize(obj).ids)


def canonical_nodes(
    obj: Mapping[str, Json],
    unref_workflow: UnrefWorkflow,
    unref_credential: UnrefCredential,
    *,
    address: str | None = None,
) -> dict[str, Value]:
    """Bring an n8n object (or one of its versions) into the form that the specs have.

    *unref_workflow* and *unref_credential* turn what n8n holds into references where they can;
    with *address* the webhookIds that `to_wire` made up are left out again.
    """
    normal = normalize(obj)
    raw_nodes = obj.get("nodes")
    for name, node in normal.nodes.items():
        at = normal.origin[name]
        raw = raw_nodes[at] if isinstance(raw_nodes, list) and isinstance(at, int) else {}
        held = raw.get("credentials") if isinstance(raw, dict) else None
        credentials = node.get("credentials")
        if isinstance(credentials, dict):
            for slot in credentials:
                leaf = held.get(slot) if isinstance(held, dict) else None
                if isinstance(leaf, dict):
                    credentials[slot] = unref_credential(slot, leaf)
        if calls_workflow(node.get("type")):
            _unref_target(node, unref_workflow)
        own = node.get("webhookId")
        if own and address is not None and own == webhook_id(address, name):
            del node["webhookId"]
    settings = normal.document["settings"]
    if isinstance(settings, dict) and isinstance(error := settings.get("errorWorkflow"), str):
        settings["errorWorkflow"] = unref_workflow(error)
    return normal.document


def _bound(leaf: Value, name_of: Callable[[Value], Value] | None) -> Value:
    if isinstance(leaf, dict):
        return {"id": None, **leaf}  # n8n looks for the only credential of that name
    return {"id": leaf, "name": name_of(leaf) if name_of else ""}


def _unref_target(node: dict[str, Value], unref_workflow: UnrefWorkflow) -> None:
    parameters = node.get("parameters")
    if not isinstance(parameters, dict):
        return
    node["parameters"] = parameters = dict(parameters)  # it is still n8n's own object
    locator = parameters.get("workflowId")
    holder, key = (locator, "value") if isinstance(locator, dict) else (parameters, "workflowId")
    target = holder.get(key)
    if isinstance(target, str) and target and not target.startswith("="):
        holder[key] = unref_workflow(target)
