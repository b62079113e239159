"""Tie a workflow to the credentials and automations of the specs.

An export names credentials and workflows by ids that hold on one n8n only;
after `bind` each of them is one leaf, normally a reference. Not here: what the
references turn out to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.resource.payload import Value
from reconciler.workflow.catalog import NodeCatalog, shipped_catalog
from reconciler.workflow.finding import Finding, Notes
from reconciler.workflow.graph import edges
from reconciler.workflow.nodes import calls_workflow
from reconciler.workflow.normal import Normal, nodes_of
from reconciler.workflow.slots import asked, required, stale

ERROR_WORKFLOW = "settings.errorWorkflow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A document with references in it."""

    document: dict[str, Value]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A place where a workflow names another one."""

    key: str  # the node's name, or "settings.errorWorkflow"
    target: str | None  # as written; None: nothing is written
    expression: bool = False  # only known when it runs
    disabled: bool = False


def find_calls(document: Mapping[str, Value]) -> tuple[Call, ...]:
    """List the places in a document where it names a workflow of the same n8n."""
    calls: list[Call] = []
    for name, node in nodes_of(document).items():
        if not calls_workflow(node.get("type")):
            continue
        parameters = node.get("parameters")
        parameters = parameters if isinstance(parameters, dict) else {}
        if parameters.get("source", "database") != "database":
            continue
        target = parameters.get("workflowId")
        target = target.get("value") if isinstance(target, dict) else target
        calls.append(_call(name, target, disabled=bool(node.get("disabled"))))
    settings = document.get("settings")
    if isinstance(settings, dict) and "errorWorkflow" in settings:
        calls.append(_call(ERROR_WORKFLOW, settings["errorWorkflow"]))
    return tuple(calls)


def bind(
    normal: Normal,
    credentials: Mapping[str, Value],
    calls: Mapping[str, Value],
    *,
    catalog: NodeCatalog | None = None,
) -> Bound:
    """Put *credentials* (by node name or n8n credential type) and *calls* (by `Call.key`) in.

    Gaps and mappings that fit nowhere become findings.
    """
    notes = Notes()
    document = _own_copy(normal.document)
    _bind_credentials(normal, document, credentials, catalog or shipped_catalog(), notes)
    _bind_calls(normal, document, calls, notes)
    return Bound(document=document, findings=tuple(notes.findings))


def _own_copy(document: Mapping[str, Value]) -> dict[str, Value]:
    """Copy what binding changes, and share the rest: node parameters can be large."""
    copied = dict(document)
    copied["nodes"] = {name: dict(node) for name, node in nodes_of(document).items()}
    settings = document.get("settings")
    if isinstance(settings, dict):
        copied["settings"] = dict(settings)
    return copied


def _bind_credentials(
    normal: Normal,
    document: Mapping[str, Value],
    mapping: Mapping[str, Value],
    catalog: NodeCatalog,
    notes: Notes,
) -> None:
    used: set[str] = set()
    linked: set[str] | None = None  # found out when somebody asks: most nodes lack nothing
    for name, node in nodes_of(document).items():
        written = node.get("credentials")
        written = written if isinstance(written, dict) else {}
        asked_for = asked(node, catalog)
        types = sorted({*written, *asked_for})
        bound: dict[str, Value] = {}
        if name in mapping:
            used.add(name)
            types = _only(name, types, asked_for, normal, notes)
            bound = dict.fromkeys(types, mapping[name])
        for kind in types:
            if kind not in bound and kind in mapping:
                bound[kind] = mapping[kind]
                used.add(kind)
        for kind in sorted({*written, *required(node, catalog)} - bound.keys()):
            if name not in mapping and not stale(node, kind, catalog):
                if linked is None:
                    linked = {end for e in edges(document) for end in (e.source, e.target)}
                serious = not node.get("disabled") and (name in linked or _starts(node, catalog))
                _missing(normal, name, kind, serious=serious, notes=notes)
        if written or bound:
            node["credentials"] = {**written, **bound}
    for key in sorted(mapping.keys() - used):
        notes.warn(
            "WFL121",
            (*normal.prefix, "nodes"),
            f'no node is named "{key}" or uses a credential of that type',
            "take the line out of workflow.credentials",
        )


def _only(
    name: str, types: list[str], asked_for: frozenset[str], normal: Normal, notes: Notes
) -> list[str]:
    likely = [kind for kind in types if kind in asked_for] or types
    if len(likely) == 1:
        return likely
    where = normal.at(name, "credentials")
    if likely:
        every = ", ".join(likely)
        notes.error(
            "WFL122",
            where,
            f'the node "{name}" uses several credential types: {every}',
            "map each by its type",
        )
    else:
        notes.warn("WFL121", where, f'the node "{name}" uses no credential')
    return []


def _missing(normal: Normal, name: str, kind: str, *, serious: bool, notes: Notes) -> None:
    report = notes.error if serious else notes.warn  # n8n doesn't look at nodes that can't run
    report(
        "WFL120",
        normal.at(name, "credentials", kind),
        f'the node "{name}" needs a credential of type {kind}',
        f"write under workflow.credentials: {{{kind}: <name of a Credential>}}",
    )


def _starts(node: Mapping[str, Value], catalog: NodeCatalog) -> bool:
    known = catalog.get(node.get("type"))
    return known is not None and (known.trigger or known.webhook != "none")


def _bind_calls(
    normal: Normal, document: dict[str, Value], calls: Mapping[str, Value], notes: Notes
) -> None:
    nodes, found = nodes_of(document), find_calls(document)
    for call in found:
        leaf = calls.get(call.key)
        if leaf is not None:
            _set_target(document, nodes, call.key, leaf)
        elif call.target is None:
            if not call.disabled:
                notes.error(
                    "WFL130",
                    normal.at(call.key, "parameters", "workflowId"),
                    f'the node "{call.key}" calls no workflow',
                    f'write under workflow.calls: {{"{call.key}": <name of an Automation>}}',
                )
        elif not call.expression:
            notes.warn(
                "WFL131",
                _call_path(normal, call.key),
                f'"{call.target}" is not an Automation, so it is taken for an id of this one n8n',
                f'write under workflow.calls: {{"{call.key}": <name of an Automation>}}',
            )
    for key in sorted(calls.keys() - {call.key for call in found}):
        notes.warn(
            "WFL132",
            (*normal.prefix, "nodes"),
            f'no node named "{key}" calls a workflow',
            "take the line out of workflow.calls",
        )


def _call_path(normal: Normal, key: str) -> tuple[str | int, ...]:
    if key == ERROR_WORKFLOW:
        return (*normal.prefix, "settings", "errorWorkflow")
    return normal.at(key, "parameters", "workflowId")


def _set_target(
    document: dict[str, Value], nodes: Mapping[str, dict[str, Value]], key: str, leaf: Value
) -> None:
    settings = document.get("settings")
    if key == ERROR_WORKFLOW and isinstance(settings, dict):
        settings["errorWorkflow"] = leaf
        return
    node = nodes[key]
    parameters = node.get("parameters")
    if not isinstance(parameters, dict):
        return
    version = node.get("typeVersion")
    located = isinstance(parameters.get("workflowId"), dict) or (
        isinstance(version, (int, float)) and version >= _LOCATOR_SINCE[str(node.get("type"))]
    )
    target: Value = {"__rl": True, "mode": "id", "value": leaf} if located else leaf
    node["parameters"] = {**parameters, "workflowId": target}


_LOCATOR_SINCE = {
    "n8n-nodes-base.executeWorkflow": 1.1,
    "@n8n/n8n-nodes-langchain.toolWorkflow": 1.2,
    "@n8n/n8n-nodes-langchain.retrieverWorkflow": 1.1,
}


def _call(key: str, target: Value, *, disabled: bool = False) -> Call:
    text = target if isinstance(target, str) and target.strip() else None
    return Call(
        key=key,
        target=text,
        expression=bool(text and text.startswith("=")),
        disabled=disabled,
    )
