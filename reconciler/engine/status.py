"""How each resource is: in sync with git, and healthy. Pure; from a plan that was made anyway."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.plan.change import Plan, Reason
from reconciler.plan.state import Observed, Recorded, World
from reconciler.resource.address import Address


class Sync(enum.StrEnum):
    """Whether the servers match git."""

    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    UNKNOWN = "Unknown"


class Health(enum.StrEnum):
    """Whether the resource does its work."""

    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    PAUSED = "Paused"
    MISSING = "Missing"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One resource's status; *reason* is a sentence for people."""

    address: Address
    sync: Sync
    health: Health
    reason: str
    revision: str | None
    protected: bool


def standings(plan: Plan, world: World) -> tuple[Standing, ...]:
    """Tell the status of every resource that is declared or recorded."""
    changes = {change.address: change for change in plan.shown}
    others = {drift.address: drift.reason for drift in plan.drift}
    others |= dict.fromkeys(plan.undeclared, Reason.UNDECLARED)
    found: list[Standing] = []
    for address in sorted(world.desired.keys() | world.recorded.keys()):
        recorded = world.recorded.get(address)
        if recorded is not None and recorded.removed and address not in world.desired:
            continue
        observed = world.observed.get(address)
        change = changes.get(address)
        reason = change.why if change else others.get(address, Reason.IN_SYNC).value
        in_sync = change is None and address not in others
        found.append(
            Standing(
                address=address,
                sync=Sync.SYNCED if in_sync else Sync.OUT_OF_SYNC,
                health=_health(recorded, observed),
                reason=(change.blocked or reason) if change else reason,
                revision=recorded.revision if recorded else None,
                protected=bool(recorded and recorded.protected),
            )
        )
    return tuple(found)


def unknown(recorded: Mapping[Address, Recorded], reason: str) -> tuple[Standing, ...]:
    """Tell what is recorded while n8n can't be asked: nothing is known of the rest."""
    return tuple(
        Standing(
            address=address,
            sync=Sync.UNKNOWN,
            health=Health.PROGRESSING if entry.attempted is not None else Health.UNKNOWN,
            reason=reason,
            revision=entry.revision,
            protected=entry.protected,
        )
        for address, entry in sorted(recorded.items())
        if not entry.removed
    )


def _health(recorded: Recorded | None, observed: Observed | None) -> Health:
    if recorded is None or observed is None:
        return Health.MISSING
    if recorded.attempted is not None:
        return Health.PROGRESSING
    expected, seen = recorded.payload, observed.payload
    if any(side not in seen for side in expected):
        return Health.MISSING
    side, row = seen.get("n8n"), seen.get("row")
    wanted = expected.get("n8n")
    if isinstance(side, dict) and isinstance(wanted, dict):
        if wanted.get("live") == "none":
            return Health.PAUSED
        if side.get("archived") or side.get("live", "draft") != wanted.get("live", "draft"):
            return Health.DEGRADED
    if isinstance(row, dict) and row.get("isActive") is False:
        return Health.PAUSED
    return Health.HEALTHY
