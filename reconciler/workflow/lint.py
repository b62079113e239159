"""What is wrong with a workflow, found before anything is written to n8n.

n8n accepts much of this and fails later, or saves a draft it then can't
publish. Not here: credentials and calls (`bind`), risky nodes (`risk`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from reconciler.resource.payload import Value
from reconciler.workflow.catalog import NodeCatalog, NodeType
from reconciler.workflow.cron import cron_expressions, cron_problem
from reconciler.workflow.entry import ENTRY_NAME, is_served
from reconciler.workflow.finding import Finding, Notes, Path
from reconciler.workflow.graph import edges
from reconciler.workflow.hooks import webhooks_of
from reconciler.workflow.normal import Normal

NO_TRIGGER = "WFL119"  # the one finding that does not matter to an inactive workflow
TAKEN = "WFL117"  # the one finding that depends on what others do in n8n
_NOTE = "n8n-nodes-base.stickyNote"
_NOT_STARTING = (
    "n8n-nodes-base.manualTrigger",
    "@n8n/n8n-nodes-langchain.manualChatTrigger",
    "n8n-nodes-base.start",
)
_OWN_PACKAGES = ("n8n-nodes-base.", "@n8n/n8n-nodes-langchain.")
_LICENSED = {
    "$vars": ("variables", "write the value out, or read it from a data table"),
    "$secrets": ("external secrets", "use a Credential"),
}
_LICENSED_WORD = re.compile(r"\$(?:vars|secrets)\b(?=\s*[.\[])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is known about the n8n that is to run the workflow."""

    taken: Collection[tuple[str, str]] = ()  # (method, path) of webhooks of other workflows
    allowed: Collection[str] = ()  # node types that it runs although n8n leaves them out by default
    managed: bool = True  # our runtime serves webhook, schedule and manual triggers
    licensed: bool = False


_DEFAULT = Target()


def lint(normal: Normal, catalog: NodeCatalog, target: Target = _DEFAULT) -> tuple[Finding, ...]:
    """Check a workflow; the findings of its normal form are included."""
    notes = Notes(findings=list(normal.findings))
    if normal.is_workflow:
        for name, node in normal.nodes.items():
            _check_type(normal, name, node, catalog, target, notes)
            _check_cron(normal, name, node, target, notes)
            _check_expressions(normal, name, node, target, notes)
        _check_links(normal, notes)
        _check_webhooks(normal, target, notes)
        _check_starts(normal, catalog, target, notes)
        _check_saving(normal, target, notes)
    return tuple(notes.findings)


def _check_type(
    normal: Normal,
    name: str,
    node: Mapping[str, Value],
    catalog: NodeCatalog,
    target: Target,
    notes: Notes,
) -> None:
    kind, version = str(node.get("type")), node.get("typeVersion")
    known = catalog.get(kind)
    if not kind or (target.managed and is_served(node)):
        return  # said already, or replaced by the managed entry
    report = notes.warn if node.get("disabled") else notes.error
    where = normal.at(name, "type")
    if known is None:
        near = catalog.suggest(kind)
        hint = f'did you mean "{near}"?' if near else None
        if not kind.startswith(_OWN_PACKAGES) and not catalog.complete:
            report = notes.warn
            hint = "n8n needs the community package that has it"
        report("WFL113", where, f'{catalog.source} has no node type "{kind}"', hint)
    elif known.excluded and kind not in target.allowed:
        report(
            "WFL114",
            where,
            f'n8n leaves the node type "{kind}" out unless it is told otherwise',
            "set NODES_EXCLUDE on that n8n and allow the type here, or use another node",
        )
    elif known.variant(version) is None:
        report = report if known.strict else notes.warn
        versions = ", ".join(str(number) for number in known.versions)
        report(
            "WFL115",
            normal.at(name, "typeVersion"),
            f"{kind} has no version {version}",
            f"{catalog.source} has {versions}",
        )


def _check_links(normal: Normal, notes: Notes) -> None:
    nodes = normal.nodes
    by_id = _names_by_id(normal)
    root = (*normal.prefix, "connections")
    connections = normal.document["connections"]
    for source in connections if isinstance(connections, dict) else {}:
        if source not in nodes:
            notes.error(
                "WFL112",
                (*root, source),
                f'a connection starts at "{source}", and there is no such node',
                _instead(source, by_id, nodes),
            )
    for edge in edges(normal.document):
        if edge.source in nodes and edge.target not in nodes:
            notes.error(
                "WFL112",
                (*root, edge.source, edge.kind, edge.output, edge.at, "node"),
                f'a connection leads to "{edge.target}", and there is no such node',
                _instead(edge.target, by_id, nodes),
            )


def _names_by_id(normal: Normal) -> dict[str, str]:
    return {id_: name for name, id_ in normal.ids.items()}


def _instead(name: str, by_id: Mapping[str, str], nodes: Collection[str]) -> str | None:
    if name in by_id:
        return f'that is an id: connections go by name, here "{by_id[name]}"'
    alike = [known for known in nodes if known.casefold().strip() == name.casefold().strip()]
    return f'did you mean "{alike[0]}"?' if alike else "take the connection out"


