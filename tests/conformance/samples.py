"""Small workflow bodies for the conformance suite."""

from __future__ import annotations

from typing import Any

WEBHOOK = "n8n-nodes-base.webhook"


def node(name: str, type_: str, parameters: dict[str, Any] | None = None, **more: Any) -> Any:
    """Make a node with an id made of its name."""
    return {
        "id": name.lower(),
        "name": name,
        "type": f"n8n-nodes-base.{type_}",
        "typeVersion": 1,
        "position": [0, 0],
        "parameters": parameters or {},
        **more,
    }


def webhook(path: str, **more: Any) -> Any:
    """Make a POST webhook node named Entry."""
    parameters = {
        "httpMethod": "POST",
        "path": path,
        "responseMode": "onReceived",
        "options": {},
        **more.pop("parameters", {}),
    }
    return node("Entry", "webhook", parameters, **{"typeVersion": 2, "webhookId": path, **more})


def workflow(path: str, *others: Any, name: str = "conformance", **more: Any) -> Any:
    """Make a workflow: Entry, then Next, then the nodes of *others* unconnected."""
    return {
        "name": name,
        "nodes": [webhook(path), node("Next", "noOp", position=[200, 0]), *others],
        "connections": {"Entry": {"main": [[{"node": "Next", "type": "main", "index": 0}]]}},
        "settings": {},
        **more,
    }


def moved(body: Any, to: int) -> Any:
    """Copy *body* with its second node elsewhere, which makes another version."""
    nodes = [dict(item) for item in body["nodes"]]
    nodes[1]["position"] = [200, to]
    return {**body, "nodes": nodes}
