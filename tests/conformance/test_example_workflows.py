"""The workflows of the example repository run on a real n8n, without outside accounts.

They go the way that apply takes them: normal form, bound, with the managed entry; what starts
them here is the entry, as the runtime does it. Not here: apply itself (`tests/acceptance`).
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from reconciler.workflow.bind import bind
from reconciler.workflow.entry import with_entry
from reconciler.workflow.normal import normalize
from reconciler.workflow.parameters import fill
from reconciler.workflow.wire import to_wire
from tests.servers import RealN8n

pytestmark = pytest.mark.n8n

ORGANIZATIONS = Path(__file__).resolve().parents[2] / "specs/organizations"
DOCUMENTS = [
    (path.relative_to(ORGANIZATIONS).parts[0], document)
    for path in sorted(ORGANIZATIONS.rglob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
SPECS = {(org, doc["kind"], doc["metadata"]["name"]): doc["spec"] for org, doc in DOCUMENTS}
AUTOMATIONS = sorted((org, name) for org, kind, name in SPECS if kind == "Automation")
HEADER = {"X-Entry": "let me in"}
CREDENTIALS = {
    "httpHeaderAuth": {"name": "X-Entry", "value": HEADER["X-Entry"]},
    "httpBasicAuth": {"user": "screen", "password": "for a test"},
    "jwtAuth": {"keyType": "passphrase", "secret": "for a test", "algorithm": "HS256"},
    "crypto": {"hmacSecret": "for a test"},
}
# What the runtime would post, and what must be in the answer's last item.
RUNS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "contract-approval": ({"body": {"value": 9000}}, {"value": 9000}),
    "deadline-watch": ({}, {"text": "Hooli v. Initech is due in 3 days"}),
    "document-filing": (
        {"matter": "M-1", "documentType": "contract", "confidence": 0.9},
        {"folder": "/M-1/contract", "review": False},
    ),
    "intake-assignment": (
        {"intake": "I-1", "field": "labour"},
        {"assignee": "okafor@globex.example"},
    ),
    "intake-welcome": ({"client": "Hooli"}, {"task": "Send the engagement letter"}),
    "invoice-intake": (
        {"body": {"vendor": "Initech", "number": "R-1", "amount": "120.50"}},
        {"status": "booked", "invoice": "R-1", "account": "70012"},
    ),
    "lead-router": ({"email": "a@b.example", "employees": 300}, {"team": "key-accounts"}),
    "lead-scoring": (
        {"employees": 200, "visits": 4},
        {"score": 60, "grade": "hot", "owner": "sales@acme.example"},
    ),
    "partner-signature": ({"body": {"order": 1}}, {"order": '{"order":1}'}),
    "portal-link": ({"body": {"client": "c-1"}}, {"validMinutes": 15}),
    "purchase-approval": (
        {"body": {"value": 501}},
        {"approvers": ["office@globex.example", "mori@globex.example"]},
    ),
    "revenue-report": ({}, {"total": 3465.65}),
    "stage-alerts": (
        {"stage": "won", "deal": "D-1", "value": 100},
        {"channel": "sales-wins", "text": "D-1 is won (100 EUR)"},
    ),
    "support-triage": (
        {"subject": "Refund please, urgent", "from": "a@b.example"},
        {"queue": "billing", "priority": "high"},
    ),
    "warehouse-reminders": ({}, {"subject": "Warehouse this week"}),
}


class Instance:
    """A real n8n and what a test made in it."""

    def __init__(self, n8n: RealN8n) -> None:
        headers = {"X-N8N-API-KEY": n8n.api_key}
        self.http = httpx.Client(base_url=n8n.url, headers=headers, timeout=60, trust_env=False)
        self.credentials: dict[str, str] = {}
        self.workflows: list[str] = []

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Make one call to the public API and return its answer."""
        answer = self.http.request(method, f"/api/v1{path}", json=body)
        assert answer.status_code == 200, f"{method} {path}: {answer.text}"
        return answer.json()

    def publish(self, organization: str, name: str) -> str:
        """Create and publish an example with the callees it needs; return its entry's path."""
        spec = SPECS[organization, "Automation", name]
        normal = normalize(workflow(organization, spec["workflow"]))
        assert not [finding for finding in normal.findings if finding.is_error]
        before: Any = normal.document["nodes"]
        calls = {
            node: self.publish_callee(organization, value["parameters"]["workflowId"]["value"])
            for node, value in before.items()
            if value["type"] == "n8n-nodes-base.executeWorkflow"
        }
        bound = bind(normal, dict(self.credentials), dict(calls))
        assert not [finding for finding in bound.findings if finding.is_error]
        path = f"t{secrets.token_hex(8)}"
        document: Any = bound.document
        if spec["workflow"].get("entry") == "native":
            # A path of its own: other tests apply the example to the same n8n.
            webhook = next(n for n in document["nodes"].values() if n["type"].endswith(".webhook"))
            webhook["parameters"]["path"] = path
        else:
            document = with_entry(document, path, self.credentials["httpHeaderAuth"]).document
        nodes, connections = to_wire(
            document["nodes"], document["connections"], f"{organization}/Automation/{name}"
        )
        body = {"name": spec["title"], "nodes": nodes, "connections": connections}
        body["settings"] = document["settings"]
        made = self.call("POST", "/workflows", body)
        self.workflows.append(made["id"])
        self.call("POST", f"/workflows/{made['id']}/publish", {"versionId": made["versionId"]})
        return path

    def publish_callee(self, organization: str, name: str) -> str:
        """Publish what another example calls; return its id."""
        self.publish(organization, name)
        return self.workflows[-1]

    def remove(self, id_: str) -> None:
        """Delete a workflow as soon as n8n has unpublished it."""
        self.call("POST", f"/workflows/{id_}/archive")
        deadline = time.monotonic() + 30
        while self.http.delete(f"/api/v1/workflows/{id_}").status_code == 409:
            assert time.monotonic() < deadline, "n8n never unpublished the workflow"
            time.sleep(0.1)

    def run(self, request: httpx.Request) -> httpx.Response:
        """Send *request* as soon as n8n serves what was published."""
        deadline = time.monotonic() + 30
        while (answer := self.http.send(request)).status_code == 404:
            assert time.monotonic() < deadline, "n8n never served the webhook"
            time.sleep(0.05)
        return answer


