"""How an automation becomes a row and a workflow in n8n."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import ceil
from typing import Any, ClassVar

from reconciler.diagnostics import Severity
from reconciler.kinds import _workflows
from reconciler.kinds.automation import AutomationSpec, Entry
from reconciler.kinds.kind import Built, Facts, Kind, Known, Seen, Tools, Written
from reconciler.kinds.trigger import TriggerFields
from reconciler.kinds.trigger_kind import webhook_url
from reconciler.plan.traits import Traits
from reconciler.resource.address import Address
from reconciler.resource.api import Api
from reconciler.resource.payload import Object, Payload, Ref, Side, Value
from reconciler.trigger.events import TriggerType
from reconciler.workflow.bind import bind, find_calls
from reconciler.workflow.entry import Served, find_entry_path, with_entry
from reconciler.workflow.finding import Finding
from reconciler.workflow.lint import NO_TRIGGER
from reconciler.workflow.wire import canonical_nodes

_KINDS = {
    TriggerType.WEBHOOK: "WEBHOOK",
    TriggerType.SCHEDULE: "SCHEDULE",
    TriggerType.API_CALL: "API",
}
_PLAIN = ("name", "description", "isActive", "triggerType", "triggerConfig", "tags", "metadata")
_LIMITS = (
    "max_concurrency",
    "timeout_seconds",
    "max_retries",
    "rate_limit",
    "rate_period_seconds",
    "at_most_once",
    "max_queued",
    "queue_deadline_seconds",
)
_OWN = "reconciler"  # our key in the row's metadata


class AutomationKind(Kind[AutomationSpec]):
    """A workflow that runs when something triggers it."""

    name: ClassVar[str] = "Automation"
    spec = AutomationSpec
    tables: ClassVar[tuple[str, ...]] = ("automations", "automation_runtime")
    collection: ClassVar[str | None] = "workflows"
    encrypts: ClassVar[bool] = False
    keeps_removed: ClassVar[bool] = True
    traits: ClassVar[Traits] = Traits(
        has_object=True,
        closed=(
            ("n8n", "nodes"),
            ("n8n", "connections"),
            ("row", "triggerConfig"),
            ("row", "metadata", _OWN),
        ),
    )

    def build(self, address: Address, spec: AutomationSpec, facts: Facts) -> Built:
        """Say what the row and the workflow should hold."""
        workflow = _Workflow(address, spec, facts)
        findings = workflow.findings()
        triggers = facts.triggers(address)
        webhook = any(t.type is TriggerType.WEBHOOK for _, t in triggers)
        metadata: Payload = dict(spec.metadata or {})
        metadata[_OWN] = {"address": str(address), "entry": _entries(workflow.served)}
        first = triggers[0][1] if triggers else None
        row: Payload = {
            "orgId": Ref(
                Address(address.organization, "Organization", address.organization), Side.ROW
            ),
            "name": spec.title,
            "description": spec.description or None,
            "isActive": spec.active,
            "triggerType": "MANUAL" if first is None else _KINDS.get(first.type, "EVENT"),
            "triggerConfig": {} if first is None else _config(triggers[0][0], first),
            "webhookUrl": webhook_url(facts.public_url, None) if webhook else None,
            "createdBy": spec.created_by.lower(),
            "tags": list(spec.tags),
            "metadata": metadata,
            "n8nWorkflowId": Ref(address, Side.N8N),
            "self": Ref(address, Side.ROW),
            "runtime": _runtime(spec),
        }
        document = workflow.document
        n8n: Payload = {
            "name": spec.title,
            "nodes": document["nodes"],
            "connections": document["connections"],
            "settings": document["settings"],
            "live": "draft" if spec.active else "none",
            "archived": False,
            "marker": Ref(address, Side.ROW),
        }
        return Built(payload={"row": row, "n8n": n8n}, findings=findings)

    def canonical(self, seen: Seen) -> Payload:
        """Read the row, its runtime limits, and the workflow with its published version."""
        payload: Payload = {}
        row = seen.rows.get("automations")
        if row is not None:
            payload["row"] = _row(seen, row)
        if seen.object is not None:
            payload["n8n"] = _workflow(seen, seen.object)
        return payload

    def columns(self, row: Object, tools: Tools) -> Mapping[str, Mapping[str, Any]]:
        """Split the row side into the seed's row and the runtime's."""
        del tools
        columns: dict[str, Any] = {k: v for k, v in row.items() if k not in {"self", "runtime"}}
        url, runtime = row["webhookUrl"], row["runtime"]
        if isinstance(url, str):
            columns["webhookUrl"] = url.replace("{automation}", str(row["self"]))
        assert isinstance(runtime, dict)
        # The scheduler clears the mark when it sees the automation active again.
        paused = {} if row["isActive"] else {"paused": True}
        return {"automations": columns, "automation_runtime": {**runtime, **paused}}

    def retire(self, row_id: str, payload: Payload) -> Mapping[str, Any]:
        """Take a removed row out of use."""
        del row_id, payload
        return {"isActive": False}

    def marker(self, object_: Object) -> str | None:
        """Find the path of our entry node, or what else says that we created the workflow."""
        return find_entry_path(object_.get("nodes")) or _workflows.marker(object_)

    async def create(self, api: Api, address: Address, body: Object) -> Object:
        """Create a draft."""
        return await _workflows.create(api, address, body)

    async def update(self, api: Api, known: Known, body: Object) -> Written:
        """Write a draft."""
        return await _workflows.update(api, known, body)

    async def publish(self, api: Api, written: Written, body: Object, label: str) -> Object:
        """Publish the draft, or take the workflow offline."""
        return await _workflows.publish(api, written, live=body["live"] == "draft", label=label)

    async def confirm(self, api: Api, object_: Object, body: Object) -> None:
        """Wait until n8n serves the entry."""
        nodes: Any = body["nodes"]
        entry = find_entry_path(nodes)
        if body["live"] == "draft" and entry is not None:
            await _workflows.confirm(api, object_, entry)

    async def remove(self, api: Api, id_: str) -> None:
        """Archive the workflow."""
        await _workflows.archive(api, id_)

    async def discard(self, api: Api, id_: str) -> None:
        """Delete a workflow that was replaced."""
        await _workflows.delete(api, id_)


class _Workflow:
    """The way from a workflow document to what n8n should hold."""

    def __init__(self, address: Address, spec: AutomationSpec, facts: Facts) -> None:
        self._address, self._spec, self._facts = address, spec, facts
        self.normal = facts.normal(address)
        bound = bind(self.normal, self._credentials(), self._calls(), catalog=facts.catalog)
        self._bound = bound.findings
        self.document = bound.document
        self.served: tuple[Served, ...] = ()
        self._entered: tuple[Finding, ...] = ()
        self._managed = spec.workflow.entry is Entry.MANAGED
        if self._managed and self.normal.is_workflow:
            home = Address(address.organization, "Organization", address.organization)
            path, credential = Ref(address, Side.ROW), Ref(home, Side.N8N)
            entered = with_entry(bound.document, path, credential)
            self.document, self.served = entered.document, entered.served
            self._entered = entered.findings

    def findings(self) -> tuple[Finding, ...]:
        """Say what is wrong with the workflow, before anything is written."""
        found = self._facts.checked(self._address, managed=self._managed)
        if not self.normal.is_workflow:
            return found
        if not self._spec.active:
            found = tuple(_while_inactive(finding) for finding in found)
        return (*found, *self._bound, *self._entered)

    def _credentials(self) -> dict[str, Value]:
        home = self._address.organization
        return {
            key: Ref(Address(home, "Credential", name), Side.N8N)
            for key, name in self._spec.workflow.credentials.items()
        }

    def _calls(self) -> dict[str, Value]:
        return {key: Ref(called, Side.N8N) for key, called in self._called()}

    def _called(self) -> Iterator[tuple[str, Address]]:
        home, mapped = self._address.organization, self._spec.workflow.calls
        for key, name in mapped.items():
            yield key, Address(home, "Automation", name)
        for call in find_calls(self.normal.document):
            if call.key in mapped or call.target is None or call.expression:
                continue
            called = Address(home, "Automation", call.target)
            if self._facts.spec(called) is not None:
                yield call.key, called


def _while_inactive(finding: Finding) -> Finding:
    """What nothing starts may lack a trigger: it is never published."""
    if finding.code != NO_TRIGGER:
        return finding
    return replace(finding, severity=Severity.WARNING)


def _entries(served: tuple[Served, ...]) -> list[Value]:
    """What the runtime must know to start each branch."""
    return [
        {"node": s.node, "field": s.field, "kind": s.kind, "methods": list(s.methods)}
        for s in served
    ]


def _config(name: str, trigger: TriggerFields) -> Payload:
    """The seed's `triggerConfig`: what the first trigger waits for, without secrets."""
    config: Payload = {"trigger": name, "type": trigger.type.value, "event": trigger.event_name}
    if trigger.cron is not None:
        config |= {"cron": trigger.cron, "timezone": trigger.timezone}
    if trigger.filters:
        config["filters"] = trigger.filters
    if trigger.auth is not None:
        config["auth"] = trigger.auth.scheme.value
    return config


