"""A plan as a JSON document that can be kept, reviewed and carried out later.

The document says everything apply needs, with references by address and
secrets by fingerprint. Its digest finds accidents and careless edits; it is no
signature. Readers take every document of their major version and ignore keys
they do not know.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from reconciler.errors import UsageError
from reconciler.plan.change import Action, Change, Drift, Guard, Only, Plan, Reason, Scope
from reconciler.plan.diff import MISSING, Cause, FieldChange
from reconciler.plan.encoding import (
    desired_from,
    desired_to,
    observed_from,
    observed_to,
    recorded_from,
    recorded_to,
)
from reconciler.resource.address import Address
from reconciler.resource.payload import Json, Object, from_json, to_json

FORMAT_VERSION = "1.0"
_AGAIN = "make it again with `reconciler plan --out`"


def document(plan: Plan) -> Object:
    """Give *plan* as the JSON document of ``plan -o json`` and ``plan --out``, digest included."""
    body: Object = {
        "format_version": FORMAT_VERSION,
        "revision": plan.revision,
        "scope": {
            "organizations": [*sorted(plan.scope.organizations)],
            "targets": None
            if plan.scope.targets is None
            else [str(a) for a in sorted(plan.scope.targets)],
            "prune": plan.scope.prune,
            "only": plan.scope.only.value,
        },
        "summary": {**plan.counts()},
        "refused": plan.refused,
        "changes": [
            _change_to(change, number) for number, wave in enumerate(plan.waves) for change in wave
        ],
        "drift": [_drift_to(drift) for drift in plan.drift],
        "undeclared": [str(address) for address in plan.undeclared],
        "unchanged": [str(address) for address in plan.unchanged],
    }
    return {**body, "digest": _digest(body)}


def digest_of(plan: Plan) -> str:
    """Hash what *plan* says; the same for the same three states, whenever and in whatever order."""
    return str(document(plan)["digest"])


def encode(plan: Plan) -> str:
    """Write *plan* as JSON text."""
    return json.dumps(document(plan), indent=2, allow_nan=False) + "\n"


def decode(text: str) -> Plan:
    """Read what `encode` wrote; raises UsageError when it is something else or was changed."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError("the plan file is not JSON", hint=_AGAIN) from None
    if not isinstance(data, dict) or not isinstance(data.get("format_version"), str):
        raise UsageError("the file is not a plan", hint=_AGAIN)
    major = data["format_version"].split(".")[0]
    if major != FORMAT_VERSION.split(".", maxsplit=1)[0]:
        message = (
            f"the plan has format {data['format_version']}, this program reads {FORMAT_VERSION}"
        )
        raise UsageError(message, hint="use the version of reconciler that wrote it")
    body = {key: value for key, value in data.items() if key != "digest"}
    if data.get("digest") != _digest(body):
        raise UsageError("the plan file was changed after it was written", hint=_AGAIN)
    try:
        return _plan_from(data)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise UsageError("the plan file is damaged", hint=_AGAIN) from None


def _digest(body: Mapping[str, Json]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _change_to(change: Change, wave: int) -> Object:
    return {
        "address": str(change.address),
        "wave": wave,
        "action": change.action.value,
        "reason": change.reason.name.lower(),
        "why": change.why,
        "because": None if change.because is None else str(change.because),
        "blocked": change.blocked,
        "guard": None if change.guard is None else change.guard.value,
        "needs": [str(address) for address in change.needs],
        "deposes": [*change.deposes],
        "fields": [_field_to(field) for field in change.fields],
        "desired": None if change.desired is None else desired_to(change.desired),
        "recorded": None if change.recorded is None else recorded_to(change.recorded),
        "observed": None if change.observed is None else observed_to(change.observed),
    }


def _change_from(data: Mapping[str, Any]) -> Change:
    address = Address.parse(data["address"])
    return Change(
        address=address,
        action=Action(data["action"]),
        reason=Reason[data["reason"].upper()],
        because=None if data["because"] is None else Address.parse(data["because"]),
        blocked=data["blocked"],
        guard=None if data["guard"] is None else Guard(data["guard"]),
        needs=tuple(Address.parse(text) for text in data["needs"]),
        deposes=tuple(str(id_) for id_ in data["deposes"]),
        fields=tuple(_field_from(field) for field in data["fields"]),
        desired=None if data["desired"] is None else desired_from(address, data["desired"]),
        recorded=None if data["recorded"] is None else recorded_from(data["recorded"]),
        observed=None if data["observed"] is None else observed_from(address, data["observed"]),
    )


def _field_to(field: FieldChange) -> Object:
    """A side that is not there has no key; null is a value."""
    data: Object = {"path": [*field.path], "cause": field.cause.value}
    if field.before is not MISSING:
        data["before"] = to_json(field.before)
    if field.after is not MISSING:
        data["after"] = to_json(field.after)
    return data


def _field_from(data: Mapping[str, Any]) -> FieldChange:
    return FieldChange(
        tuple(str(key) for key in data["path"]),
        from_json(data["before"]) if "before" in data else MISSING,
        from_json(data["after"]) if "after" in data else MISSING,
        Cause(data["cause"]),
    )


def _drift_to(drift: Drift) -> Object:
    return {
        "address": str(drift.address),
        "reason": drift.reason.name.lower(),
        "why": drift.reason.value,
        "fields": [_field_to(field) for field in drift.fields],
    }


def _drift_from(data: Mapping[str, Any]) -> Drift:
    return Drift(
        address=Address.parse(data["address"]),
        reason=Reason[data["reason"].upper()],
        fields=tuple(_field_from(field) for field in data["fields"]),
    )


def _plan_from(data: Mapping[str, Any]) -> Plan:
    waves: dict[int, list[Change]] = {}
    for change in data["changes"]:
        waves.setdefault(int(change["wave"]), []).append(_change_from(change))
    scope = data["scope"]
    targets = scope["targets"]
    return Plan(
        waves=tuple(tuple(waves[number]) for number in sorted(waves)),
        drift=tuple(_drift_from(drift) for drift in data["drift"]),
        undeclared=tuple(Address.parse(text) for text in data["undeclared"]),
        unchanged=tuple(Address.parse(text) for text in data["unchanged"]),
        scope=Scope(
            organizations=frozenset(str(name) for name in scope["organizations"]),
            targets=None if targets is None else frozenset(Address.parse(text) for text in targets),
            prune=bool(scope["prune"]),
            only=Only(scope["only"]),
        ),
        revision=data["revision"],
    )
