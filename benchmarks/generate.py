"""Makes spec folders of any size for the benchmarks; the same size gives the same files.

Each automation has a workflow of eight nodes (about 3 KB of JSON), half of them
started by a webhook, half by a schedule, like the ones that people publish.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

_SPEC = """\
apiVersion: reconciler/v1
kind: Automation
metadata:
  name: flow-{number:05d}
  labels: {{team: team-{team}, tier: bench}}
spec:
  title: Flow {number:05d}
  description: Generated for the benchmarks, number {number}
  createdBy: bench@example.com
  tags: [bench, team-{team}]
  workflow:
    file: workflows/{file}.json
  triggers:
    - name: start
      {trigger}
  execution: {{timeout: 5m, retries: 3, concurrency: 5, rateLimit: 100/min}}
"""
_SCHEDULE = 'type: SCHEDULE\n      cron: "{minute} 9 * * 1-5"\n      timezone: Europe/Berlin'
_WEBHOOK = "type: WEBHOOK\n      auth: {scheme: none}"
_ORGANIZATION = """\
apiVersion: reconciler/v1
kind: Organization
metadata: {name: bench}
spec:
  title: Bench
  members: [{email: bench@example.com, role: ADMIN}]
"""


def write_specs(root: Path, count: int, *, workflows: int | None = None) -> Path:
    """Write *count* automations below *root*; they share *workflows* workflow files (None: own)."""
    home = root / "organizations" / "bench"
    (home / "workflows").mkdir(parents=True, exist_ok=True)
    (home / "organization.yaml").write_text(_ORGANIZATION, encoding="utf-8")
    files = count if workflows is None else workflows
    for number in range(files):
        text = json.dumps(workflow(number), indent=2)
        (home / "workflows" / f"flow-{number:05d}.json").write_text(text, encoding="utf-8")
    for number in range(count):
        (home / f"flow-{number:05d}.yaml").write_text(
            spec(number, number % files), encoding="utf-8"
        )
    return root


def spec(number: int, file: int) -> str:
    """Write one automation's document."""
    schedule = _SCHEDULE.format(minute=number % 60)
    return _SPEC.format(
        number=number,
        team=number % 17,
        file=f"flow-{file:05d}",
        trigger=schedule if file % 2 else _WEBHOOK,
    )


def workflow(number: int, *, note: str = "") -> dict[str, Any]:
    """Make one workflow as n8n exports it."""
    if number % 2:
        interval = [{"field": "cronExpression", "expression": f"{number % 60} 9 * * 1-5"}]
        start = _node(
            "Start", "n8n-nodes-base.scheduleTrigger", 1.2, {"rule": {"interval": interval}}, 0
        )
    else:
        hook = {"httpMethod": "POST", "path": f"bench-{number:05d}", "options": {}}
        start = _node("Start", "n8n-nodes-base.webhook", 2, hook, 0)
    code = (
        "const rows = $input.all().map((item) => item.json);\n"
        "let total = 0;\n"
        "for (const row of rows) {\n"
        "  total += Number(row.amount ?? 0);\n"
        "}\n"
        f"return [{{ json: {{ flow: {number}, total, count: rows.length }} }}];\n"
    )
    nodes = [
        start,
        _node("Prepare", "n8n-nodes-base.set", 3.4, _set("flow", str(number) + note), 1),
        _node("Sum", "n8n-nodes-base.code", 2, {"jsCode": code}, 2),
        _node("Any", "n8n-nodes-base.filter", 2.2, _condition(), 3),
        _node("Sorted", "n8n-nodes-base.sort", 1, _sorted(), 4),
        _node("First", "n8n-nodes-base.limit", 1, {"maxItems": 10}, 5),
        _node("Shape", "n8n-nodes-base.set", 3.4, _set("kind", "summary"), 6),
        _node("Done", "n8n-nodes-base.noOp", 1, {}, 7),
    ]
    names = [node["name"] for node in nodes]
    connections = {
        name: {"main": [[{"node": after, "type": "main", "index": 0}]]}
        for name, after in itertools.pairwise(names)
    }
    settings = {"executionOrder": "v1"}
    return {
        "name": f"Flow {number:05d}",
        "nodes": nodes,
        "connections": connections,
        "settings": settings,
    }


def _node(
    name: str, kind: str, version: float, parameters: dict[str, Any], place: int
) -> dict[str, Any]:
    return {
        "parameters": parameters,
        "type": kind,
        "typeVersion": version,
        "position": [220 * place, 300],
        "name": name,
    }


def _set(name: str, value: str) -> dict[str, Any]:
    assignment = {"id": f"set-{name}", "name": name, "value": value, "type": "string"}
    return {"assignments": {"assignments": [assignment]}, "includeOtherFields": True, "options": {}}


def _condition() -> dict[str, Any]:
    condition = {
        "id": "amount",
        "leftValue": "={{ $json.total }}",
        "rightValue": 0,
        "operator": {"type": "number", "operation": "gte"},
    }
    options = {"caseSensitive": True, "leftValue": "", "typeValidation": "strict", "version": 2}
    return {
        "conditions": {"options": options, "conditions": [condition], "combinator": "and"},
        "options": {},
    }


def _sorted() -> dict[str, Any]:
    return {
        "sortFieldsUi": {"sortField": [{"fieldName": "total", "order": "descending"}]},
        "options": {},
    }
