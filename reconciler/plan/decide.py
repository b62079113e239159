"""The truth table: what one resource needs, by what is wanted, recorded and there.

Not here: what follows from the other resources (`reconciler.plan.link`) and the
order (`reconciler.plan.planner`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler.plan.change import Action, Change, Drift, Reason
from reconciler.plan.diff import (
    NOTHING,
    Cause,
    Comparison,
    FieldChange,
    Versions,
    compare,
    owned,
    refreshed,
    remember,
    same,
)
from reconciler.plan.state import Desired, Observed, Recorded
from reconciler.plan.traits import Traits
from reconciler.plan.view import Case
from reconciler.resource.payload import Path, Payload

_ARCHIVED: Path = ("n8n", "archived")
_LIVE: Path = ("n8n", "live")


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about one resource; no change means that it is in sync."""

    change: Change | None = None
    drift: Drift | None = None


IN_SYNC = Decision()


def decide(case: Case, traits: Traits) -> Decision:
    """Look a declared resource up in the truth table; raises ValueError for an undeclared one."""
    if case.desired is None:
        message = f"{case.address} is not declared"
        raise ValueError(message)
    row = _Row(_own_object_only(case), case.desired, traits)
    if case.recorded is None:
        return Decision(_trimmed(row.change(Action.CREATE, Reason.NEW), case, traits))
    decision = row.decide(case.recorded)
    if decision.change is None:
        return decision
    return replace(decision, change=_moved(case, _trimmed(decision.change, case, traits)))


def trim(case: Case, traits: Traits) -> Observed | None:
    """Give what is there of a resource as far as it is ours; the rest is not for plans."""
    case = _own_object_only(case)
    if case.observed is None:
        return None
    wanted = case.desired.payload if case.desired else {}
    ours = (wanted, case.before, case.attempted or {})
    return replace(case.observed, payload=owned(case.observed.payload, ours, traits))


@dataclass(frozen=True, slots=True)
class _Row:
    """One declared resource on its way through the truth table."""

    case: Case
    desired: Desired
    traits: Traits

    @property
    def seen(self) -> Payload:
        return self.case.observed.payload if self.case.observed else {}

    def lacks(self, side: str) -> bool:
        return side in self.desired.payload and side not in self.seen

    def change(
        self, action: Action, reason: Reason, fields: tuple[FieldChange, ...] = ()
    ) -> Change:
        return Change(
            address=self.case.address,
            action=action,
            reason=reason,
            fields=fields,
            desired=self.desired,
            recorded=self.case.recorded,
            observed=self.case.observed,
            deposes=self.deposes(action),
            blocked=self.lost_loan(),
        )

    def decide(self, recorded: Recorded) -> Decision:
        if self.lacks("n8n") or (self.lacks("row") and not self.seen):
            reason = self.why_create(recorded)
            gone = reason in {Reason.VANISHED, Reason.ROW_VANISHED}
            drift = Drift(address=self.case.address, reason=reason) if gone else None
            return Decision(self.change(Action.CREATE, reason), drift)
        comparison = self.compare(recorded)
        drift = self.drift(recorded, comparison)
        fields = comparison.changes
        if self.replaces(fields):
            return Decision(self.change(Action.REPLACE, Reason.IMMUTABLE, fields), drift)
        observed = self.case.observed
        if observed and observed.object_id and observed.object_id != recorded.object_id:
            reason = self.why_adopt(recorded)
            return Decision(self.change(Action.ADOPT, reason, fields), drift)
        if fields or recorded.removed or self.lacks("row") or self.lost_loan():
            reason = self.why_update(recorded, fields)
            return Decision(self.change(Action.UPDATE, reason, fields), drift)
        if self.outdated(recorded, comparison):
            return Decision(self.refresh(), drift)
        return IN_SYNC

    def compare(self, recorded: Recorded) -> Comparison:
        return compare(
            Versions(
                desired=self.desired.payload,
                recorded=self.case.before,
                attempted=self.case.attempted,
                observed=self.seen,
                blame=not recorded.removed and bool(self.case.before),
            ),
            self.traits,
        )

    def replaces(self, fields: tuple[FieldChange, ...]) -> bool:
        own = "n8n" in self.seen and not _borrows(self.desired.payload)
        return own and any(change.path in self.traits.immutable for change in fields)

    def deposes(self, action: Action) -> tuple[str, ...]:
        """Which object of ours is no longer the one; a borrowed object is never deposed."""
        recorded, observed = self.case.recorded, self.case.observed
        if recorded is None:
            return ()
        if action is Action.REPLACE:
            old = observed.object_id if observed else None
        elif action is Action.CREATE or (action is Action.ADOPT and _borrows(self.desired.payload)):
            old = None if _has_loan(self.case) else recorded.object_id
        else:
            old = None
        return (old,) if old is not None and old not in recorded.deposed else ()

    def why_create(self, recorded: Recorded) -> Reason:
        if recorded.removed:
            return Reason.RESTORED
        if not self.case.before or (recorded.object_id is None and self.case.attempted is not None):
            return Reason.INTERRUPTED
        if not self.lacks("n8n"):
            return Reason.ROW_VANISHED
        own_before = "n8n" in self.case.before and not _borrows(self.case.before)
        return Reason.VANISHED if own_before else Reason.CHANGED

    def why_adopt(self, recorded: Recorded) -> Reason:
        if not _borrows(self.desired.payload):
            return Reason.INTERRUPTED if recorded.object_id is None else Reason.REBOUND
        known = same(self.desired.payload.get("n8n"), self.case.before.get("n8n"))
        return Reason.REBOUND if known else Reason.CHANGED

    def why_update(self, recorded: Recorded, fields: tuple[FieldChange, ...]) -> Reason:
        if recorded.removed:
            return Reason.RESTORED
        if self.lost_loan():
            return Reason.VANISHED
        if self.lacks("row") and self.case.before:
            return Reason.ROW_VANISHED
        causes = {change.cause for change in fields}
        if causes == {Cause.SPEC}:
            if all(_only_stale(change) for change in fields):
                return Reason.RELINKED
            unfinished = self.case.attempted is not None
            return Reason.UNFINISHED if unfinished else Reason.CHANGED
        if causes == {Cause.DRIFT}:
            return _drift_reason(fields, self.seen)
        return Reason.BOTH if causes else Reason.UNFINISHED

    def drift(self, recorded: Recorded, comparison: Comparison) -> Drift | None:
        address = self.case.address
        if recorded.removed or not self.case.before:
            return None
        if self.lacks("row"):
            others = tuple(f for f in comparison.drift if f.path[0] != "row")
            return Drift(address=address, reason=Reason.ROW_VANISHED, fields=others)
        if not comparison.drift:
            return None
        reason = _drift_reason(comparison.drift, self.seen)
        return Drift(address=address, reason=reason, fields=comparison.drift)

    def outdated(self, recorded: Recorded, comparison: Comparison) -> bool:
        if self.case.moves or recorded.protected != self.desired.protected:
            return True
        if comparison is NOTHING and self.case.before is recorded.payload:
            return False  # compared a moment ago
        changed = not same(recorded.payload, self.desired.payload)
        return changed or self.case.attempted is not None

    def refresh(self) -> Change:
        change = self.change(Action.RECORD, Reason.OUTDATED)
        payload = remember(self.desired.payload, self.case.before)
        return replace(change, desired=replace(self.desired, payload=payload))

    def lost_loan(self) -> str | None:
        """Say so when the hand-made object that the document refers to isn't there."""
        if not _borrows(self.desired.payload):
            return None
        found = same(self.desired.payload["n8n"], self.seen.get("n8n"))
        return None if found else "n8n has no object that matches `existing`"


