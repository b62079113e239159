"""Hold single changes back: they are shown as blocked, and the others go on as far as they can.

What only has to be brought up to date is there, so what needs it needn't wait; what has to be
made first keeps waiting everything that needs it. Not here: why something is held back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from reconciler.plan.change import Change, Plan, Reason
from reconciler.plan.diff import MISSING, Cause, same
from reconciler.resource.address import Address
from reconciler.resource.payload import references

GONE = frozenset({Reason.VANISHED, Reason.ROW_VANISHED})


def withhold(plan: Plan, reason_of: Callable[[Change], str | None]) -> Plan:
    """Block the changes that *reason_of* gives a reason for, and what can't do without them."""
    holding = _Holding(reason_of)
    waves = tuple(tuple(holding.settle(change) for change in wave) for wave in plan.waves)
    return replace(plan, waves=waves) if holding.held else plan


class _Holding:
    def __init__(self, reason_of: Callable[[Change], str | None]) -> None:
        self.reason_of = reason_of
        self.held: set[Address] = set()
        self.absent: set[Address] = set()

    def settle(self, change: Change) -> Change:
        if change.blocked is not None:
            return change
        note = self.reason_of(change) or self.lacking(change)
        if note is None:
            needs = tuple(a for a in change.needs if a not in self.held)
            return change if needs == change.needs else replace(change, needs=needs)
        self.held.add(change.address)
        if change.renews or change.moved_from is not None:
            self.absent.add(change.address)
        return replace(change, blocked=note)

    def lacking(self, change: Change) -> str | None:
        """Name what *change* can't do without; what ends waits for all that still refer to it."""
        waits_for = self.held if change.removes else self.absent
        lacking = next((address for address in change.needs if address in waits_for), None)
        return None if lacking is None else f"needs {lacking}, which is held back"


def intends(change: Change) -> bool:
    """Whether *change* brings something new from the specs."""
    return not only_drift(change)


def undoes(change: Change) -> bool:
    """Whether *change* undoes something that was done outside git."""
    return only_drift(change) or any(f.cause is not Cause.SPEC for f in change.fields)


def only_drift(change: Change) -> bool:
    """Whether *change* does nothing but undo what was done outside git."""
    if change.moved_from or change.removes:
        return False
    if change.reason in GONE and change.desired and change.recorded:
        return same(change.desired.payload, change.recorded.payload)
    return bool(change.fields) and all(f.cause is Cause.DRIFT for f in change.fields)


def follows_drift(change: Change, renewed: Mapping[Address, Change]) -> bool:
    """Whether *change* does nothing but pass on new ids that are due to drift alone.

    *renewed* is what gets a new id in the same plan. Of an id that an earlier apply left to be
    passed on nobody can tell any more what it was due to: then it does not.
    """
    if change.reason is not Reason.RELINKED or change.moved_from is not None:
        return False
    named = {
        r.address for f in change.fields if f.after is not MISSING for r in references(f.after)
    }
    causes = named & renewed.keys()
    return bool(causes) and all(only_drift(renewed[address]) for address in causes)


def renewals(plan: Plan) -> Mapping[Address, Change]:
    """Collect what gets a new id in n8n by *plan*."""
    return {change.address: change for change in plan.changes if change.renews}