def _check_webhooks(normal: Normal, target: Target, notes: Notes) -> None:
    taken = {(method, path.strip("/")) for method, path in target.taken}
    seen: dict[tuple[str, str], str] = {}
    for hook in webhooks_of(normal.document):
        if target.managed and is_served(normal.nodes[hook.node]):
            continue
        where = normal.at(hook.node, "parameters", "path")
        key = (hook.method, hook.path)
        what = f"{hook.method} {hook.path}"
        if key in taken:
            notes.error(
                TAKEN,
                where,
                f"another workflow in n8n already listens to {what}",
                "choose another path",
            )
        elif seen.setdefault(key, hook.node) != hook.node:
            notes.error(
                "WFL116",
                where,
                f'"{seen[key]}" and "{hook.node}" both listen to {what}',
                "choose another path for one of them",
            )


def _check_cron(
    normal: Normal, name: str, node: Mapping[str, Value], target: Target, notes: Notes
) -> None:
    parameters = node.get("parameters")
    skipped = node.get("disabled") or (target.managed and is_served(node))
    if skipped or not isinstance(parameters, dict):
        return
    for path, expression in cron_expressions(parameters):
        problem = cron_problem(expression)
        if problem:
            where = normal.at(name, "parameters", *path)
            notes.error("WFL118", where, f"n8n can't read the cron expression: {problem}")


def _check_starts(normal: Normal, catalog: NodeCatalog, target: Target, notes: Notes) -> None:
    working = {
        name: node
        for name, node in normal.nodes.items()
        if node.get("type") != _NOTE and name != ENTRY_NAME
    }
    enabled = {name: node for name, node in working.items() if not node.get("disabled")}
    where = (*normal.prefix, "nodes")
    if not enabled:
        what = "every node is disabled" if working else "there are no nodes in it"
        _report_idle(target, where, f"nothing in this workflow ever runs: {what}", notes)
        return
    starts = [
        name
        for name, node in enabled.items()
        if _starts(node, catalog.get(node.get("type")), target)
    ]
    if not starts:
        _report_idle(
            target,
            where,
            "nothing in this workflow ever runs: it has no trigger that is enabled",
            notes,
        )
    sources = {edge.source for edge in edges(normal.document)}
    for name in starts:
        if name not in sources and len(enabled) > 1:
            notes.warn("WFL126", normal.at(name), f'the trigger "{name}" is connected to nothing')


def _check_saving(normal: Normal, target: Target, notes: Notes) -> None:
    """Runs are followed, and known afterwards, by what n8n saves of them."""
    settings = normal.document.get("settings")
    report = notes.error if target.managed else notes.warn
    for key, which in (("saveDataSuccessExecution", "succeed"), ("saveDataErrorExecution", "fail")):
        if isinstance(settings, dict) and settings.get(key) == "none":
            message = f"n8n saves no runs of this workflow that {which}, so their end can't be seen"
            report(
                "WFL127", (*normal.prefix, "settings", key), message, 'write "all", or leave it out'
            )


def _report_idle(target: Target, where: Path, message: str, notes: Notes) -> None:
    if target.managed:
        notes.warn(NO_TRIGGER, where, message, "add a trigger and connect it")
    else:
        notes.error(NO_TRIGGER, where, message, "n8n refuses to publish it: add a trigger")


def _starts(node: Mapping[str, Value], known: NodeType | None, target: Target) -> bool:
    if target.managed and is_served(node):
        return True
    return starts_runs(str(node.get("type")), known)


def starts_runs(type_: str, known: NodeType | None) -> bool:
    """Whether n8n by itself begins runs with nodes of *type_*, as far as is *known* of it."""
    if type_ in _NOT_STARTING:
        return False
    return type_.lower().endswith("trigger") if known is None else known.trigger


def _check_expressions(
    normal: Normal, name: str, node: Mapping[str, Value], target: Target, notes: Notes
) -> None:
    if node.get("disabled"):
        return
    for path, text in _texts(node.get("parameters"), ("parameters",)):
        if not text.startswith("="):
            continue
        where = normal.at(name, *path)
        if "{{" in text and "}}" not in text[text.rindex("{{") :]:
            notes.warn("WFL124", where, "an expression opens with {{ and never closes", "add }}")
        if not target.licensed:
            for word in sorted(set(_LICENSED_WORD.findall(text))):
                feature, hint = _LICENSED[word]
                notes.warn(
                    "WFL125",
                    where,
                    f"{word} needs an n8n licence ({feature}): Community Edition finds nothing there",
                    hint,
                )


def _texts(value: Value, path: Path) -> Iterator[tuple[Path, str]]:
    match value:
        case str():
            yield path, value
        case dict():
            for key, item in value.items():
                yield from _texts(item, (*path, key))
        case list():
            for at, item in enumerate(value):
                yield from _texts(item, (*path, at))
