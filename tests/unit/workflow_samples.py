"""Small workflows that several tests start from."""

from __future__ import annotations

from typing import Any


def node(name: str, kind: str, version: float = 1, **more: Any) -> dict[str, Any]:
    """Make a node of n8n's own package as an export has it."""
    return {
        "id": f"id of {name}",
        "name": name,
        "type": f"n8n-nodes-base.{kind}",
        "typeVersion": version,
        "position": [0, 0],
        "parameters": {},
        **more,
    }


def link(*targets: str) -> dict[str, Any]:
    """Make the connections of one node with one output."""
    return {"main": [[{"node": target, "type": "main", "index": 0} for target in targets]]}


def workflow(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Make an export of these nodes, without connections."""
    return {"name": "a workflow", "nodes": list(nodes), "connections": {}, "settings": {}, **more}
