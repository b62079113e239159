"""The managed entry: one webhook node through which our runtime starts a workflow.

n8n's public API can't run a workflow, so each trigger that our runtime serves
becomes a pass-through of the same name behind that webhook: expressions that
name the trigger, and the shape of its items, keep working. Several triggers
share the entry: the runtime posts items for one and empty lists for the others.
Not here: calling the entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.resource.payload import Value
from reconciler.workflow.finding import Finding, Notes
from reconciler.workflow.graph import downstream
from reconciler.workflow.normal import nodes_of

ENTRY_NAME = "reconciler entry"
ENTRY_HEADER = "X-Reconciler-Entry"  # bears the organization's entry secret

_WEBHOOK = "n8n-nodes-base.webhook"
_SPLIT_OUT = "n8n-nodes-base.splitOut"
_MANUAL = "n8n-nodes-base.manualTrigger"
_RESPOND = "n8n-nodes-base.respondToWebhook"
_WAIT = "n8n-nodes-base.wait"
_SERVED = {
    _WEBHOOK: "webhook",
    "n8n-nodes-base.scheduleTrigger": "schedule",
    "n8n-nodes-base.cron": "schedule",
    "n8n-nodes-base.interval": "schedule",
    _MANUAL: "manual",
    "n8n-nodes-base.start": "manual",
}
_KEPT = ("notes", "notesInFlow")
_STEP = 220  # pixels between neighbours on n8n's canvas


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A trigger that our runtime stands in for.

    To fire it, post ``{"id": ..., *field*: [its items]}`` to the entry, with an empty list in the
    fields of all the others; with several *methods* add ``"output"``, the index of the method.
    """

    node: str
    field: str
    kind: str  # webhook, schedule or manual
    methods: tuple[str, ...] = ()
    detail: str = ""  # what it listened to, for people: "POST /orders"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """A document with the managed entry in it."""

    document: dict[str, Value]
    served: tuple[Served, ...]
    findings: tuple[Finding, ...]


def is_served(node: Mapping[str, Value]) -> bool:
    """Whether our runtime stands in for this node: an enabled webhook, schedule or manual trigger."""
    return node.get("type") in _SERVED and not node.get("disabled")


def with_entry(document: Mapping[str, Value], path: Value, credential: Value) -> Entered:
    """Put the managed entry in the place of all served triggers.

    *path* becomes the webhook's path (and our marker), *credential* its ``httpHeaderAuth``. A
    document that already has a managed entry gets a new one.
    """
    notes = Notes()
    nodes = nodes_of(document)
    taken = nodes.get(ENTRY_NAME)
    if taken is not None and taken.get("type") == _WEBHOOK:
        document = strip_entry(document)
        nodes = nodes_of(document)
    elif taken is not None:
        where = ("nodes", ENTRY_NAME, "name")
        notes.error("WFL140", where, f'the name "{ENTRY_NAME}" is kept for us', "rename the node")
    draft = _Draft(nodes=dict(nodes), links=_links(document))
    triggers = [name for name in sorted(nodes) if is_served(nodes[name])]
    served = tuple(draft.replace(name, at) for at, name in enumerate(triggers))
    draft.links.pop(ENTRY_NAME, None)
    if triggers:
        targets: list[Value] = [_edge(name) for name in triggers]
        draft.links[ENTRY_NAME] = {"main": [targets]}
    entered: dict[str, Value] = {**document, "connections": draft.links}
    answers = _answers(nodes, downstream(entered, [ENTRY_NAME]), entered)
    draft.nodes[ENTRY_NAME] = {
        "type": _WEBHOOK,
        "typeVersion": 2.1,
        "position": _place(nodes, triggers or nodes),
        "parameters": {
            "httpMethod": "POST",
            "path": path,
            "authentication": "headerAuth",
            "responseMode": "responseNode" if answers else "onReceived",
            "options": {},
        },
        "credentials": {"httpHeaderAuth": credential},
    }
    entered["nodes"] = {name: draft.nodes[name] for name in sorted(draft.nodes)}
    entered["connections"] = {name: draft.links[name] for name in sorted(draft.links)}
    return Entered(document=entered, served=served, findings=tuple(notes.findings))


def find_entry_path(nodes: object) -> str | None:
    """The path of the managed entry among n8n's nodes (a list) or ours (by name): our marker."""
    if isinstance(nodes, Mapping):
        found = [nodes.get(ENTRY_NAME)]
    else:
        every = nodes if isinstance(nodes, list) else []
        found = [one for one in every if isinstance(one, Mapping) and one.get("name") == ENTRY_NAME]
    for node in found:
        if isinstance(node, Mapping) and node.get("type") == _WEBHOOK:
            parameters = node.get("parameters")
            path = parameters.get("path") if isinstance(parameters, Mapping) else None
            return path if isinstance(path, str) and path else None
    return None