def _runtime(spec: AutomationSpec) -> Payload:
    execution = spec.execution
    deadline = execution.queue_deadline
    return {
        "max_concurrency": execution.concurrency,
        "timeout_seconds": ceil(execution.timeout.total_seconds()),
        "max_retries": execution.retries,
        "rate_limit": execution.rate_limit.count,
        "rate_period_seconds": execution.rate_limit.seconds,
        "at_most_once": execution.at_most_once,
        "max_queued": execution.max_queued,
        "queue_deadline_seconds": None if deadline is None else ceil(deadline.total_seconds()),
    }


def _row(seen: Seen, row: Mapping[str, Any]) -> Payload:
    url = row["webhookUrl"]
    workflow = row["n8nWorkflowId"]
    payload: Payload = {column: row[column] for column in _PLAIN}
    payload |= {
        "orgId": seen.unref("Organization", Side.ROW, str(row["orgId"])),
        "webhookUrl": None if url is None else url.replace(seen.row_id, "{automation}"),
        "createdBy": row["createdBy"],
        "n8nWorkflowId": None if workflow is None else seen.unref("Automation", Side.N8N, workflow),
        "self": Ref(seen.address, Side.ROW),
        "runtime": _limits(seen.rows.get("automation_runtime")),
    }
    return payload


