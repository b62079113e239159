"""The normal form: two workflows are equal when their normal forms are.

It takes an export as n8n's "Download" writes it, as well as an object that the
public API returns, leaves out what the server makes up (ids, defaults, order)
and what the public API refuses, and says so. Nodes are keyed by name. Not
here: whether the workflow makes sense (`reconciler.workflow.lint`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.diagnostics import Severity
from reconciler.resource.payload import Value
from reconciler.workflow.catalog import NodeCatalog, shipped_catalog
from reconciler.workflow.finding import Dropped, Finding, Notes, Path, dotted
from reconciler.workflow.links import clean_connections
from reconciler.workflow.nodes import clean_node
from reconciler.workflow.settings import clean_settings
from reconciler.workflow.values import clean_text

_OWN = {"name", "nodes", "connections", "settings"}
_KEPT_OUT: Mapping[str, str] = {
    "nodeGroups": "frames on the canvas are left to the editor",
    "pinData": "pinned test data stays in the editor",
    "staticData": "what triggers remember belongs to the running n8n",
}
_ROUTINE: Mapping[str, str] = {
    "active": "the spec says whether the automation is active",
    "description": "the spec has the description",
    "tags": "the spec has the tags",
    **dict.fromkeys(
        (
            "activeVersion",
            "activeVersionId",
            "createdAt",
            "hash",
            "homeProject",
            "id",
            "isArchived",
            "meta",
            "ownedBy",
            "parentFolder",
            "parentFolderId",
            "scopes",
            "shared",
            "sharedWithProjects",
            "sourceWorkflowId",
            "triggerCount",
            "updatedAt",
            "usedCredentials",
            "versionCounter",
            "versionId",
        ),
        "n8n's own bookkeeping",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """A workflow in normal form; *document* always has nodes, connections and settings."""

    document: dict[str, Value]
    dropped: tuple[Dropped, ...]
    findings: tuple[Finding, ...]
    origin: Mapping[str, str | int]  # node name -> its index in the original list
    ids: Mapping[str, str]  # node name -> its id in the original
    prefix: Path = ()  # leads to the workflow inside the original JSON
    is_workflow: bool = True  # False: it is something else, and the findings say what

    @property
    def nodes(self) -> dict[str, dict[str, Value]]:
        """The nodes by name."""
        return nodes_of(self.document)

    def at(self, node: str, *rest: str | int) -> Path:
        """Lead to (a part of) the node *node* in the original JSON."""
        return (*self.prefix, "nodes", self.origin.get(node, node), *rest)


def nodes_of(document: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
    """The nodes of a document in normal form, by name."""
    nodes = document.get("nodes")
    found = nodes if isinstance(nodes, dict) else {}
    return {name: node for name, node in found.items() if isinstance(node, dict)}


def normalize(
    raw: object, *, keep_webhook_ids: bool = True, catalog: NodeCatalog | None = None
) -> Normal:
    """Bring *raw* into normal form; whatever it is, the answer is a Normal, never an exception.

    Without *keep_webhook_ids* (templates) each use of the workflow gets addresses of its own.
    """
    notes = Notes()
    prefix: Path = ()
    if isinstance(raw, list) and len(raw) == 1:
        raw, prefix = raw[0], (0,)
    if not isinstance(raw, Mapping) or not isinstance(raw.get("nodes"), (list, dict)):
        message, hint = _what_it_is(raw)
        notes.error("WFL101", prefix, message, hint)
        return _result(_document({}, {}, {}), notes, (), prefix, is_workflow=False)
    facts = catalog or shipped_catalog()
    nodes: dict[str, Value] = {}
    origin: list[tuple[str, str | int, object]] = []
    for at, name, node in _named(raw["nodes"], (*prefix, "nodes"), notes):
        where = (*prefix, "nodes", at)
        if name in nodes:
            notes.error(
                "WFL102", (*where, "name"), f'another node is named "{name}", too', "rename one"
            )
            continue
        nodes[name] = clean_node(node, where, facts, notes)
        origin.append((name, at, node.get("id")))
    if not keep_webhook_ids:
        for one in nodes.values():
            if isinstance(one, dict):
                one.pop("webhookId", None)
    document = _document(
        {name: nodes[name] for name in sorted(nodes)},
        clean_connections(raw.get("connections"), (*prefix, "connections"), notes),
        clean_settings(raw.get("settings"), (*prefix, "settings"), notes),
    )
    title = raw.get("name")
    if isinstance(title, str) and title.strip():
        document = {"name": clean_text(title, (*prefix, "name"), notes), **document}
    _others(raw, prefix, notes)
    return _result(document, notes, origin, prefix, is_workflow=True)


def _document(
    nodes: dict[str, Value], connections: dict[str, Value], settings: dict[str, Value]
) -> dict[str, Value]:
    return {"nodes": nodes, "connections": connections, "settings": settings}


def _result(
    document: dict[str, Value],
    notes: Notes,
    origin: Sequence[tuple[str, str | int, object]],
    prefix: Path,
    *,
    is_workflow: bool,
) -> Normal:
    return Normal(
        document=document,
        dropped=tuple(notes.dropped),
        findings=tuple(notes.findings),
        origin={name: at for name, at, _ in origin},
        ids={name: id_ for name, _, id_ in origin if isinstance(id_, str) and id_},
        prefix=prefix,
        is_workflow=is_workflow,
    )


def _named(
    raw: object, path: Path, notes: Notes
) -> Iterator[tuple[str | int, str, Mapping[str, object]]]:
    pairs = (
        raw.items() if isinstance(raw, Mapping) else enumerate(raw if isinstance(raw, list) else [])
    )
    for at, node in pairs:
        where = (*path, at)
        if not isinstance(node, Mapping):
            notes.error("WFL103", where, "a node must be an object")
            continue
        name = node.get("name", at if isinstance(at, str) else None)
        if isinstance(name, str) and name:
            yield at, clean_text(name, where, notes), node
        else:
            notes.error("WFL103", where, "a node needs a name")


def _others(raw: Mapping[str, object], prefix: Path, notes: Notes) -> None:
    for key in sorted(str(key) for key in raw.keys() - _OWN):
        value = raw.get(key)
        where = (*prefix, key)
        if key in _KEPT_OUT:
            if value:
                notes.drop(where, _KEPT_OUT[key])
        elif key in _ROUTINE:
            notes.drop(where, _ROUTINE[key], routine=True)
        else:
            notes.drop(where, "not a part of n8n's public API")


def _what_it_is(raw: object) -> tuple[str, str | None]:
    hint = 'use the file that "Download" in n8n\'s editor writes'
    if isinstance(raw, list):
        return (
            f"a list of {len(raw)} is not one n8n workflow",
            "put each workflow into its own file",
        )
    if not isinstance(raw, Mapping):
        return "this is not an n8n workflow", hint
    for key in ("workflow", "data", "workflowData"):
        inner = raw.get(key)
        if isinstance(inner, Mapping) and "nodes" in inner:
            return f'the n8n workflow is inside "{key}"', f'keep only what is in "{key}"'
    if "nodes" in raw:
        return "nodes must be a list", hint
    return "this is not an n8n workflow: it has no nodes", hint


def left_out(normal: Normal) -> tuple[Finding, ...]:
    """Say what of the export is not written to n8n, bookkeeping aside: for those who look for it."""
    return tuple(
        Finding(
            path=dropped.path,
            code="WFL141",
            severity=Severity.NOTE,
            message=f"{dotted(dropped.path)} is left out: {dropped.reason}",
        )
        for dropped in normal.dropped
        if not dropped.routine
    )