def strip_entry(document: Mapping[str, Value]) -> dict[str, Value]:
    """Take the managed entry out; its pass-throughs become manual triggers of the same name."""
    nodes, links = dict(nodes_of(document)), _links(document)
    if nodes.get(ENTRY_NAME, {}).get("type") != _WEBHOOK:
        return dict(document)
    del nodes[ENTRY_NAME]
    for name in _targets(links.pop(ENTRY_NAME, None)):
        node = nodes.get(name, {})
        if node.get("type") == _SPLIT_OUT:
            kept = {key: node[key] for key in ("position", *_KEPT) if key in node}
            nodes[name] = {"type": _MANUAL, "typeVersion": 1, "parameters": {}, **kept}
    return {**document, "nodes": dict(nodes), "connections": links}


@dataclass(slots=True)
class _Draft:
    """A document in the making."""

    nodes: dict[str, dict[str, Value]]
    links: dict[str, Value]

    def replace(self, name: str, at: int) -> Served:
        """Turn the trigger *name* into the pass-through number *at*."""
        trigger = self.nodes[name]
        field = "items" if at == 0 else f"items{at + 1}"
        kept = {key: trigger[key] for key in ("position", *_KEPT) if key in trigger}
        self.nodes[name] = {
            "type": _SPLIT_OUT,
            "typeVersion": 1,
            "parameters": {"fieldToSplitOut": f"body.{field}", "options": {}},
            **kept,
        }
        methods = _methods(trigger)
        if len(methods) > 1:
            self._part_by_method(name, len(methods))
        return Served(
            node=name,
            field=field,
            kind=_SERVED[str(trigger.get("type"))],
            methods=methods,
            detail=_detail(trigger, methods),
        )

    def _part_by_method(self, name: str, methods: int) -> None:
        # A webhook for several methods has an output for each, a pass-through only one.
        link = self.links.get(name)
        outputs = link.get("main") if isinstance(link, dict) else None
        if not isinstance(outputs, list) or not outputs:
            return
        if len(outputs) == methods and all(one == outputs[0] for one in outputs):
            self.links[name] = {"main": outputs[:1]}
            return
        switch = f"{name} by method"
        while switch in self.nodes:
            switch += " "
        self.nodes[switch] = {
            "type": "n8n-nodes-base.switch",
            "typeVersion": 3.2,
            "position": _shifted(self.nodes[name].get("position"), _STEP // 2),
            "parameters": {
                "mode": "expression",
                "numberOutputs": methods,
                "output": f"={{{{ $('{ENTRY_NAME}').first().json.body.output }}}}",
            },
        }
        self.links[switch] = {"main": outputs}
        self.links[name] = {"main": [[_edge(switch)]]}


def _links(document: Mapping[str, Value]) -> dict[str, Value]:
    connections = document.get("connections")
    return dict(connections) if isinstance(connections, dict) else {}


def _edge(target: str) -> dict[str, Value]:
    return {"node": target, "type": "main", "index": 0}


def _targets(link: Value) -> list[str]:
    outputs = link.get("main") if isinstance(link, dict) else None
    first = outputs[0] if isinstance(outputs, list) and outputs else None
    edges = first if isinstance(first, list) else []
    return [str(edge["node"]) for edge in edges if isinstance(edge, dict) and "node" in edge]


def _methods(trigger: Mapping[str, Value]) -> tuple[str, ...]:
    parameters = trigger.get("parameters")
    if trigger.get("type") != _WEBHOOK or not isinstance(parameters, dict):
        return ()
    method = parameters.get("httpMethod", "GET")
    if isinstance(method, list):
        return tuple(str(one) for one in method)
    if parameters.get("multipleMethods") and "httpMethod" not in parameters:
        return ("GET", "POST")  # n8n's default for several
    return (str(method),)


def _detail(trigger: Mapping[str, Value], methods: tuple[str, ...]) -> str:
    parameters = trigger.get("parameters")
    path = parameters.get("path") if isinstance(parameters, dict) else None
    if methods and isinstance(path, str):
        return f"{'/'.join(methods)} /{path.strip('/')}"
    return ""


def _answers(
    nodes: Mapping[str, Mapping[str, Value]], reached: set[str], document: Mapping[str, Value]
) -> bool:
    """Whether the entry must wait for a Respond to Webhook node: n8n fails the run when this is wrong."""
    responders = {name for name in reached if nodes.get(name, {}).get("type") == _RESPOND}
    owned: set[str] = set()
    for name in reached:
        node = nodes.get(name, {})
        parameters = node.get("parameters")
        if (
            node.get("type") == _WAIT
            and not node.get("disabled")
            and isinstance(parameters, dict)
            and parameters.get("resume") in ("webhook", "form")
            and parameters.get("responseMode") == "responseNode"
        ):
            owned |= downstream(document, [name])
    return bool(responders - owned)


def _place(nodes: Mapping[str, Mapping[str, Value]], beside: Iterable[str]) -> Value:
    spots = [
        (across, down)
        for name in beside
        if isinstance(spot := nodes[name].get("position"), list) and len(spot) == 2
        if isinstance(across := spot[0], (int, float)) and isinstance(down := spot[1], (int, float))
    ]
    if not spots:
        return [0, 0]
    return [min(across for across, _ in spots) - _STEP, min(down for _, down in spots)]


def _shifted(position: Value, across: int) -> Value:
    if isinstance(position, list) and position and isinstance(position[0], (int, float)):
        return [position[0] + across, *position[1:]]
    return [across, 0]