def workflow(organization: str, use: dict[str, Any]) -> Any:
    """Read the workflow of an automation, its template's parameters filled in."""
    if "template" not in use:
        return json.loads((ORGANIZATIONS / organization / use["file"]).read_text("utf-8"))
    template = SPECS[organization, "Template", use["template"]]
    values = {name: item.get("default") for name, item in template["parameters"].items()}
    filled, findings = fill(
        workflow(organization, template["workflow"]), values | use.get("parameters", {})
    )
    assert findings == ()
    return filled


@pytest.fixture
def instance(real_n8n: RealN8n) -> Iterator[Instance]:
    """A real n8n with a credential of each type, cleaned up afterwards."""
    instance = Instance(real_n8n)
    for kind, data in CREDENTIALS.items():
        body = {"name": f"examples {kind} {secrets.token_hex(4)}", "type": kind, "data": data}
        instance.credentials[kind] = instance.call("POST", "/credentials", body)["id"]
    yield instance
    for id_ in reversed(instance.workflows):
        instance.remove(id_)
    for id_ in instance.credentials.values():
        instance.call("DELETE", f"/credentials/{id_}")
    instance.http.close()


def test_every_example_has_a_run_here() -> None:
    called_or_native = {"vendor-check", "office-status"}

    assert set(RUNS) | called_or_native == {name for _, name in AUTOMATIONS}


@pytest.mark.parametrize(
    "organization, name", [pair for pair in AUTOMATIONS if pair[1] in RUNS], ids=lambda part: part
)
def test_an_example_runs(instance: Instance, organization: str, name: str) -> None:
    item, expected = RUNS[name]
    path = instance.publish(organization, name)

    body = {"id": "1", "items": [item]}
    request = instance.http.build_request("POST", f"/webhook/{path}", json=body, headers=HEADER)
    started = instance.run(request)

    assert started.status_code == 200, started.text
    execution = finished(instance, instance.workflows[-1])
    assert execution["status"] == "success", execution["data"]["resultData"].get("error")
    result = execution["data"]["resultData"]
    last = result["runData"][result["lastNodeExecuted"]][-1]["data"]["main"]
    items = next(output for output in last if output)
    assert expected == {key: items[-1]["json"].get(key) for key in expected}


def test_the_native_example_answers_by_itself(instance: Instance) -> None:
    path = instance.publish("globex", "office-status")

    request = instance.http.build_request("GET", f"/webhook/{path}")
    refused = instance.run(request)
    answered = instance.http.get(request.url, auth=("screen", "for a test"))

    assert refused.status_code == 401
    assert answered.status_code == 200
    assert set(answered.json()) == {"open", "checkedAt"}


def finished(instance: Instance, workflow_id: str) -> Any:
    """Wait for the end of the workflow's only execution and return it with its data."""
    deadline = time.monotonic() + 60
    query = f"/executions?workflowId={workflow_id}&includeData=true"
    while time.monotonic() < deadline:
        found = instance.call("GET", query)["data"]
        if found and found[0]["status"] not in {"new", "running"}:
            return found[0]
        time.sleep(0.1)
    raise AssertionError(workflow_id)
