"""Turn workflows that exist in n8n into spec files, without touching them. Pure.

What is written asks for exactly what is there: n8n's own triggers stay
(``entry: native``), credentials are referred to as existing ones. A plan made
afterwards is empty; going over to the managed entry is a change that a person
makes in the file.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.engine.observe import Reading
from reconciler.errors import ConflictError, UsageError
from reconciler.plan.change import Plan
from reconciler.plan.state import Desired, Recorded
from reconciler.resource.address import Address
from reconciler.resource.payload import Json, Object
from reconciler.spec.dump import dump
from reconciler.workflow.bind import find_calls
from reconciler.workflow.catalog import NodeCatalog
from reconciler.workflow.lint import NO_TRIGGER, Target, lint
from reconciler.workflow.normal import normalize

MAX_NAME = 63
_KEPT = ("name", "nodes", "connections", "settings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """One workflow as spec files: relative path -> text; *ids* are the n8n ids by address."""

    address: Address
    files: Mapping[str, str]
    ids: Mapping[Address, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafts:
    """What can be adopted, and what is left alone and why, by n8n id."""

    adopted: tuple[Adopted, ...]
    left: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class Names:
    """Gives out names that are still free in one organization."""

    organization: str
    owner: str
    taken: set[Address]
    credentials: dict[str, Address] = field(default_factory=dict)  # n8n id -> address
    workflows: dict[str, Address] = field(default_factory=dict)  # n8n id -> address

    def free(self, kind: str, title: str) -> Address:
        """Make an address from *title*, numbered when it is taken, and take it."""
        base = slug(title)
        for number in range(1, 10_000):
            ending = "" if number == 1 else f"-{number}"
            address = Address(self.organization, kind, base[: MAX_NAME - len(ending)] + ending)
            if address not in self.taken:
                self.taken.add(address)
                return address
        message = f"no free name for {title!r}"
        raise ValueError(message)


def slug(title: str) -> str:
    """Make a DNS label of *title*."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    text = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:MAX_NAME].strip("-")
    return text or "workflow"


def draft(
    reading: Reading, names: Names, wanted: frozenset[str] | None, catalog: NodeCatalog
) -> Drafts:
    """Choose the workflows to adopt and write their files; raises UsageError for unknown ids."""
    workflows = {str(w["id"]): w for w in reading.objects.get("workflows", ())}
    unknown = (wanted or frozenset()) - workflows.keys()
    if unknown:
        message = f"n8n has no workflow {', '.join(sorted(unknown))}"
        raise UsageError(message)
    for address, entry in reading.recorded.items():
        if entry.object_id is None or entry.removed:
            continue
        if address.kind == "Automation":
            names.workflows[entry.object_id] = address
        elif address.kind == "Credential" and address.organization == names.organization:
            names.credentials[entry.object_id] = address
    ours = {e.object_id for e in reading.recorded.values() if e.object_id}
    left: dict[str, str] = {}
    chosen: list[Object] = []
    for id_ in sorted(workflows if wanted is None else wanted):
        reason = _obstacle(workflows[id_], ours, catalog)
        if reason is None:
            chosen.append(workflows[id_])
        elif wanted is not None or id_ not in ours:
            left[id_] = f'"{workflows[id_].get("name")}": {reason}'
    plan_names(chosen, names)
    return Drafts(adopted=tuple(adopt(workflow, names) for workflow in chosen), left=left)


def _obstacle(workflow: Object, ours: Container[str], catalog: NodeCatalog) -> str | None:
    """Say why a workflow can't be adopted, if so."""
    if workflow["id"] in ours:
        return "it is ours already"
    if workflow.get("isArchived"):
        return "it is archived"
    normal = normalize(workflow)
    found = lint(normal, catalog, Target(managed=False))
    ignored = set() if workflow.get("active") else {NO_TRIGGER}
    serious = (f.message for f in found if f.is_error and f.code not in ignored)
    return next(serious, None)


