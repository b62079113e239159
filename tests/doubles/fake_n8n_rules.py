"""What n8n accepts and refuses: bodies of workflows and credentials, and what can be published.

The words are n8n's own (2.40.5), because tests show them to people. The conformance
suite compares them with a real n8n.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

READ_ONLY = (
    "id",
    "active",
    "createdAt",
    "updatedAt",
    "isArchived",
    "versionId",
    "triggerCount",
    "meta",
    "tags",
    "activeVersion",
)
REQUIRED = ("name", "nodes", "connections", "settings")
_ACCEPTED = {*REQUIRED, "nodeGroups", "staticData", "pinData", "parentFolderId", "shared"}
KEYS = {"POST": _ACCEPTED | {"projectId"}, "PUT": _ACCEPTED | {"description"}}
NODE_KEYS: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "name": str,
    "webhookId": str,
    "disabled": bool,
    "notesInFlow": bool,
    "notes": str,
    "type": str,
    "typeVersion": (int, float),
    "executeOnce": bool,
    "alwaysOutputData": bool,
    "retryOnFail": bool,
    "maxTries": (int, float),
    "waitBetweenTries": (int, float),
    "continueOnFail": bool,
    "onError": str,
    "position": list,
    "parameters": dict,
    "credentials": dict,
    "customTelemetryTags": dict,
}
SETTINGS: dict[str, type | tuple[type, ...] | tuple[str, ...]] = {
    "saveExecutionProgress": bool,
    "saveManualExecutions": bool,
    "saveDataErrorExecution": ("all", "none"),
    "saveDataSuccessExecution": ("all", "none"),
    "executionTimeout": (int, float),
    "errorWorkflow": str,
    "timezone": str,
    "executionOrder": str,
    "binaryMode": ("separate", "combined"),
    "callerPolicy": ("any", "none", "workflowsFromAList", "workflowsFromSameOwner"),
    "callerIds": str,
    "timeSavedMode": ("fixed", "dynamic"),
    "timeSavedPerExecution": (int, float),
    "redactionPolicy": ("none", "non-manual", "manual-only", "all"),
    "availableInMCP": bool,
    "customTelemetryTags": list,
    "credentialResolverId": str,
}
DROPPED_SETTINGS = ("binaryMode", "redactionPolicy", "credentialResolverId")

WEBHOOK = "n8n-nodes-base.webhook"
_BASE = "n8n-nodes-base."
_NAMES = (
    "webhook respondToWebhook noOp set code if switch merge filter splitOut aggregate wait"
    " httpRequest executeWorkflow executeWorkflowTrigger errorTrigger manualTrigger"
    " scheduleTrigger cron interval formTrigger gmail gmailTrigger slack dateTime"
    " stickyNote html markdown crypto xml limit sort removeDuplicates summarize"
    " splitInBatches stopAndError emailSend postgres googleSheets googleDrive rssFeedRead"
)
NODE_TYPES = frozenset(_BASE + name for name in _NAMES.split())
_NO_START = {_BASE + "manualTrigger", "@n8n/n8n-nodes-langchain.manualChatTrigger"}
_UNCOUNTED = {_BASE + "executeWorkflowTrigger", _BASE + "errorTrigger", *_NO_START}
_PLAIN_TRIGGERS = {WEBHOOK, _BASE + "cron", _BASE + "interval"}
_REQUIRED_PARAMETERS = {_BASE + "httpRequest": ("url",)}
_WEBHOOK_AUTH = {
    "headerAuth": "httpHeaderAuth",
    "basicAuth": "httpBasicAuth",
    "jwtAuth": "jwtAuth",
}
CREDENTIAL_TYPES: dict[str, frozenset[str]] = {
    "httpHeaderAuth": frozenset(
        {"name", "value", "useCustomAuth", "allowedHttpRequestDomains", "allowedDomains"}
    ),
    "httpBasicAuth": frozenset({"user", "password", "allowedHttpRequestDomains", "allowedDomains"}),
    "httpQueryAuth": frozenset({"name", "value", "allowedHttpRequestDomains", "allowedDomains"}),
    "slackApi": frozenset({"accessToken", "signatureSecret"}),
    "postgres": frozenset({"host", "port", "database", "user", "password", "ssl"}),
    "gmailOAuth2": frozenset({"clientId", "clientSecret", "oauthTokenData", "scope"}),
}


class Refused(Exception):
    """n8n answers *status* with *message*."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def check_workflow(body: Any, method: str) -> None:
    """Raise Refused unless n8n would save *body*."""
    if not isinstance(body, dict):
        raise Refused(400, f"request/body Expected object, received {_name(body)}")
    for key in READ_ONLY:
        if key in body:
            raise Refused(400, f"request/body/{key} is read-only")
    for key in REQUIRED:
        if key not in body:
            words = "/connections must be object" if key == "connections" else ""
            raise Refused(400, f"request/body{words or f' must have required property {key!r}'}")
    _no_strangers("request/body", body, KEYS[method])
    _shape("request/body/name", body["name"], str)
    _shape("request/body/nodes", body["nodes"], list)
    for index, node in enumerate(body["nodes"]):
        _check_node(f"request/body/nodes/{index}", node)
    _shape("request/body/connections", body["connections"], dict)
    _shape("request/body/settings", body["settings"], dict)
    _check_settings(body["settings"])
    if "description" in body:
        _shape("request/body/description", body["description"], str)
    if not 1 <= len(body["name"]) <= 128:
        raise Refused(400, "Workflow name must be 1 to 128 characters long.")


