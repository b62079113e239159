"""The three-way comparison of one resource, field by field.

A difference between desired and recorded is an intended change, one between
recorded and observed is drift. A field that was neither wanted nor ever applied
by us belongs to its owner and is left alone, except below a *closed* prefix.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from reconciler.plan.traits import Traits
from reconciler.resource.payload import Path, Payload, Ref, Sealed, Value


class Missing(enum.Enum):
    """The value of a field that is not there; None is a value."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return self.name


MISSING = Missing.MISSING
Leaf: TypeAlias = "Value | Missing"


class Cause(enum.StrEnum):
    """Why desired and observed differ."""

    SPEC = "spec"  # somebody changed the spec
    DRIFT = "drift"  # somebody changed n8n or the row
    BOTH = "both"  # both, differently


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs; in a plan *before* is what is there, *after* what shall be."""

    path: Path
    before: Leaf
    after: Leaf
    cause: Cause


@dataclass(frozen=True, slots=True)
class Comparison:
    """What has to change, and apart from that what was changed behind our back."""

    changes: tuple[FieldChange, ...] = ()
    drift: tuple[FieldChange, ...] = ()  # *before* is what we applied, *after* what is there


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """The payloads of one resource that are compared."""

    desired: Payload
    recorded: Payload
    attempted: Payload | None
    observed: Payload
    blame: bool = True  # False: nothing was recorded, or was ours then: no drift


NOTHING = Comparison()


def same(a: Leaf, b: Leaf) -> bool:
    """Tell whether two values are equal; true is not 1, and an unknown secret equals its namesake."""
    if a is b:
        return True
    if isinstance(a, dict):
        if not isinstance(b, dict) or len(a) != len(b):
            return False
        for key, item in a.items():  # a loop: this is where a plan without changes spends its time
            other = b.get(key, MISSING)
            if item is other or (type(item) is str and item == other):
                continue
            if not same(item, other):
                return False
        return True
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, bool) or isinstance(b, bool):
        return False  # both are singletons, so they would have been identical
    if isinstance(a, Sealed) and isinstance(b, Sealed) and a.name == b.name:
        return a.fingerprint == b.fingerprint or None in {a.fingerprint, b.fingerprint}
    return a == b


def compare(versions: Versions, traits: Traits) -> Comparison:
    """Find the fields of *observed* that must change to satisfy *desired*, and those that drifted."""
    v = versions
    if v.attempted is None and v.desired == v.observed and same(v.desired, v.recorded):
        return NOTHING  # nearly all resources, nearly always: so the cheap comparison comes first
    walk = _Walk(versions, traits)
    walk.visit(
        (), (v.desired, v.recorded, MISSING if v.attempted is None else v.attempted), v.observed
    )
    return Comparison(
        tuple(sorted(walk.changes, key=lambda c: c.path)),
        tuple(sorted(walk.drift, key=lambda c: c.path)),
    )


_Ours: TypeAlias = "tuple[Leaf, Leaf, Leaf]"  # desired, recorded, attempted


class _Walk:
    """One descent through the versions at once, which turns back where all are equal."""

    def __init__(self, versions: Versions, traits: Traits) -> None:
        self.versions, self.traits = versions, traits
        self.open = versions.attempted is not None
        self.changes: list[FieldChange] = []
        self.drift: list[FieldChange] = []

    def visit(
        self, path: Path, ours: _Ours, seen: Leaf, closed: bool = False, hidden: bool = False
    ) -> None:
        closed = closed or path in self.traits.closed
        hidden = hidden or (path in self.traits.write_only and path[0] in self.versions.observed)
        if not hidden and self.equal(ours, seen):
            return
        if not _all_objects(ours, seen):
            self.leaf(path, ours, seen, hidden)
            return
        for key in _keys((*ours, seen) if closed else ours):
            desired, recorded, attempted = (_item(value, key) for value in ours)
            child = (*path, key)
            self.visit(child, (desired, recorded, attempted), _item(seen, key), closed, hidden)

    def equal(self, ours: _Ours, seen: Leaf) -> bool:
        applied = ours if self.open else ours[:2]
        return all(value == seen and same(value, seen) for value in applied)

    def leaf(self, path: Path, ours: _Ours, seen: Leaf, hidden: bool) -> None:
        desired, recorded, attempted = ours
        if hidden and self.open:  # no way to tell which of the attempts got through
            before = attempted if recorded is MISSING else recorded
            self.changes.append(FieldChange(path, before, desired, Cause.SPEC))
            return
        if hidden:
            seen = recorded
        if _same_or_empty(desired, seen):
            return
        cause = self.cause(ours, seen)
        self.changes.append(FieldChange(path, seen, desired, cause))
        if cause is not Cause.SPEC:
            self.drift.append(FieldChange(path, recorded, seen, Cause.DRIFT))

    def cause(self, ours: _Ours, seen: Leaf) -> Cause:
        desired, recorded, attempted = ours
        applied = [recorded, attempted] if self.open else [recorded]
        if not self.versions.blame or any(_same_or_empty(value, seen) for value in applied):
            return Cause.SPEC
        if same(refreshed(seen), desired):
            return Cause.SPEC  # it refers to an object that we replaced ourselves
        return Cause.DRIFT if any(same(value, desired) for value in applied) else Cause.BOTH


def refreshed(value: Leaf) -> Leaf:
    """Return *value* with every stale reference made fresh."""
    match value:
        case Ref(stale=True):
            return replace(value, stale=False)
        case dict():
            return {key: _fresh(item) for key, item in value.items()}
        case list():
            return [_fresh(item) for item in value]
        case _:
            return value


def _fresh(value: Value) -> Value:
    fresh = refreshed(value)
    return value if isinstance(fresh, Missing) else fresh


def owned(observed: Payload, ours: Iterable[Payload], traits: Traits) -> Payload:
    """Return the part of *observed* that is ours: in one of *ours*, or below a closed prefix."""
    kept = _owned((), observed, list(ours), traits)
    return kept if isinstance(kept, dict) else {}


def _owned(path: Path, observed: Value, ours: list[Payload], traits: Traits) -> Value:
    if not isinstance(observed, dict) or path in traits.closed:
        return observed
    kept: Payload = {}
    for key, item in observed.items():
        child = (*path, key)
        mine = [value[key] for value in ours if key in value]
        if mine:
            objects = [value for value in mine if isinstance(value, dict)]
            whole = len(objects) < len(mine)
            kept[key] = item if whole else _owned(child, item, objects, traits)
        elif any(prefix[: len(child)] == child for prefix in traits.closed):
            kept[key] = _owned(child, item, [], traits)
    return kept


def remember(desired: Payload, recorded: Payload) -> Payload:
    """Return *desired* for the record; a fingerprint that is unknown here is taken from *recorded*."""
    merged = _remember(desired, recorded)
    return merged if isinstance(merged, dict) else desired


def _remember(desired: Value, recorded: Leaf) -> Value:
    match desired:
        case Sealed(name, None):
            known = isinstance(recorded, Sealed) and recorded.name == name
            return recorded if known and isinstance(recorded, Sealed) else desired
        case dict():
            return {key: _remember(item, _item(recorded, key)) for key, item in desired.items()}
        case list() if isinstance(recorded, list) and len(recorded) == len(desired):
            return [_remember(*pair) for pair in zip(desired, recorded, strict=True)]
        case _:
            return desired


def _all_objects(ours: _Ours, seen: Leaf) -> bool:
    there = [value for value in (*ours, seen) if value is not MISSING]
    return all(isinstance(value, dict) for value in there)


def _keys(values: Iterable[Leaf]) -> Iterable[str]:
    found: dict[str, None] = {}
    for value in values:
        if isinstance(value, dict):
            found.update(dict.fromkeys(value))
    return found


def _item(value: Leaf, key: str) -> Leaf:
    return value.get(key, MISSING) if isinstance(value, dict) else MISSING


def _same_or_empty(a: Leaf, b: Leaf) -> bool:
    """An empty object asks for nothing, so it equals one that is not there."""
    empty = (a is MISSING and b == {}) or (b is MISSING and a == {})
    return empty or same(a, b)
