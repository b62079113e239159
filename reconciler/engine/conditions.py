"""What a turn found and did, as conditions of each resource, in the words of `status`. Pure.

A condition keeps the moment at which it became what it is. Not here: `reconciler.store.conditions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.engine.backoff import Failure
from reconciler.engine.status import Sync
from reconciler.plan.change import Action, Change, Plan
from reconciler.plan.state import World
from reconciler.resource.address import Address
from reconciler.resource.payload import Object

TYPE = "Synced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How one resource is after a turn; *reason* is a word, *message* a sentence."""

    sync: Sync
    reason: str
    message: str = ""
    failure: Failure | None = None


@dataclass(slots=True, kw_only=True)
class Findings:
    """Collects what a turn finds; what is said later about a resource counts."""

    found: dict[Address, Finding] = field(default_factory=dict)
    undeclared: set[Address] = field(default_factory=set)

    def look(self, plan: Plan, world: World) -> None:
        """Take over what *plan* says before anything is carried out."""
        for address, entry in world.recorded.items():
            if not entry.removed:
                self.found[address] = Finding(sync=Sync.SYNCED, reason="InSync")
        for drift in plan.drift:
            self._off(drift.address, "Drifted", drift.reason.value)
        for address in plan.undeclared:
            self._off(address, "Undeclared", "recorded, and no longer declared")
        ending = {c.address for c in plan.changes if c.action in {Action.REMOVE, Action.FORGET}}
        self.undeclared |= {*plan.undeclared, *ending}
        for change in plan.shown:
            reason = "Blocked" if change.blocked is not None else "Pending"
            self._off(change.address, reason, change.blocked or change.why)

    def applied(self, address: Address, *, removed: bool) -> None:
        """Note that a change was made."""
        if removed:
            self.found.pop(address, None)
        else:
            self.found[address] = Finding(sync=Sync.SYNCED, reason="Applied")

    def left(self, address: Address, reason: str, message: str) -> None:
        """Note that a change was not made."""
        self._off(address, reason, message)

    def failed(self, address: Address, failure: Failure) -> None:
        """Note that a change failed, or waits after a failure."""
        message = failure.message
        self.found[address] = Finding(
            sync=Sync.OUT_OF_SYNC, reason="ApplyFailed", message=message, failure=failure
        )

    def _off(self, address: Address, reason: str, message: str) -> None:
        self.found[address] = Finding(sync=Sync.OUT_OF_SYNC, reason=reason, message=message)

    @property
    def retry_at(self) -> datetime | None:
        """When the first of the failed ones is to be tried again."""
        return min((f.failure.retry_at for f in self.found.values() if f.failure), default=None)

    def documents(
        self, before: Mapping[Address, Sequence[Object]], revision: str | None, now: datetime
    ) -> dict[Address, list[Object]]:
        """Give the conditions to be kept; "since" stays where nothing changed."""
        found = {
            address: _document(finding, _own(before.get(address, ())), revision, now)
            for address, finding in self.found.items()
        }
        for address in self.undeclared & found.keys():
            found[address]["declared"] = False
        return {address: [document] for address, document in found.items()}


def failures(kept: Mapping[Address, Sequence[Object]]) -> dict[Address, Failure]:
    """Read back who failed and when they are to be tried again."""
    found = {address: _failure(_own(conditions)) for address, conditions in kept.items()}
    return {address: failure for address, failure in found.items() if failure is not None}


def undeclared(kept: Mapping[Address, Sequence[Object]]) -> frozenset[Address]:
    """Read back what no document declared any more at the last turn that had specs."""
    found = {address: _own(conditions) for address, conditions in kept.items()}
    return frozenset(a for a, own in found.items() if own and own.get("declared") is False)


def by_address(changes: Iterable[Change]) -> dict[Address, Change]:
    """Index changes; what is made counts, not what is discarded after it."""
    found: dict[Address, Change] = {}
    for change in changes:
        found.setdefault(change.address, change)
    return found


def _document(
    finding: Finding, before: Object | None, revision: str | None, now: datetime
) -> Object:
    status = {Sync.SYNCED: "True", Sync.OUT_OF_SYNC: "False"}.get(finding.sync, "Unknown")
    same = before is not None and (before.get("status"), before.get("reason")) == (
        status,
        finding.reason,
    )
    document: Object = {
        "type": TYPE,
        "status": status,
        "reason": finding.reason,
        "message": finding.message,
        "revision": revision,
        "since": before["since"] if same and before else now.isoformat(),
    }
    if finding.failure is not None:
        failure = finding.failure
        document |= {
            "failures": failure.count,
            "retry_at": failure.retry_at.isoformat(),
            "spec": failure.spec,
            "live": failure.live,
        }
    return document


def _own(conditions: Sequence[Object]) -> Object | None:
    return next((c for c in conditions if c.get("type") == TYPE), None)


def _failure(condition: Object | None) -> Failure | None:
    if condition is None or "retry_at" not in condition:
        return None
    try:
        return Failure(
            count=int(str(condition["failures"])),
            message=str(condition["message"]),
            retry_at=datetime.fromisoformat(str(condition["retry_at"])),
            spec=str(condition["spec"]),
            live=str(condition["live"]),
        )
    except (KeyError, ValueError):  # somebody wrote it by hand
        return None