def _check_node(where: str, node: Any) -> None:
    _shape(where, node, dict)
    _no_strangers(where, node, NODE_KEYS)
    for key, value in node.items():
        _shape(f"{where}/{key}", value, NODE_KEYS[key])


def _check_settings(settings: Mapping[str, Any]) -> None:
    where = "request/body/settings"
    _no_strangers(where, settings, SETTINGS)
    for key, value in settings.items():
        wanted = SETTINGS[key]
        if isinstance(wanted, tuple) and isinstance(wanted[0], str):
            if not isinstance(value, str) or value not in wanted:
                options = " | ".join(repr(option) for option in wanted)
                raise Refused(
                    400,
                    f"{where}/{key} Invalid enum value. Expected {options}, received {value!r}",
                )
        else:
            _shape(f"{where}/{key}", value, wanted)


def _no_strangers(where: str, value: Mapping[str, Any], known: Collection[str]) -> None:
    strangers = [key for key in value if key not in known]
    if strangers:
        names = ", ".join(repr(key) for key in strangers)
        raise Refused(400, f"{where} Unrecognized key(s) in object: {names}")


def _shape(where: str, value: Any, wanted: type | tuple[type, ...]) -> None:
    is_bool = isinstance(value, bool)
    if isinstance(value, wanted) and (not is_bool or wanted is bool):
        return
    first = wanted[0] if isinstance(wanted, tuple) else wanted
    names = {str: "string", bool: "boolean", int: "number", list: "array", dict: "object"}
    raise Refused(400, f"{where} Expected {names[first]}, received {_name(value)}")


