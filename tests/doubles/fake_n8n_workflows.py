"""How a `FakeN8n` saves, publishes and deletes workflows."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from tests.doubles import fake_n8n_rules as rules
from tests.doubles.fake_n8n_rules import Refused
from tests.doubles.fake_n8n_state import State, Version, Workflow

Json = dict[str, Any]
_NO_PERMISSION = (
    "You do not have permission to {} this workflow. Ask the owner to share it with you."
)
_CONFLICT = "There is a conflict with one of the webhooks."


class Workflows:
    """The workflow endpoints over a `State`."""

    def __init__(self, state: State, seed: int, node_types: Collection[str], lag: int) -> None:
        self.state = state
        self.seed = seed
        self.node_types = node_types
        self.lag = lag

    # Saving.

    def create(self, body: Any) -> Json:
        rules.check_workflow(body, "POST")
        _no_projects(body)
        rules.check_structure(body["nodes"], body["connections"])
        version = self._version(body)
        workflow = Workflow(
            id=self.state.new_id(self.seed),
            name=body["name"],
            settings=_cleaned(body["settings"]),
            version_id=version.id,
            versions={version.id: version},
            created_at=version.created_at,
            updated_at=version.created_at,
            static_data=body.get("staticData"),
            pin_data=body.get("pinData"),
            node_groups=body.get("nodeGroups") or [],
        )
        self.state.workflows[workflow.id] = workflow
        return {**shown(workflow), "shared": _shared(workflow), "parentFolder": None}

    def update(self, id_: str, body: Any, *, publish: bool) -> Json:
        rules.check_workflow(body, "PUT")
        workflow = self._find(id_, _NO_PERMISSION.format("update"))
        if workflow.archived:
            raise Refused(400, "Cannot update an archived workflow.")
        _no_projects(body)
        self._bind(body["nodes"])
        draft = workflow.draft
        changed = (body["nodes"], body["connections"]) != (draft.nodes, draft.connections)
        if changed:
            rules.check_structure(body["nodes"], body["connections"])
            draft = self._version(body)
        settings = _cleaned({**workflow.settings, **body["settings"]})
        saved = replace(
            workflow,
            name=body["name"],
            description=body.get("description", workflow.description),
            settings=settings,
            version_id=draft.id,
            versions={**workflow.versions, draft.id: draft},
            updated_at=self.state.now(),
            counter=workflow.counter + (changed or settings != workflow.settings),
            static_data=body.get("staticData", workflow.static_data),
            pin_data=body.get("pinData", workflow.pin_data),
            node_groups=body.get("nodeGroups", workflow.node_groups),
        )
        self.state.workflows[id_] = saved  # kept even if publishing is refused
        if saved.active_id is not None and publish:
            saved = self._activate(saved, draft.id)
        return shown(saved)

    # Publishing.

    def publish(self, id_: str, body: Any) -> Json:
        workflow = self._find(id_, _NO_PERMISSION.format("activate"))
        if workflow.archived:
            raise Refused(400, "Cannot activate an archived workflow.")
        asked = body or {}
        published = self._activate(workflow, asked.get("versionId") or workflow.version_id)
        named = {key: asked[key] for key in ("name", "description") if key in asked}
        if named:
            version = replace(published.versions[str(published.active_id)], **named)
            published = replace(published, versions={**published.versions, version.id: version})
            self.state.workflows[id_] = published
        return {key: value for key, value in shown(published).items() if key != "tags"}

    def unpublish(self, id_: str) -> Json:
        workflow = self._retire(self._find(id_, _NO_PERMISSION.format("deactivate")))
        return {**shown(workflow), "shared": _shared(workflow)}

    def archive(self, id_: str) -> Json:
        workflow = self._find(id_, "Workflow not found")
        if not workflow.archived:
            workflow = self._mark(self._retire(workflow), archived=True)
        return {**shown(workflow), "shared": _shared(workflow)}

    def unarchive(self, id_: str) -> Json:
        workflow = self._find(id_, "Workflow not found")
        if not workflow.archived:
            raise Refused(400, "Workflow is not archived.")
        workflow = self._mark(workflow, archived=False)
        return {**shown(workflow), "shared": _shared(workflow)}

    def delete(self, id_: str) -> Json:
        workflow = self._find(id_, "Not Found")
        if workflow.active_id is not None:
            raise Refused(409, "Cannot delete a published workflow. Unpublish it before deleting.")
        if workflow.live_id is not None:
            raise Refused(
                409, "Workflow is still being unpublished. Please try again in a few moments."
            )
        del self.state.workflows[id_]
        return {**shown(workflow), "shared": _shared(workflow)}

    # Reading.

    def get(self, id_: str) -> Json:
        workflow = self._find(id_, "Not Found")
        return {**shown(workflow), "shared": _shared(workflow)}

    def version(self, id_: str, version_id: str) -> Json:
        workflow = self._find(id_, "Workflow not found")
        if version_id not in workflow.versions:
            raise Refused(404, "Version not found")
        return _shown_version(workflow.id, workflow.versions[version_id])

    def listing(self, query: dict[str, str]) -> list[Workflow]:
        name, active = query.get("name", ""), query.get("active")
        return [
            workflow
            for _, workflow in sorted(self.state.workflows.items())
            if name in workflow.name
            and (active is None or (workflow.active_id is not None) == (active == "true"))
        ]

    # What happens later.

    def settle(self, id_: str) -> None:
        """Let what was published or unpublished take effect."""
        self.state.pending.pop(id_, None)
        workflow = self.state.workflows.get(id_)
        if workflow is None:
            return
        for method, path, _ in rules.hooks(workflow.live.nodes) if workflow.live else ():
            if self.state.hooks.get((method, path)) == id_:
                del self.state.hooks[method, path]
        active = workflow.active
        for method, path, _ in rules.hooks(active.nodes) if active else ():
            self.state.hooks.setdefault((method, path), id_)
        count = rules.count_triggers(active.nodes) if active else workflow.trigger_count
        self.state.workflows[id_] = replace(
            workflow, live_id=workflow.active_id, trigger_count=count
        )

    def _activate(self, workflow: Workflow, version_id: str) -> Workflow:
        if version_id not in workflow.versions:
            raise Refused(404, "Version not found")
        version = workflow.versions[version_id]
        for method, path, _ in rules.hooks(version.nodes):
            if self.state.hooks.get((method, path), workflow.id) != workflow.id:
                raise Refused(409, _CONFLICT)
        rules.check_publishable(
            version.nodes, version.connections, self.node_types, self._status(workflow.id)
        )
        active = replace(workflow, active_id=version_id)
        self._later(active)
        return active

    def _status(self, caller: str) -> Any:
        def status(id_: str) -> tuple[str | None, bool]:
            called = self.state.workflows.get(id_)
            if called is None:
                return None, False
            return called.name, id_ == caller or called.active_id is not None

        return status

    def _retire(self, workflow: Workflow) -> Workflow:
        if workflow.active_id is None:
            return workflow
        retired = replace(workflow, active_id=None)
        self._later(retired)
        return retired

    def _later(self, workflow: Workflow) -> None:
        self.state.workflows[workflow.id] = workflow
        self.state.pending[workflow.id] = self.state.calls + self.lag

    def _mark(self, workflow: Workflow, *, archived: bool) -> Workflow:
        """Archive or restore, which makes a version; the answer still shows the old time."""
        version = replace(workflow.draft, id=self.state.new_uuid(self.seed))
        marked = replace(
            workflow,
            archived=archived,
            version_id=version.id,
            versions={**workflow.versions, version.id: version},
        )
        self.state.workflows[workflow.id] = replace(marked, updated_at=self.state.now())
        return marked

    def _find(self, id_: str, message: str) -> Workflow:
        workflow = self.state.workflows.get(id_)
        if workflow is None:
            raise Refused(404, message)
        return workflow

    def _version(self, body: Json) -> Version:
        self._bind(body["nodes"])
        for node in body["nodes"]:
            node["id"] = node.get("id") or str(uuid.UUID(self.state.new_uuid(self.seed)))
            if node["type"] == rules.WEBHOOK and not node.get("webhookId"):
                node["webhookId"] = self.state.new_uuid(self.seed)
            node.setdefault("typeVersion", 1)
            node.setdefault("parameters", {})
        return Version(
            id=self.state.new_uuid(self.seed),
            nodes=body["nodes"],
            connections=body["connections"],
            created_at=self.state.now(),
        )

    def _bind(self, nodes: list[Json]) -> None:
        """Repair credential references as n8n does when it saves."""
        for node in nodes:
            if not node.get("disabled"):
                for type_, bound in (node.get("credentials") or {}).items():
                    if isinstance(bound, dict):
                        node["credentials"][type_] = self._bound(type_, bound)

    def _bound(self, type_: str, bound: Json) -> Json:
        of_type = [c for c in self.state.credentials.values() if c.type == type_]
        if "id" not in bound:  # seen: n8n takes any credential of that type
            found = of_type[:1]
        else:
            found = [c for c in of_type if c.id == bound["id"]]
            named = [c for c in of_type if c.name == bound.get("name")]
            found = found or (named if len(named) == 1 else [])
        return {"id": found[0].id, "name": found[0].name} if found else bound


def _no_projects(body: Json) -> None:
    if body.get("projectId") is not None:
        raise Refused(404, "Project not found")
    if body.get("parentFolderId") is not None:
        raise Refused(404, f"Could not find the folder: {body['parentFolderId']}")


def _cleaned(settings: Json) -> Json:
    kept = {k: v for k, v in settings.items() if k not in rules.DROPPED_SETTINGS}
    for key in ("errorWorkflow", "timezone"):
        if kept.get(key) == "DEFAULT":
            del kept[key]
    if kept.get("executionTimeout") == -1:
        del kept["executionTimeout"]
    return kept


def shown(workflow: Workflow) -> Json:
    """Give the fields that each answer about one workflow has."""
    return {
        "id": workflow.id,
        "name": workflow.name,
        "description": workflow.description,
        "active": workflow.active_id is not None,
        "activeVersionId": workflow.active_id,
        "createdAt": workflow.created_at,
        "updatedAt": workflow.updated_at,
        "isArchived": workflow.archived,
        "versionId": workflow.version_id,
        "versionCounter": workflow.counter,
        "sourceWorkflowId": None,
        "triggerCount": workflow.trigger_count,
        **_content(workflow),
        "activeVersion": _active(workflow),
    }


def row(workflow: Workflow, *, without_pins: bool) -> Json:
    hidden = {"description", "versionCounter", "sourceWorkflowId"}
    if without_pins:
        hidden.add("pinData")
    row = {key: value for key, value in shown(workflow).items() if key not in hidden}
    return {**row, "shared": _shared(workflow)}


def _content(workflow: Workflow) -> Json:
    return {
        "nodes": workflow.draft.nodes,
        "connections": workflow.draft.connections,
        "nodeGroups": workflow.node_groups,
        "settings": workflow.settings,
        "staticData": workflow.static_data,
        "pinData": workflow.pin_data,
        "meta": None,
        "tags": [],
    }


def _active(workflow: Workflow) -> Json | None:
    version = workflow.active
    return None if version is None else _shown_version(workflow.id, version)


def _shown_version(workflow_id: str, version: Version) -> Json:
    return {
        "versionId": version.id,
        "workflowId": workflow_id,
        "nodes": version.nodes,
        "connections": version.connections,
        "nodeGroups": [],
        "authors": "Fake Owner",
        "name": version.name,
        "description": version.description,
        "autosaved": False,
        "createdAt": version.created_at,
        "updatedAt": version.created_at,
    }


def _shared(workflow: Workflow) -> list[Json]:
    return [
        {
            "role": "workflow:owner",
            "workflowId": workflow.id,
            "projectId": "fakeproject",
            "createdAt": workflow.created_at,
            "updatedAt": workflow.created_at,
        }
    ]
