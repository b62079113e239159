"""The normal form of one node. Not here: how nodes are connected and what their types mean."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.resource.payload import Value
from reconciler.workflow.catalog import NodeCatalog
from reconciler.workflow.finding import Notes, Path
from reconciler.workflow.values import clean, clean_number, clean_text

_FLAGS = (
    "alwaysOutputData",
    "continueOnFail",
    "disabled",
    "executeOnce",
    "notesInFlow",
    "retryOnFail",
)
_NUMBERS = ("maxTries", "waitBetweenTries")
_TEXTS = {"notes": "", "onError": "stopWorkflow"}  # with the value that means the same as none
_OWN = {"name", "type", "typeVersion", "position", "parameters", "credentials", "webhookId"}
_ROUTINE = {"id", "createdAt", "updatedAt"}
_CALLERS = ("executeWorkflow", "toolWorkflow", "retrieverWorkflow")


def clean_node(
    raw: Mapping[str, object], path: Path, catalog: NodeCatalog, notes: Notes
) -> dict[str, Value]:
    """Bring a node (its name apart) into normal form; what n8n would refuse becomes a finding."""
    kind = raw.get("type")
    if not isinstance(kind, str) or not kind:
        notes.error("WFL103", (*path, "type"), "a node needs a type")
        kind = ""
    parameters = _parameters(raw.get("parameters"), (*path, "parameters"), notes)
    if calls_workflow(kind):
        parameters = plain_target(parameters)
    node: dict[str, Value] = {
        "type": clean_text(kind, (*path, "type"), notes),
        "typeVersion": _version(raw, path, notes),
        "position": _position(raw.get("position"), (*path, "position"), notes),
        "parameters": parameters,
    }
    credentials = _credentials(raw.get("credentials"), (*path, "credentials"), notes)
    if credentials:
        node["credentials"] = credentials
    node |= _options(raw, path, notes)
    webhook_id = raw.get("webhookId")
    if isinstance(webhook_id, str) and webhook_id:
        if webhook_id_matters(kind, parameters, catalog):
            node["webhookId"] = clean_text(webhook_id, (*path, "webhookId"), notes)
    elif webhook_id not in (None, ""):
        notes.error("WFL104", (*path, "webhookId"), "webhookId must be text")
    return node


def webhook_id_matters(kind: str, parameters: Mapping[str, object], catalog: NodeCatalog) -> bool:
    """Whether a node's webhookId is part of an address that others call."""
    known = catalog.get(kind)
    if known is None:
        return True
    if known.webhook != "path":
        return known.webhook == "id"
    options = parameters.get("options")
    inner = options.get("path") if isinstance(options, dict) else None
    path = parameters.get("path") or inner
    return not (isinstance(path, str) and not path.startswith(("=", ":")) and "/:" not in path)


def calls_workflow(kind: object) -> bool:
    """Whether nodes of this type run another workflow of the same n8n."""
    return isinstance(kind, str) and kind.rpartition(".")[2] in _CALLERS


def plain_target(parameters: dict[str, Value]) -> dict[str, Value]:
    """Reduce a resource locator in workflowId to what identifies the workflow."""
    target = parameters.get("workflowId")
    if isinstance(target, dict) and "value" in target:
        value = target["value"]
        plain: dict[str, Value] = {"__rl": True, "mode": "id", "value": value}
        return {**parameters, "workflowId": plain}
    return parameters


def _parameters(raw: object, path: Path, notes: Notes) -> dict[str, Value]:
    if raw is None or raw == []:
        return {}
    cleaned = clean(raw, path, notes)
    if isinstance(cleaned, dict):
        return cleaned
    notes.error("WFL104", path, "parameters must be an object")
    return {}


def _version(raw: Mapping[str, object], path: Path, notes: Notes) -> int | float:
    version = raw.get("typeVersion")
    if version is None:
        notes.warn("WFL111", path, "has no typeVersion, so 1 is taken")
        return 1
    if isinstance(version, (int, float)) and not isinstance(version, bool):
        return clean_number(version, (*path, "typeVersion"), notes)
    notes.error("WFL104", (*path, "typeVersion"), "typeVersion must be a number")
    return 1


def _position(raw: object, path: Path, notes: Notes) -> list[Value]:
    if isinstance(raw, (list, tuple)) and len(raw) == 2:
        across, down = raw
        if _is_number(across) and _is_number(down):
            return [clean_number(across, path, notes), clean_number(down, path, notes)]
    what = "has no position" if raw is None else "position must be two numbers"
    notes.error("WFL104", path, what, 'a place on the canvas, such as "position": [0, 0]')
    return [0, 0]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _credentials(raw: object, path: Path, notes: Notes) -> dict[str, Value]:
    if raw is None or raw == []:
        return {}
    if not isinstance(raw, dict):
        notes.error("WFL104", path, "credentials must be an object keyed by credential type")
        return {}
    result: dict[str, Value] = {}
    for kind in sorted(key for key in raw if isinstance(key, str)):
        where = (*path, kind)
        match raw[kind]:
            case str(name) | {"name": str(name)}:
                result[kind] = {"name": clean_text(name, where, notes)}
            case {"id": _} | {}:
                result[kind] = {"name": ""}
            case None:
                notes.drop(where, "names no credential")
            case _:
                notes.error("WFL104", where, "must be an object with the credential's name")
    return result


def _options(raw: Mapping[str, object], path: Path, notes: Notes) -> dict[str, Value]:
    node: dict[str, Value] = {}
    for key in sorted(raw):
        value, where = raw[key], (*path, key)
        if value is None or key in _OWN or key in _ROUTINE:
            continue
        if key in _FLAGS:
            if not isinstance(value, bool):
                notes.error("WFL104", where, f"{key} must be true or false")
            elif value:
                node[key] = True
        elif key in _NUMBERS:
            if _is_number(value):
                node[key] = clean(value, where, notes)
            else:
                notes.error("WFL104", where, f"{key} must be a number")
        elif key in _TEXTS:
            if not isinstance(value, str):
                notes.error("WFL104", where, f"{key} must be text")
            elif value != _TEXTS[key]:
                node[key] = clean_text(value, where, notes)
        elif key == "customTelemetryTags" and isinstance(value, dict):
            if value:
                node[key] = clean(value, where, notes)
        else:
            notes.drop(where, "not a key of n8n's public API for nodes")
    return node