def _name(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def check_structure(nodes: list[dict[str, Any]], connections: Mapping[str, Any]) -> None:
    """Raise Refused unless names and ids are unique and connections lead somewhere."""
    found = "; ".join(_structure_problems(nodes, connections))
    if found:
        raise Refused(400, f"Workflow structure is invalid. {found}")


def _structure_problems(
    nodes: list[dict[str, Any]], connections: Mapping[str, Any]
) -> Iterator[str]:
    names: set[Any] = set()
    ids: dict[Any, Any] = {}
    for index, node in enumerate(nodes):
        for key in ("name", "type", "position"):
            if key not in node:
                yield f"nodes[{index}].{key} (invalid_type): Required"
        name, id_ = node.get("name"), node.get("id")
        if name in names:
            yield f'nodes[{index}].name (duplicate_node_name): Duplicate node name "{name}"'
        if id_ is not None and id_ in ids:
            yield (
                f"nodes[{index}].id (duplicate_node_id): "
                f'Nodes "{ids[id_]}" and "{name}" share the node ID "{id_}"'
            )
        names.add(name)
        ids[id_] = name
    for source, outputs in connections.items():
        if source not in names:
            yield (
                f"connections.{source} (unknown_connection_source): "
                f'Connection source "{source}" does not reference an existing node'
            )
        for where, target in _targets(outputs):
            if target not in names:
                yield (
                    f"connections.{source}.{where}.node (unknown_connection_target): "
                    f'Connection target "{target}" does not reference an existing node'
                )


def _targets(outputs: Any) -> Iterator[tuple[str, Any]]:
    for kind, branches in outputs.items() if isinstance(outputs, dict) else ():
        for i, branch in enumerate(branches or ()):
            for j, link in enumerate(branch or ()):
                yield f"{kind}[{i}][{j}]", link.get("node")


def is_trigger(type_: str) -> bool:
    """Whether a node of this type can start a published workflow."""
    return type_ not in _NO_START and (type_ in _PLAIN_TRIGGERS or type_.endswith("Trigger"))


def count_triggers(nodes: list[dict[str, Any]]) -> int:
    """Count what n8n calls triggers in ``triggerCount``."""
    return sum(
        not node.get("disabled") and is_trigger(node["type"]) and node["type"] not in _UNCOUNTED
        for node in nodes
    )


def check_publishable(
    nodes: list[dict[str, Any]],
    connections: Mapping[str, Any],
    node_types: Collection[str],
    sub_workflow: Callable[[str], tuple[str | None, bool]],
) -> None:
    """Raise Refused unless n8n would publish this; *sub_workflow* gives (name, published) by id."""
    enabled = [node for node in nodes if not node.get("disabled")]
    for node in nodes:
        if node["type"] not in node_types:
            raise Refused(400, f"Unrecognized node type: {node['type']}")
    if not any(is_trigger(node["type"]) for node in enabled):
        raise Refused(
            400,
            "Workflow cannot be activated because it has no trigger node. "
            "At least one trigger, webhook, or polling node is required.",
        )
    connected = set(connections) | {
        target for outputs in connections.values() for _, target in _targets(outputs)
    }
    lines = []
    for node in enabled:
        if node["name"] in connected or is_trigger(node["type"]):
            issues = list(_node_issues(node))
            if issues:
                lines.append("\n".join([f'Node "{node["name"]}":', *issues]))
    if lines:
        plural = "" if len(lines) == 1 else "s"
        raise Refused(
            400,
            f"Cannot publish workflow: {len(lines)} node{plural} have configuration issues:\n\n"
            + "\n\n".join(lines),
        )
    _check_sub_workflows(enabled, sub_workflow)


def _node_issues(node: dict[str, Any]) -> Iterator[str]:
    parameters = node.get("parameters") or {}
    if node["type"] == WEBHOOK:
        wanted = _WEBHOOK_AUTH.get(str(parameters.get("authentication")))
        if wanted and wanted not in (node.get("credentials") or {}):
            yield f"  - Missing required credential: {wanted}"
    missing = [key for key in _REQUIRED_PARAMETERS.get(node["type"], ()) if not parameters.get(key)]
    if missing:
        yield f"  - Missing or invalid required parameters: {', '.join(missing)}"


def _check_sub_workflows(
    enabled: list[dict[str, Any]], sub_workflow: Callable[[str], tuple[str | None, bool]]
) -> None:
    problems = []
    for node in enabled:
        if node["type"] != _BASE + "executeWorkflow":
            continue
        parameters = node.get("parameters") or {}
        value = parameters.get("workflowId")
        id_ = value.get("value") if isinstance(value, dict) else value
        source = parameters.get("source") or "database"
        if not isinstance(id_, str) or not id_ or id_.startswith("=") or source != "database":
            continue
        name, published = sub_workflow(id_)
        if not published:
            called = f'{id_} ("{name}")' if name else id_
            problems.append(
                f'Node "{node["name"]}" references workflow {called} which is not published'
            )
    if problems:
        raise Refused(
            400,
            f"Cannot publish workflow: {'; '.join(problems)}. "
            "Please publish all referenced sub-workflows first.",
        )


def hooks(nodes: list[dict[str, Any]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (method, path, node) of each enabled webhook node."""
    for node in nodes:
        if node.get("disabled") or node.get("type") != WEBHOOK:
            continue
        parameters = node.get("parameters") or {}
        path = parameters.get("path") or node.get("webhookId")
        if isinstance(path, str):
            yield str(parameters.get("httpMethod", "GET")), path.strip("/"), node
