"""Facts about an n8n that need no n8n."""

from __future__ import annotations

import base64
from typing import Any

from reconciler.n8n.instance import taken_paths, version_in


def published(id_: str, *nodes: Any) -> Any:
    return {"id": id_, "activeVersion": {"nodes": list(nodes)}}


def hook(parameters: Any, **more: Any) -> Any:
    return {"type": "n8n-nodes-base.webhook", "parameters": parameters, **more}


def test_published_webhooks_of_others_are_taken() -> None:
    workflows = [
        published("a", hook({"path": "orders", "httpMethod": "POST"})),
        published("b", hook({"path": "/plain/"})),
        published("c", hook({"path": "both", "httpMethod": ["GET", "PUT"]})),
        published("d", hook({}, webhookId="by-id")),
    ]
    expected = {
        ("POST", "orders"),
        ("GET", "plain"),
        ("GET", "both"),
        ("PUT", "both"),
        ("GET", "by-id"),
    }
    assert expected == taken_paths(workflows, ours=set())


def test_our_own_drafts_and_disabled_nodes_take_nothing() -> None:
    workflows: list[Any] = [
        published("ours", hook({"path": "a"})),
        {"id": "draft", "activeVersion": None, "nodes": [hook({"path": "b"})]},
        published("c", hook({"path": "c"}, disabled=True)),
        published("d", {"type": "n8n-nodes-base.noOp", "parameters": {"path": "d"}}),
        published("e", "junk", {"type": "n8n-nodes-base.webhook", "parameters": None}),
        {"id": "f", "activeVersion": {"nodes": None}},
    ]
    assert set() == taken_paths(workflows, ours={"ours"})


def test_the_version_stands_in_the_start_page() -> None:
    inner = base64.b64encode(b'{"dsn":"","release":"n8n@2.40.5"}').decode()
    page = f'<html><meta name="n8n:config:sentry" content="{inner}"></html>'
    assert version_in(page) == "2.40.5"


def test_a_page_without_a_version_tells_none() -> None:
    broken = base64.b64encode(b"[1]").decode()
    for page in (
        "",
        "<html></html>",
        '<meta name="n8n:config:sentry" content="AAA">',
        f'<meta name="n8n:config:sentry" content="{broken}">',
    ):
        assert version_in(page) is None
