"""A workflow that was applied, edited in n8n and downloaded over its file is the same automation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reconciler.app import check, load_specs
from reconciler.engine.compile import Compiled
from reconciler.resource.address import Address
from reconciler.resource.payload import wire
from reconciler.settings import Settings
from reconciler.workflow.entry import ENTRY_NAME
from reconciler.workflow.wire import to_wire

GREETING = Address("acme", "Automation", "greeting")
SPECS = """\
apiVersion: reconciler/v1
kind: Organization
metadata: {name: acme, organization: acme}
spec: {title: Acme, members: [{email: ops@acme.example, role: ADMIN}]}
---
apiVersion: reconciler/v1
kind: Automation
metadata: {name: greeting, organization: acme}
spec:
  title: Greeting
  createdBy: ops@acme.example
  workflow: {file: greeting.json}
"""
WORKFLOW = {
    "name": "Greeting",
    "nodes": [
        {
            "id": "1",
            "name": "By hand",
            "type": "n8n-nodes-base.manualTrigger",
            "typeVersion": 1,
            "position": [0, 0],
            "parameters": {},
        },
        {
            "id": "2",
            "name": "Done",
            "type": "n8n-nodes-base.noOp",
            "typeVersion": 1,
            "position": [220, 0],
            "parameters": {},
        },
    ],
    "connections": {"By hand": {"main": [[{"node": "Done", "type": "main", "index": 0}]]}},
    "settings": {"executionOrder": "v1"},
}


def compiled(root: Path, workflow: dict[str, Any]) -> Compiled:
    """Check the specs with *workflow* in the file that they name."""
    (root / "specs.yaml").write_text(SPECS, encoding="utf-8")
    (root / "greeting.json").write_text(json.dumps(workflow), encoding="utf-8")
    return check(load_specs(root), Settings(specs=root))


def as_downloaded(document: Any) -> dict[str, Any]:
    """Give what n8n's editor writes for an applied *document*."""
    plain: Any = wire(document, lambda ref: f"id-of-{ref.address.name}", lambda _: "unused")
    nodes, connections = to_wire(plain["nodes"], plain["connections"], str(GREETING))
    kept = {key: plain[key] for key in ("name", "settings")}
    return {**kept, "nodes": nodes, "connections": connections, "active": True, "versionId": "v"}


def test_a_downloaded_workflow_asks_for_nothing_new(tmp_path: Path) -> None:
    applied = compiled(tmp_path, WORKFLOW)
    downloaded = as_downloaded(applied.desired[GREETING].payload["n8n"])
    assert ENTRY_NAME in {node["name"] for node in downloaded["nodes"]}

    again = compiled(tmp_path, downloaded)

    assert [d for d in again.diagnostics if d.is_error] == []
    assert applied.desired[GREETING].payload == again.desired[GREETING].payload


def test_an_edit_in_a_downloaded_workflow_is_the_only_change(tmp_path: Path) -> None:
    applied = compiled(tmp_path, WORKFLOW).desired[GREETING].payload
    downloaded = as_downloaded(applied["n8n"])
    next(node for node in downloaded["nodes"] if node["name"] == "Done")["disabled"] = True

    n8n: Any = compiled(tmp_path, downloaded).desired[GREETING].payload["n8n"]

    assert n8n["nodes"].pop("Done")["disabled"] is True
    before: Any = applied["n8n"]
    assert n8n["nodes"] == {name: node for name, node in before["nodes"].items() if name != "Done"}
