"""Writes small spec folders, one piece at a time, as a person does in an editor."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OWNER = "ops@acme.example"


@dataclass(frozen=True, slots=True)
class Repository:
    """The spec folder of one organization."""

    root: Path  # the folder that --specs names
    name: str  # of the organization

    @property
    def home(self) -> Path:
        return self.root / "organizations" / self.name

    def organization(self) -> Repository:
        """Declare the organization."""
        self._write("organization.yaml", "Organization", self.name, _organization(self.name))
        return self

    def automation(self, name: str, *, says: str = "hello", **more: Any) -> Repository:
        """Declare an automation whose one node sets a field to *says*; *more* goes into the spec."""
        self.workflow(name, says_workflow(says))
        title = more.pop("title", f"{self.name} {name}")
        spec = {
            "title": title,
            "createdBy": OWNER,
            "workflow": {"file": f"workflows/{name}.json", **more.pop("workflow", {})},
            **more,
        }
        self._write(f"{name}.yaml", "Automation", name, spec)
        return self

    def workflow(self, name: str, document: Any) -> Repository:
        """Write a workflow file."""
        path = self.home / f"workflows/{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2), encoding="utf-8")
        return self

    def credential(self, name: str, env: str, **more: Any) -> Repository:
        """Declare a header credential whose secret is in the variable *env*."""
        spec = {
            "title": f"{self.name} {name}",
            "provider": "OTHER",
            "n8nType": "httpHeaderAuth",
            "owner": OWNER,
            "data": {"name": "X-Key", "value": {"secretRef": {"env": env}}},
            **more,
        }
        self._write(f"{name}.yaml", "Credential", name, spec)
        return self

    def drop(self, name: str) -> Repository:
        """Delete a document."""
        (self.home / f"{name}.yaml").unlink()
        return self

    def edit(self, name: str, old: str, new: str) -> Repository:
        """Replace a piece of a file below the organization's folder."""
        path = self.home / name
        text = path.read_text(encoding="utf-8")
        assert old in text, text
        path.write_text(text.replace(old, new), encoding="utf-8")
        return self

    def text(self, name: str, text: str) -> Repository:
        """Write a file as it is."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return self

    def _write(self, file: str, kind: str, name: str, spec: Any) -> None:
        # JSON is YAML, too, and needs no library here.
        document = {
            "apiVersion": "reconciler/v1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / file).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _organization(name: str) -> Any:
    return {"title": name.capitalize(), "members": [{"email": OWNER, "role": "ADMIN"}]}


def says_workflow(text: str) -> Any:
    """Make a workflow that starts by hand and sets the field `text`."""
    value = {"id": "text", "name": "text", "value": text, "type": "string"}
    return {
        "name": "says",
        "nodes": [
            node("Start", "manualTrigger", {}, [0, 0]),
            node("Say", "set", {"assignments": {"assignments": [value]}, "options": {}}, [220, 0]),
        ],
        "connections": {"Start": {"main": [[{"node": "Say", "type": "main", "index": 0}]]}},
        "settings": {"executionOrder": "v1"},
    }


def node(name: str, type_: str, parameters: Any, position: list[int], **more: Any) -> Any:
    """Make a node of n8n's own."""
    versions = {"set": 3.4, "webhook": 2, "executeWorkflow": 1.2, "httpRequest": 4.2}
    return {
        "parameters": parameters,
        "type": f"n8n-nodes-base.{type_}",
        "typeVersion": versions.get(type_, 1),
        "position": position,
        "name": name,
        **more,
    }
