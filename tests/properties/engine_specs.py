"""Small organizations as commits: each resource is one number, so that they shrink well.

0 means that the resource is not declared; every other number decodes to a valid
document. Names, titles and webhook paths are few, so that renames, successors
and restored resources meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeAlias

from reconciler.spec.link import Resource
from tests.doubles.engine_rig import resources

Genes: TypeAlias = tuple[int, ...]
HOMES = ("acme", "globex")
CREDENTIALS = ("c1", "c2", "c3")
AUTOMATIONS = ("a1", "a2", "a3")
TRIGGERS = ("t1", "t2")
SLOTS = ("organization", *CREDENTIALS, "template", *AUTOMATIONS, *TRIGGERS)
TOP = 1 << 16
OPS = "ops@acme.example"
SHARED_NAME = "Main account"  # two strangers' credentials: one found by name, one by id


@dataclass(slots=True)
class Digits:
    """Reads choices off a number."""

    rest: int

    def take(self, choices: int) -> int:
        self.rest, digit = divmod(self.rest, choices)
        return digit


@dataclass(frozen=True, slots=True)
class Commit:
    """One state of the specs."""

    genes: Mapping[str, Genes]  # by organization, in the order of SLOTS
    existing_id: str = field(default="")

    def resources(self) -> tuple[Resource, ...]:
        """Decode it."""
        found: list[Resource] = []
        for home, genes in self.genes.items():
            found += _organization(home, genes, self.existing_id)
        return tuple(sorted(found, key=lambda r: r.address))


def _organization(home: str, genes: Genes, existing_id: str) -> Iterator[Resource]:
    by_slot = dict(zip(SLOTS, genes, strict=True))
    if not by_slot["organization"]:
        return
    yield from _document(home, "Organization", home, by_slot["organization"])
    credentials = tuple(
        (name, _credential_type(by_slot[name])) for name in CREDENTIALS if by_slot[name]
    )
    for name, _ in credentials:
        yield from _document(home, "Credential", name, by_slot[name], extra=existing_id)
    template = bool(by_slot["template"])
    if template:
        yield from _document(home, "Template", "m1", by_slot["template"])
    callees: list[tuple[str, bool]] = []
    for name in AUTOMATIONS:
        gene = by_slot[name]
        if gene:
            context = (credentials, tuple(callees), template)
            yield from _document(home, "Automation", name, gene, context=context)
            callees.append((name, _is_active(gene)))
    for name in TRIGGERS:
        if by_slot[name] and callees:
            yield from _document(home, "Trigger", name, by_slot[name], context=tuple(callees))


@lru_cache(maxsize=50_000)
def _document(
    home: str, kind: str, name: str, gene: int, *, context: Any = (), extra: str = ""
) -> tuple[Resource, ...]:
    digits = Digits(gene - 1)
    match kind:
        case "Organization":
            spec, moved = _organization_spec(home, digits), None
        case "Credential":
            spec = _credential(home, name, digits, extra)
            moved = _moved(name, CREDENTIALS, digits)
        case "Template":
            spec, moved = _template(digits), None
        case "Automation":
            spec = _automation(home, name, digits, context)
            moved = _moved(name, AUTOMATIONS, digits)
        case _:
            spec = _trigger(digits) | {"automation": context[digits.take(len(context))][0]}
            moved = _moved(name, TRIGGERS, digits)
    return resources(home, kind, name, spec, moved)


def _moved(name: str, names: tuple[str, ...], digits: Digits) -> str | None:
    if digits.take(3) != 2:
        return None
    old = names[digits.take(len(names))]
    return old if old != name else None


def _lifecycle(digits: Digits) -> dict[str, Any]:
    return {"lifecycle": {"protected": True}} if digits.take(8) == 7 else {}


def _organization_spec(home: str, digits: Digits) -> dict[str, Any]:
    members = [{"email": OPS, "role": "ADMIN"}]
    if digits.take(2):
        members.append(
            {"email": "Kim@acme.example", "role": ("CLIENT", "OPERATOR")[digits.take(2)]}
        )
    spec = {"title": (home, home.upper())[digits.take(2)], "members": members}
    return {**spec, "id": "host-globex"} if home == "globex" else spec


def _credential_type(gene: int) -> str:
    return ("httpHeaderAuth", "httpBasicAuth")[(gene - 1) % 2]


def _credential(home: str, name: str, digits: Digits, existing_id: str) -> dict[str, Any]:
    basic = digits.take(2)
    source = digits.take(5)
    spec: dict[str, Any] = {"provider": "OTHER", "owner": OPS, "title": f"{home} {name}"}
    if digits.take(2):
        spec["scope"] = "read"
    secret = {"secretRef": {"env": f"S{1 + digits.take(3)}"}}
    spec |= _lifecycle(digits)
    type_ = ("httpHeaderAuth", "httpBasicAuth")[basic]
    if source == 3:
        return {**spec, "existing": {"name": SHARED_NAME, "type": type_}}
    if source == 4 and not basic:
        return {**spec, "existing": {"id": existing_id, "type": type_}}
    data = {"user": "kim", "password": secret} if basic else {"name": "X-Key", "value": secret}
    return {**spec, "n8nType": type_, "data": data}


def _template(digits: Digits) -> dict[str, Any]:
    nodes = [_hook("m1-hook"), node("Text", "set", {"text": "{{ parameters.word }}"})]
    flow = {"nodes": nodes, "connections": _chain(nodes), "settings": {}}
    return {
        "title": "Reminder",
        "category": "NOTIFICATIONS",
        "difficulty": "beginner",
        "description": ("", "new words")[digits.take(2)],
        "workflow": {"inline": flow},
        "parameters": {"word": {"type": "string", "default": "soon"}},
    }


def _is_active(gene: int) -> bool:
    return (gene - 1) % 3 < 2


def _automation(home: str, name: str, digits: Digits, context: Any) -> dict[str, Any]:
    credentials, callees, template = context
    active = digits.take(3) < 2
    spec: dict[str, Any] = {"title": f"{home} {name}", "createdBy": OPS, "active": active}
    shape = digits.take(5)
    workflow: dict[str, Any] = {}
    if shape == 4 and template:
        workflow = {"template": "m1", "parameters": {"word": ("now", "later")[digits.take(2)]}}
    else:
        nodes = [_first(f"{home}-{name}", shape), node("Text", "set", {"text": digits.take(2)})]
        _use(nodes, workflow, credentials, digits)
        _call(nodes, workflow, [n for n, on in callees if on or not active], digits)
        settings = ({}, {"timezone": "Europe/Berlin"}, {"executionTimeout": 60})[digits.take(3)]
        flow = {"nodes": nodes, "connections": _chain(nodes), "settings": settings}
        workflow["inline"] = flow
        if shape == 2:
            workflow["entry"] = "native"
    spec["workflow"] = workflow
    if digits.take(2):
        spec["triggers"] = [{"name": "s", **_trigger(digits)}]
    if digits.take(2):
        spec["execution"] = {"timeout": "1500ms", "retries": 1}
    return {**spec, **_lifecycle(digits)}


def _first(path: str, shape: int) -> dict[str, Any]:
    match shape:
        case 1:
            rule = {"interval": [{"field": "hours"}]}
            return node("Start", "scheduleTrigger", {"rule": rule}, typeVersion=1.2)
        case 3:
            source = {"inputSource": "passthrough"}
            return node("Start", "executeWorkflowTrigger", source, typeVersion=1.1)
        case _:
            return _hook(path)


def _hook(path: str) -> dict[str, Any]:
    return node("Start", "webhook", {"path": path, "httpMethod": "POST"}, typeVersion=2)


def _use(
    nodes: list[dict[str, Any]], workflow: dict[str, Any], credentials: Any, digits: Digits
) -> None:
    chosen = digits.take(len(credentials) + 1)
    if not chosen:
        return
    name, type_ = credentials[chosen - 1]
    parameters = {
        "url": "https://service.example",
        "authentication": "genericCredentialType",
        "genericAuthType": type_,
    }
    held = {"credentials": {type_: {"id": "elsewhere", "name": "theirs"}}}
    nodes.append(node("Fetch", "httpRequest", parameters, typeVersion=4.2, **held))
    workflow["credentials"] = {type_: name}


def _call(
    nodes: list[dict[str, Any]], workflow: dict[str, Any], callees: list[str], digits: Digits
) -> None:
    chosen = digits.take(len(callees) + 1)
    if not chosen:
        return
    by_name = digits.take(2)
    target = {"__rl": True, "mode": "id", "value": callees[chosen - 1] if by_name else "elsewhere"}
    nodes.append(node("Call", "executeWorkflow", {"workflowId": target}, typeVersion=1.2))
    if not by_name:
        workflow["calls"] = {"Call": callees[chosen - 1]}


def _trigger(digits: Digits) -> dict[str, Any]:
    if digits.take(2):
        return {"type": "SCHEDULE", "cron": ("0 9 * * *", "5 4 * * 1")[digits.take(2)]}
    reference = {"env": f"S{1 + digits.take(3)}"}
    return {"type": "WEBHOOK", "auth": {"scheme": "standard-webhooks", "secretRef": reference}}


def node(name: str, type_: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Make one node as n8n exports it."""
    kept = {"name": name, "type": f"n8n-nodes-base.{type_}", "position": [0, 0]}
    return {**kept, "typeVersion": 1, "parameters": parameters, **more}


def _chain(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    names = [item["name"] for item in nodes]
    return {a: {"main": [[{"node": b, "type": "main", "index": 0}]]} for a, b in pairwise(names)}
