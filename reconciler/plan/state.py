"""The three states of a resource: what the specs want, what we did, what is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.diagnostics import Mark
from reconciler.resource.address import Address
from reconciler.resource.payload import Payload
from reconciler.resource.stamp import Stamp

__all__ = ["Desired", "Observed", "Recorded", "Stamp", "World"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What the specs ask for; *payload* is canonical, *mark* is where it is written."""

    address: Address
    payload: Payload
    protected: bool = False
    moved_from: Address | None = None
    blocked: str | None = None  # why it can't be written now, e.g. a secret that isn't set
    row_id: str | None = None  # where the spec names a row that exists already
    mark: Mark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What we last applied, as PostgreSQL remembers it."""

    address: Address
    row_id: str  # chosen before the first write: the marker to find things by
    payload: Payload = field(default_factory=dict)  # last applied; empty: never
    attempted: Payload | None = None  # an intent whose outcome is not recorded
    object_id: str | None = None  # n8n's id; None: none, or a lost answer
    deposed: tuple[str, ...] = ()  # n8n ids of replaced objects that must still be deleted
    stamp: Stamp | None = None
    protected: bool = False
    removed: bool = False  # a tombstone: archived, can be restored
    revision: str | None = None  # the git revision that was applied


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What PostgreSQL's rows and n8n hold right now; a missing side is absent from *payload*."""

    address: Address
    payload: Payload
    object_id: str | None = None
    stamp: Stamp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything a plan is made from."""

    desired: Mapping[Address, Desired]
    recorded: Mapping[Address, Recorded]
    observed: Mapping[Address, Observed]
    organizations: frozenset[str] = frozenset()  # whose specs were read; others are out of scope
