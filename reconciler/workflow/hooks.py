"""The addresses that n8n itself serves for a workflow: two workflows can't have the same one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from reconciler.resource.payload import Value
from reconciler.workflow.normal import nodes_of

_FORM, _CHAT, _MCP = (
    "n8n-nodes-base.formTrigger",
    "@n8n/n8n-nodes-langchain.chatTrigger",
    "@n8n/n8n-nodes-langchain.mcpTrigger",
)
_WEBHOOK = "n8n-nodes-base.webhook"
_BOTH = ("GET", "POST")


class Hook(NamedTuple):
    """A method and path below n8n's ``/webhook/`` (or ``/form/``), and the node that has it."""

    method: str
    path: str
    node: str


def webhooks_of(document: Mapping[str, Value]) -> Iterator[Hook]:
    """Yield the addresses of a document's enabled nodes, as far as they are written down."""
    for name, node in nodes_of(document).items():
        parameters = node.get("parameters")
        if node.get("disabled") or not isinstance(parameters, dict):
            continue
        path = _path(node, parameters)
        if path:
            for method in _methods(node, parameters):
                yield Hook(method, path, name)


def _methods(node: Mapping[str, Value], parameters: Mapping[str, Value]) -> tuple[str, ...]:
    if node.get("type") != _WEBHOOK:
        return _BOTH
    method = parameters.get("httpMethod")
    if isinstance(method, list):
        return tuple(one for one in method if isinstance(one, str))
    if method is None and parameters.get("multipleMethods"):
        return _BOTH
    text = method if isinstance(method, str) else "GET"
    return () if text.startswith("=") else (text,)


def _path(node: Mapping[str, Value], parameters: Mapping[str, Value]) -> str | None:
    kind, own = node.get("type"), node.get("webhookId")
    if kind == _CHAT:
        return f"{own}/chat" if isinstance(own, str) else None
    if kind not in (_WEBHOOK, _FORM, _MCP):
        return None
    options = parameters.get("options")
    inner = options.get("path") if isinstance(options, dict) and kind == _FORM else None
    path = parameters.get("path") or inner or own
    if not isinstance(path, str) or path.startswith("="):
        return None
    path = path.strip().strip("/")
    if path.startswith(":") or "/:" in path:
        return f"{own}/{path}" if isinstance(own, str) else None
    return f"{path}/n8n-form" if kind == _FORM and node.get("typeVersion") == 1 else path
