"""Worlds and plans written as plain data, for the cases of the planner and its renderers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.plan.change import Change, Only
from reconciler.plan.planner import PlanOptions
from reconciler.plan.state import Desired, Observed, Recorded, World
from reconciler.plan.traits import Traits
from reconciler.plan.words import label, value
from reconciler.resource.address import Address
from reconciler.resource.payload import Ref, Sealed, Side

TRAITS = {
    "Credential": Traits(immutable=frozenset({("n8n", "type")}), write_only=(("n8n", "data"),)),
    "Automation": Traits(closed=(("n8n", "nodes"),)),
    "Trigger": Traits(has_object=False),
}


def address(text: str) -> Address:
    """Read ``Kind/name`` in the organization acme, or a whole address."""
    return Address.parse(text if text.count("/") == 2 else f"acme/{text}")


def leaves(data: Any) -> Any:
    """Turn ``{$ref: Kind/name}`` and ``{$sealed: name}`` into what they stand for."""
    match data:
        case {"$ref": str(text), **rest}:
            side = Side(str(rest.get("side", "n8n")))
            return Ref(address(text), side, stale=bool(rest.get("stale", False)))
        case {"$sealed": str(name), "fingerprint": fingerprint}:
            return Sealed(name, fingerprint)
        case dict():
            return {key: leaves(item) for key, item in data.items()}
        case list():
            return [leaves(item) for item in data]
        case _:
            return data


def world(given: Mapping[str, Any]) -> World:
    """Build the three states from the *given* part of a case."""
    desired, recorded, observed = {}, {}, {}
    for text, data in given.get("desired", {}).items():
        more = {key: item for key, item in data.items() if key not in {"row", "n8n"}}
        if "moved_from" in more:
            more["moved_from"] = address(more["moved_from"])
        payload = leaves({side: data[side] for side in ("row", "n8n") if side in data})
        desired[address(text)] = Desired(address=address(text), payload=payload, **more)
    for text, data in given.get("recorded", {}).items():
        fields = {"row_id": f"row-{text}", **leaves(data)}
        fields["deposed"] = tuple(fields.get("deposed", ()))
        recorded[address(text)] = Recorded(address=address(text), **fields)
    for text, data in given.get("observed", {}).items():
        observed[address(text)] = Observed(address=address(text), **leaves(data))
    organizations = frozenset(given.get("organizations", ["acme"]))
    return World(desired=desired, recorded=recorded, observed=observed, organizations=organizations)


def options(data: Mapping[str, Any]) -> PlanOptions:
    """Read the options of a case."""
    targets = data.get("targets")
    return PlanOptions(
        prune=data.get("prune", False),
        targets=None if targets is None else frozenset(map(address, targets)),
        only=Only(data.get("only", "all")),
    )


def describe(change: Change, keys: Mapping[str, Any]) -> dict[str, Any]:
    """Describe *change* by the *keys* that a case expects something of."""
    fields = [
        f"{label(f.path)}: {value(f.before)} -> {value(f.after)} ({f.cause})" for f in change.fields
    ]
    everything: dict[str, Any] = {
        "change": f"{change.action} {short(change.address)}",
        "reason": change.reason.value,
        "blocked": change.blocked,
        "fields": fields,
        "deposes": list(change.deposes),
        "needs": [short(need) for need in change.needs],
        "moved_from": None if change.moved_from is None else short(change.moved_from),
    }
    always = {"blocked"} if change.blocked else set()
    return {key: item for key, item in everything.items() if key in keys or key in always}


def short(found: Address) -> str:
    """Write an address of acme as ``Kind/name``."""
    return f"{found.kind}/{found.name}" if found.organization == "acme" else str(found)
