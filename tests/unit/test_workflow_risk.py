"""The scan for risky nodes and plain secrets, and that it never repeats one."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.diagnostics import Severity
from reconciler.workflow.normal import normalize
from reconciler.workflow.risk import scan
from tests.unit.workflow_samples import node, workflow

MADE_UP = "q7Zr2LmX9vB4" + "kT8wNs3J"


def paths(parameters: dict[str, Any]) -> list[str]:
    raw = workflow(node("N", "httpRequest", 4.2, parameters=parameters))
    return [".".join(map(str, one.path[3:])) for one in scan(normalize(raw))]


@pytest.mark.parametrize(
    "kind, code",
    [
        ("n8n-nodes-base.code", "RISK001"),
        ("n8n-nodes-base.function", "RISK001"),
        ("@n8n/n8n-nodes-langchain.toolCode", "RISK001"),
        ("n8n-nodes-base.executeCommand", "RISK002"),
        ("n8n-nodes-base.executeCommandTool", "RISK002"),
        ("n8n-nodes-base.ssh", "RISK003"),
        ("n8n-nodes-base.readWriteFile", "RISK004"),
        ("n8n-nodes-base.git", "RISK005"),
        ("n8n-nodes-base.n8n", "RISK006"),
    ],
)
def test_a_risky_node_is_flagged(kind: str, code: str) -> None:
    (finding,) = scan(normalize(workflow(node("N", "x") | {"type": kind})))

    assert (finding.code, finding.path) == (code, ("nodes", 0, "type"))
    everyday = code == "RISK001"
    assert finding.severity is (Severity.NOTE if everyday else Severity.WARNING)


def test_an_ordinary_node_is_not() -> None:
    assert scan(normalize(workflow(node("N", "set"), node("M", "httpRequest")))) == ()


@pytest.mark.parametrize(
    "parameters, path",
    [
        ({"apiKey": MADE_UP}, "apiKey"),
        ({"options": {"password": MADE_UP}}, "options.password"),
        ({"headers": [{"name": "X-Api-Key", "value": MADE_UP}]}, "headers.0.value"),
        ({"headers": [{"name": "Authorization", "value": f"Bearer {MADE_UP}"}]}, "headers.0.value"),
        ({"jsonHeaders": f'{{"Authorization": "Bearer {MADE_UP}"}}'}, "jsonHeaders"),
        ({"url": f"https://x.example/?api_key={MADE_UP}"}, "url"),
        ({"url": f"postgres://me:{MADE_UP}@db.example/x"}, "url"),
        ({"code": f"const k = 'sk-{MADE_UP}{MADE_UP}'"}, "code"),
        ({"key": "-----BEGIN RSA PRIVATE " + "KEY-----\nabc"}, "key"),
        ({"h": "Basic dXNlcjpwYXNzd29yZDEyMw=="}, "h"),
    ],
)
def test_what_looks_like_a_secret_is_flagged_and_not_repeated(
    parameters: dict[str, Any], path: str
) -> None:
    raw = workflow(node("N", "httpRequest", 4.2, parameters=parameters))

    findings = scan(normalize(raw))

    assert paths(parameters) == [path]
    assert MADE_UP not in repr(findings)
    assert "dXNlcjpwYXNzd29yZDEyMw" not in repr(findings)


@pytest.mark.parametrize(
    "parameters",
    [
        {"apiKey": "={{ $json.key }}"},
        {"apiKey": "YOUR_API_KEY"},
        {"apiKey": "<your api key here>"},
        {"password": "short"},
        {"headers": [{"name": "Authorization", "value": "=Bearer {{ $json.token }}"}]},
        {"headers": [{"name": "Authorization", "value": "Bearer YOUR_TOKEN_HERE"}]},
        {"text": "Basic visualization of all workflows"},
        {"description": "put the secret into the password field of the credential"},
        {"url": "https://x.example/a:b@c?token_type=bearer"},
        {"maxTokens": 4096, "tokenizer": "cl100k_base_default"},
        {"genericAuthType": "httpHeaderAuth", "authentication": "predefinedCredentialType"},
    ],
)
def test_what_only_reminds_of_a_secret_is_not(parameters: dict[str, Any]) -> None:
    assert paths(parameters) == []


def test_a_very_long_text_does_not_hold_things_up() -> None:
    assert paths({"text": "a" * 3_000_000 + f" Bearer {MADE_UP}"}) == ["text"]