def _limits(row: Mapping[str, Any] | None) -> Payload:
    return {} if row is None else {column: row[column] for column in _LIMITS}


def _workflow(seen: Seen, object_: Object) -> Payload:
    document = _document(seen, object_)
    active: Any = object_.get("activeVersion")
    if not object_.get("active"):
        live = "none"
    elif object_.get("activeVersionId") == object_.get("versionId"):
        live = "draft"
    else:
        same = isinstance(active, dict) and _content(_document(seen, active)) == _content(document)
        live = "draft" if same else "other"
    return {
        "name": str(object_.get("name")),
        "nodes": document["nodes"],
        "connections": document["connections"],
        "settings": document["settings"],
        "live": live,
        "archived": bool(object_.get("isArchived")),
        "marker": Ref(seen.address, Side.ROW),
    }


def _content(document: Payload) -> tuple[Value, Value]:
    return document["nodes"], document["connections"]


def _document(seen: Seen, object_: Object) -> Payload:
    """Bring nodes and connections into normal form, ids turned back into references."""

    def credential(type_: str, held: Mapping[str, Any]) -> Value:
        id_ = str(held.get("id"))
        for kind in ("Credential", "Organization"):
            found = seen.unref(kind, Side.N8N, id_)
            if isinstance(found, Ref):
                return found
        return {"name": held.get("name"), "id": id_, "type": type_}

    document = canonical_nodes(
        object_,
        lambda id_: seen.unref("Automation", Side.N8N, id_),
        credential,
        address=str(seen.address),
    )
    entry = find_entry_path(document["nodes"])
    if entry == seen.row_id:
        _own_path(document, Ref(seen.address, Side.ROW))
    return document


def _own_path(document: Payload, own: Ref) -> None:
    nodes = document["nodes"]
    assert isinstance(nodes, dict)
    for node in nodes.values():
        parameters = node.get("parameters") if isinstance(node, dict) else None
        if isinstance(parameters, dict) and parameters.get("path") is not None:
            path = parameters["path"]
            if path == find_entry_path(nodes):
                parameters["path"] = own
                return
