"""The three states of a resource as JSON, for plans that are kept in a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.diagnostics import Mark
from reconciler.plan.state import Desired, Observed, Recorded, Stamp
from reconciler.resource.address import Address
from reconciler.resource.payload import Object, payload_from_json, to_json


def desired_to(desired: Desired) -> Object:
    """Encode what the specs ask for."""
    mark = desired.mark
    return {
        "payload": to_json(desired.payload),
        "protected": desired.protected,
        "moved_from": None if desired.moved_from is None else str(desired.moved_from),
        "blocked": desired.blocked,
        "row_id": desired.row_id,
        "mark": None
        if mark is None
        else {"path": mark.path, "line": mark.line, "column": mark.column},
    }


def desired_from(address: Address, data: Mapping[str, Any]) -> Desired:
    """Decode what `desired_to` wrote; raises KeyError, TypeError or ValueError otherwise."""
    moved, mark = data["moved_from"], data["mark"]
    return Desired(
        address=address,
        payload=payload_from_json(data["payload"]),
        protected=bool(data["protected"]),
        moved_from=None if moved is None else Address.parse(moved),
        blocked=data["blocked"],
        row_id=data["row_id"],
        mark=None if mark is None else Mark(mark["path"], mark["line"], mark["column"]),
    )


def recorded_to(recorded: Recorded) -> Object:
    """Encode what we last applied."""
    return {
        "address": str(recorded.address),
        "row_id": recorded.row_id,
        "payload": to_json(recorded.payload),
        "attempted": None if recorded.attempted is None else to_json(recorded.attempted),
        "object_id": recorded.object_id,
        "deposed": [*recorded.deposed],
        "stamp": _stamp_to(recorded.stamp),
        "protected": recorded.protected,
        "removed": recorded.removed,
        "revision": recorded.revision,
    }


def recorded_from(data: Mapping[str, Any]) -> Recorded:
    """Decode what `recorded_to` wrote; raises KeyError, TypeError or ValueError otherwise."""
    attempted = data["attempted"]
    return Recorded(
        address=Address.parse(data["address"]),
        row_id=data["row_id"],
        payload=payload_from_json(data["payload"]),
        attempted=None if attempted is None else payload_from_json(attempted),
        object_id=data["object_id"],
        deposed=tuple(str(id_) for id_ in data["deposed"]),
        stamp=_stamp_from(data["stamp"]),
        protected=bool(data["protected"]),
        removed=bool(data["removed"]),
        revision=data["revision"],
    )


def observed_to(observed: Observed) -> Object:
    """Encode what is there."""
    return {
        "payload": to_json(observed.payload),
        "object_id": observed.object_id,
        "stamp": _stamp_to(observed.stamp),
    }


def observed_from(address: Address, data: Mapping[str, Any]) -> Observed:
    """Decode what `observed_to` wrote; raises KeyError, TypeError or ValueError otherwise."""
    return Observed(
        address=address,
        payload=payload_from_json(data["payload"]),
        object_id=data["object_id"],
        stamp=_stamp_from(data["stamp"]),
    )


def _stamp_to(stamp: Stamp | None) -> Object | None:
    if stamp is None:
        return None
    return {
        "version": stamp.version,
        "published": stamp.published,
        "updated_at": stamp.updated_at,
    }


def _stamp_from(data: Mapping[str, Any] | None) -> Stamp | None:
    if data is None:
        return None
    return Stamp(
        version=data["version"], published=data["published"], updated_at=data["updated_at"]
    )
