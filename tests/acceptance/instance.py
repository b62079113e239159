"""Looks into an n8n, fake or real, and changes things there as a person does by hand."""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable
from typing import Any

import httpx

_WRITABLE = ("name", "nodes", "connections", "settings")
_VOLATILE = frozenset(
    {
        "id",
        "createdAt",
        "updatedAt",
        "versionId",
        "activeVersionId",
        "versionCounter",
        "triggerCount",
        "webhookId",
        "shared",
        "workflowId",
        "workflowPublishHistory",
        "authors",
        "path",
        "scopes",
        "isManaged",
        "reconciler",  # our marker in staticData: the row id
    }
)


class Instance:
    """An n8n and its API key."""

    def __init__(self, url: str, api_key: str) -> None:
        headers = {"X-N8N-API-KEY": api_key}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False)

    def close(self) -> None:
        self.http.close()

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Make one call to the public API and return its answer."""
        answer = self.http.request(method, f"/api/v1{path}", json=body, params=query)
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def all(self, collection: str, prefix: str = "") -> list[Any]:
        """List all objects whose name begins with *prefix*."""
        found, query = [], {"limit": "250"}
        while True:
            page = self.call("GET", f"/{collection}", **query)
            found += page["data"]
            if not page.get("nextCursor"):
                break
            query = {"limit": "250", "cursor": page["nextCursor"]}
        return [item for item in found if item["name"].startswith(prefix)]

    def workflows(self, prefix: str = "") -> list[Any]:
        return self.all("workflows", prefix)

    def credentials(self, prefix: str = "") -> list[Any]:
        return self.all("credentials", prefix)

    def workflow(self, name: str) -> Any:
        """Find the one workflow that is called *name*."""
        found = [w for w in self.workflows(name) if w["name"] == name]
        assert len(found) == 1, f"{len(found)} workflows are called {name}"
        return self.call("GET", f"/workflows/{found[0]['id']}")

    def edit(self, id_: str, change: Callable[[Any], object], *, live: bool = False) -> Any:
        """Change a workflow's draft as the editor does; *live* publishes it, too."""
        body = self.call("GET", f"/workflows/{id_}")
        body = copy.deepcopy({key: body[key] for key in _WRITABLE})
        change(body)
        return self.call("PUT", f"/workflows/{id_}", body, publishIfActive=str(live).lower())

    def says(self, id_: str, text: str, *, live: bool = False) -> Any:
        """Edit what the node Say says."""

        def change(body: Any) -> None:
            named(body, "Say")["parameters"]["assignments"]["assignments"][0]["value"] = text

        return self.edit(id_, change, live=live)

    def remove(self, id_: str) -> None:
        """Delete a workflow for good, as soon as n8n lets go of it."""
        if self.http.post(f"/api/v1/workflows/{id_}/archive").status_code == 404:
            return
        deadline = time.monotonic() + 60
        while self.http.delete(f"/api/v1/workflows/{id_}").status_code == 409:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def clean_up(self, prefix: str) -> None:
        """Delete everything whose name begins with *prefix*."""
        for workflow in self.workflows(prefix):
            self.remove(workflow["id"])
        for credential in self.credentials():
            if credential["name"].startswith((prefix, f"reconciler {prefix}")):
                self.http.delete(f"/api/v1/credentials/{credential['id']}")

    def probe(self, path: str) -> int:
        """Knock at a webhook without its secret."""
        return self.http.post(f"/webhook/{path}").status_code

    def normal(self, prefix: str = "") -> Any:
        """Everything there, without what differs between two equal runs: ids and times."""
        workflows = self.workflows(prefix)
        credentials = [
            {"name": _unmarked(c["name"]), "type": c["type"]} for c in self.credentials()
        ]
        ids = {w["id"]: w["name"] for w in workflows}
        return {
            "workflows": sorted((_plain(w, ids) for w in workflows), key=str),
            "credentials": sorted((c for c in credentials if prefix in c["name"]), key=str),
        }


def named(body: Any, name: str) -> Any:
    """Find a node by its name."""
    return next(node for node in body["nodes"] if node["name"] == name)


def entry(workflow: Any) -> str:
    """Tell the path of the managed entry of a workflow."""
    found = next(n for n in workflow["nodes"] if n["type"] == "n8n-nodes-base.webhook")
    return str(found["parameters"]["path"])


def _unmarked(name: str) -> str:
    return re.sub(r" \[[a-z0-9]{8}\]$", " [marker]", name)


def _plain(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner, ids) for key, inner in value.items() if key not in _VOLATILE}
    if isinstance(value, list):
        return [_plain(inner, ids) for inner in value]
    if isinstance(value, str):
        return ids.get(value, _unmarked(value))
    return value
