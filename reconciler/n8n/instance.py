"""What this n8n is: version, what its key may do, what it leaves out, which webhooks are taken.

Only what a plain API key (or nobody at all) may ask. n8n tells nobody with a key
which node types it has, only which it leaves out; the list of known ones is
`reconciler.workflow`'s.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from reconciler.errors import N8nError
from reconciler.n8n.client import N8n
from reconciler.resource.payload import Json, Object

_WEBHOOK = "n8n-nodes-base.webhook"
_SENTRY = re.compile(r'name="n8n:config:sentry" content="([A-Za-z0-9+/=]+)"')
_LICENSED_PROBE = "/variables"  # asks for nothing that hurts, and needs a licence


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What `doctor` and validation want to know of an n8n; None: it does not say."""

    version: str | None
    ready: bool
    scopes: frozenset[str] | None  # of the API key
    licensed: bool | None  # more than Community Edition
    excluded_nodes: frozenset[str] | None  # node types its operator switched off
    community_nodes: frozenset[str] | None  # node types of installed packages
    endpoints: frozenset[str] = field(default=frozenset(), repr=False)  # "POST /workflows"


async def facts(api: N8n) -> Facts:
    """Ask n8n about itself; raises N8nUnreachable and N8nUnauthorized, other refusals give None."""
    scopes, endpoints = _capabilities(await _asked(api, "/discover"))
    return Facts(
        version=version_in(await api.text("/")),
        ready=_is_ok(await api.text("/healthz/readiness")),
        scopes=scopes,
        licensed=await _licensed(api),
        excluded_nodes=_excluded(await _audit(api)),
        community_nodes=_community(await _asked(api, "/community-packages")),
        endpoints=endpoints,
    )


async def _asked(api: N8n, path: str) -> Object | None:
    try:
        return await api.get(path)
    except N8nError:
        return None


async def _audit(api: N8n) -> Object | None:
    body: Object = {"additionalOptions": {"categories": ["instance"]}}
    try:
        return await api.post("/audit", body, idempotent=True)
    except N8nError:
        return None


async def _licensed(api: N8n) -> bool | None:
    try:
        await api.get(_LICENSED_PROBE, limit=1)
    except N8nError as error:
        return False if "license" in error.detail.lower() else None
    return True


def version_in(page: str) -> str | None:
    """Find n8n's version in its start page, where the release stands for its error reports."""
    found = _SENTRY.search(page)
    if found is None:
        return None
    try:
        settings = json.loads(base64.b64decode(found.group(1)))
    except (binascii.Error, ValueError):
        return None
    release = settings.get("release") if isinstance(settings, dict) else None
    return release.removeprefix("n8n@") if isinstance(release, str) else None


def taken_paths(workflows: Iterable[Object], ours: Container[str]) -> set[tuple[str, str]]:
    """Collect (method, path) of the webhooks that published workflows hold, except those with an id in *ours*."""
    taken: set[tuple[str, str]] = set()
    for workflow in workflows:
        version = workflow.get("activeVersion")
        if workflow.get("id") not in ours and isinstance(version, dict):
            taken.update(_hooks(version.get("nodes")))
    return taken


def _hooks(nodes: Json) -> Iterable[tuple[str, str]]:
    for node in nodes if isinstance(nodes, list) else []:
        if not isinstance(node, dict) or node.get("type") != _WEBHOOK or node.get("disabled"):
            continue
        parameters = node.get("parameters")
        if not isinstance(parameters, dict):
            continue
        path = parameters.get("path") or node.get("webhookId")
        methods = parameters.get("httpMethod", "GET")
        for method in methods if isinstance(methods, list) else [methods]:
            if isinstance(path, str) and isinstance(method, str):
                yield method, path.strip("/")


def _capabilities(answer: Object | None) -> tuple[frozenset[str] | None, frozenset[str]]:
    data = answer.get("data") if answer else None
    if not isinstance(data, dict):
        return None, frozenset()
    scopes, resources = data.get("scopes"), data.get("resources")
    endpoints = {
        f"{endpoint.get('method')} {endpoint.get('path')}"
        for resource in (resources.values() if isinstance(resources, dict) else [])
        for endpoint in _dicts(resource.get("endpoints") if isinstance(resource, dict) else None)
    }
    known = (
        frozenset(scope for scope in scopes if isinstance(scope, str))
        if isinstance(scopes, list)
        else None
    )
    return known, frozenset(endpoints)


def _excluded(audit: Object | None) -> frozenset[str] | None:
    report = audit.get("Instance Risk Report") if audit else None
    for section in _dicts(report.get("sections") if isinstance(report, dict) else None):
        settings = section.get("settings")
        nodes = settings.get("nodes") if isinstance(settings, dict) else None
        names = nodes.get("nodesExclude") if isinstance(nodes, dict) else None
        if isinstance(names, str):
            return frozenset(name.strip() for name in names.split(",") if "." in name)
    return None


def _community(packages: Object | None) -> frozenset[str] | None:
    if packages is None:
        return None
    return frozenset(
        kind
        for package in _dicts(packages.get("data"))
        for node in _dicts(package.get("installedNodes"))
        if isinstance(kind := node.get("type"), str)
    )


def _dicts(value: Json) -> list[Object]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _is_ok(text: str) -> bool:
    try:
        answer = json.loads(text)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("status") == "ok"