def _own_object_only(case: Case) -> Case:
    """Hide a borrowed object from a resource that shall have its own: it is not ours to change."""
    recorded, observed, desired = case.recorded, case.observed, case.desired
    if recorded is None or observed is None or desired is None:
        return case
    borrowed = _has_loan(case) and not _borrows(desired.payload)
    if not borrowed or recorded.object_id is None or observed.object_id != recorded.object_id:
        return case
    payload = {side: value for side, value in observed.payload.items() if side != "n8n"}
    bare = replace(observed, payload=payload, object_id=None, stamp=None)
    return replace(case, observed=bare)


def _moved(case: Case, change: Change) -> Change:
    if not case.moves or change.action not in {Action.UPDATE, Action.RECORD}:
        return change
    reason = Reason.MOVED if change.action is Action.RECORD else change.reason
    return replace(change, action=Action.MOVE, reason=reason)


def _trimmed(change: Change, case: Case, traits: Traits) -> Change:
    return replace(change, observed=trim(case, traits))


def _has_loan(case: Case) -> bool:
    """Whether the recorded object was made by hand; the last intent says whose id it is."""
    return _borrows(case.before if case.attempted is None else case.attempted)


def _borrows(payload: Payload) -> bool:
    """Whether the resource refers to an object made by hand instead of having its own."""
    side = payload.get("n8n")
    return isinstance(side, dict) and "existing" in side


def _drift_reason(fields: tuple[FieldChange, ...], seen: Payload) -> Reason:
    paths = {change.path for change in fields}
    side = seen.get("n8n")
    if not isinstance(side, dict):
        return Reason.DRIFTED
    if _ARCHIVED in paths and side.get("archived") is True:
        return Reason.ARCHIVED
    if paths == {_LIVE} and side.get("live") == "none":
        return Reason.UNPUBLISHED
    if paths == {_LIVE} and side.get("live") == "other":
        return Reason.UNLIKE_DRAFT
    return Reason.DRIFTED


def _only_stale(change: FieldChange) -> bool:
    return same(refreshed(change.before), change.after) and not same(change.before, change.after)
