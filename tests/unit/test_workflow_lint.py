"""What is found before anything is written; the cases are data in tests/cases/workflow."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.workflow.catalog import shipped_catalog
from reconciler.workflow.hooks import Hook, webhooks_of
from reconciler.workflow.lint import Target, lint
from reconciler.workflow.normal import normalize
from tests.unit.workflow_samples import link, node, workflow

FILE = Path(__file__).parents[1] / "cases" / "workflow" / "lint.yaml"
CASES: list[dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))


def build(case: dict[str, Any]) -> dict[str, Any]:
    nodes = []
    for name, kind, version, *rest in case["nodes"]:
        more = {"parameters": rest[0]} if rest else {}
        if len(rest) > 1:
            more |= rest[1]
        made = node(name, kind, version, **more)
        nodes.append(made | {"type": kind} if "." in kind else made)
    connections = {name: link(*targets) for name, targets in case.get("connections", {}).items()}
    made = workflow(*nodes, connections=connections)
    return made | {"settings": case["settings"]} if "settings" in case else made


@pytest.mark.parametrize("case", CASES, ids=[case["sentence"] for case in CASES])
def test_lint(case: dict[str, Any]) -> None:
    target = Target(
        taken={(method, path) for method, path in case.get("taken", [])},
        allowed=case.get("allowed", ()),
        managed=not case.get("native", False),
        licensed=case.get("licensed", False),
    )
    catalog = dataclasses.replace(shipped_catalog(), complete=case.get("complete", False))

    findings = lint(normalize(build(case)), catalog, target)

    actual = [[one.code, one.severity.value, ".".join(map(str, one.path))] for one in findings]
    assert actual == [expected[:3] for expected in case["findings"]]
    hints = [expected[3] for expected in case["findings"] if len(expected) > 3]
    assert hints == [one.hint for one, e in zip(findings, case["findings"], strict=True) if e[3:]]


def test_the_findings_of_the_normal_form_are_included() -> None:
    assert [one.code for one in lint(normalize(3), shipped_catalog())] == ["WFL101"]


@pytest.mark.parametrize(
    "kind, version, parameters, own, expected",
    [
        ("webhook", 2, {"path": "a"}, None, [("GET", "a")]),
        ("webhook", 2, {"path": "a/:id"}, "w", [("GET", "w/a/:id")]),
        ("webhook", 2, {"path": "a/:id"}, None, []),
        ("webhook", 2, {"path": ""}, "w", [("GET", "w")]),
        ("webhook", 2, {"path": "=a"}, None, []),
        ("webhook", 2, {"path": "a", "httpMethod": "={{ 1 }}"}, None, []),
        ("webhook", 2, {"path": "a", "multipleMethods": True}, None, [("GET", "a"), ("POST", "a")]),
        ("formTrigger", 1, {"path": "a"}, None, [("GET", "a/n8n-form"), ("POST", "a/n8n-form")]),
        ("formTrigger", 2.2, {}, "w", [("GET", "w"), ("POST", "w")]),
        ("telegramTrigger", 1, {}, "w", []),
        ("set", 3.4, {"path": "a"}, "w", []),
    ],
)
def test_the_addresses_that_n8n_serves(
    kind: str,
    version: float,
    parameters: dict[str, Any],
    own: str | None,
    expected: list[tuple[str, str]],
) -> None:
    raw = workflow(node("N", kind, version, parameters=parameters, webhookId=own))

    hooks = list(webhooks_of(normalize(raw).document))

    assert hooks == [Hook(method, path, "N") for method, path in expected]


def test_a_disabled_webhook_takes_no_address() -> None:
    raw = workflow(node("N", "webhook", 2, parameters={"path": "a"}, disabled=True))

    assert list(webhooks_of(normalize(raw).document)) == []