def pretend(
    reading: Reading, drafts: Drafts, desired: Mapping[Address, Desired], new_id: Callable[[], str]
) -> Reading:
    """Give the reading as if an interrupted apply had made the workflows: apply then takes over."""
    recorded = dict(reading.recorded)
    for adopted in drafts.adopted:
        for address, id_ in adopted.ids.items():
            if address not in recorded:
                payload = desired[address].payload
                recorded[address] = Recorded(
                    address=address, row_id=new_id(), object_id=id_, attempted=payload
                )
    return replace(reading, recorded=recorded)


def require_untouched(plan: Plan) -> None:
    """Refuse a plan that would change anything in n8n; raises ConflictError that says what."""
    for change in plan.shown:
        touched = [f.path for f in change.fields if f.path[0] == "n8n"]
        if touched or change.removes or change.blocked:
            what = change.blocked or ", ".join(".".join(path[1:]) for path in touched[:5])
            message = f"{change.address} can't be adopted as it is: {what}"
            raise ConflictError(message, hint="open and save it in n8n's editor, then try again")


def plan_names(workflows: Iterable[Object], names: Names) -> None:
    """Choose the addresses of all workflows first, as they may call each other."""
    for workflow in workflows:
        id_ = str(workflow["id"])
        if id_ not in names.workflows:
            names.workflows[id_] = names.free("Automation", str(workflow.get("name") or id_))


def adopt(workflow: Object, names: Names) -> Adopted:
    """Write the spec files of one workflow."""
    address = names.workflows[str(workflow["id"])]
    home = f"organizations/{names.organization}"
    files: dict[str, str] = {}
    ids: dict[Address, str] = {address: str(workflow["id"])}
    credentials: dict[str, str] = {}
    for node, type_, held in _credentials(workflow):
        target = names.credentials.get(held["id"])
        if target is None:
            target = names.free("Credential", held["name"] or type_)
            names.credentials[held["id"]] = target
            files[f"{home}/credentials/{target.name}.yaml"] = _credential(
                target, type_, held, names
            )
        ids[target] = held["id"]
        credentials[node] = target.name
    calls = _calls(workflow, names)
    export: dict[str, Json] = {key: workflow.get(key) for key in _KEPT}
    files[f"{home}/workflows/{address.name}.json"] = (
        json.dumps(export, indent=2, ensure_ascii=False) + "\n"
    )
    spec: dict[str, Any] = {
        "title": str(workflow.get("name")),
        "active": bool(workflow.get("active")),
        "createdBy": names.owner,
        "workflow": {"file": f"../workflows/{address.name}.json", "entry": "native"},
    }
    if credentials:
        spec["workflow"]["credentials"] = credentials
    if calls:
        spec["workflow"]["calls"] = calls
    files[f"{home}/automations/{address.name}.yaml"] = dump(
        "Automation", address.name, spec, organization=None, schema=None
    )
    return Adopted(address=address, files=files, ids=ids)


def _credential(target: Address, type_: str, held: Mapping[str, str], names: Names) -> str:
    spec = {
        "provider": "OTHER",
        "owner": names.owner,
        "title": held["name"] or target.name,
        "existing": {"id": held["id"], "type": type_},
    }
    return dump("Credential", target.name, spec, organization=None, schema=None)


def _credentials(workflow: Object) -> Iterable[tuple[str, str, Mapping[str, str]]]:
    """List (node, credential type, {id, name}) of every credential that a node uses."""
    nodes = workflow.get("nodes")
    for node in nodes if isinstance(nodes, list) else ():
        held = node.get("credentials") if isinstance(node, dict) else None
        for type_, value in held.items() if isinstance(held, dict) else ():
            if isinstance(node, dict) and isinstance(value, dict) and value.get("id"):
                found = {"id": str(value["id"]), "name": str(value.get("name") or "")}
                yield str(node["name"]), type_, found


def _calls(workflow: Object, names: Names) -> dict[str, str]:

    calls = {}
    for call in find_calls(normalize(workflow).document):
        target = names.workflows.get(call.target or "")
        if target is not None:
            calls[call.key] = target.name
    return calls
