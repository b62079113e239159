"""The second half of a plan: what ends, in reverse order, and never while it is referred to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from reconciler.plan.change import Action, Change, Guard, Key, Reason
from reconciler.plan.decide import trim
from reconciler.plan.order import layers
from reconciler.plan.state import Observed
from reconciler.plan.view import Case, View
from reconciler.resource.address import Address


def remove(view: View, address: Address) -> Change | None:
    """Say how a resource that nobody declares any more ends; None when it ended before."""
    case = view.case(address)
    recorded = case.recorded
    if recorded is None or (recorded.removed and recorded.attempted is None):
        return None
    remains = trim(case, view.traits(address))
    there = remains is not None and bool(remains.payload)
    reason = Reason.REMOVED if there else Reason.GONE
    if not there and not case.before:
        reason = Reason.INTERRUPTED
    return Change(
        address=address,
        action=Action.REMOVE if there else Action.FORGET,
        reason=reason,
        recorded=recorded,
        observed=remains,
    )


def discards(case: Case, change: Change | None) -> Iterator[Change]:
    """Delete what was replaced, in this plan or in one that was interrupted."""
    if case.recorded is None:
        return
    deposed = case.recorded.deposed
    if change is not None and change.blocked is None:
        deposed = (*deposed, *change.deposes)
    for old in dict.fromkeys(deposed):
        yield Change(
            address=case.address,
            action=Action.DISCARD,
            reason=Reason.REPLACED,
            recorded=case.recorded,
            observed=Observed(address=case.address, payload={}, object_id=old),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What ends, seen against what stays."""

    view: View
    removals: tuple[Change, ...]  # discards before the removal of the same address
    built: Mapping[Address, Change]  # the changes of the first half that people see
    selected: AbstractSet[Address]  # what the plan is about

    def waves(self) -> list[list[Change]]:
        """Order the removals, holders first; what is still referred to is blocked or put off."""
        kept = self.withheld() if self.removals else []
        nodes = {(c.address, n): c for n, c in enumerate(kept)}
        of: dict[Address, list[tuple[Address, int]]] = {}
        for node in nodes:
            of.setdefault(node[0], []).append(node)
        holders = _holders(self.view, of)
        before: dict[tuple[Address, int], set[tuple[Address, int]]] = {}
        for address, own in of.items():
            first = {node for holder in holders[address] for node in of.get(holder, ())}
            for n, node in enumerate(own):
                before[node] = first | set(own[:n])
        acting = self.built.keys() | of.keys()
        return [
            [self._with_needs(nodes[node], holders[node[0]] & acting, of) for node in layer]
            for layer in layers(before)
        ]

    def _with_needs(
        self,
        change: Change,
        holders: AbstractSet[Address],
        of: Mapping[Address, list[tuple[Address, int]]],
    ) -> Change:
        own = change.address in self.built or len(of[change.address]) > 1
        needs = holders | {change.address} if own else holders
        return replace(change, needs=tuple(sorted(needs)))

    def withheld(self) -> list[Change]:
        """Block the removal of what something that stays refers to, and put its discards off."""
        going = {c.address for c in self.removals if c.action is not Action.DISCARD}
        blocked: dict[Address, str] = {}
        holders = _holders(self.view, {c.address for c in self.removals})
        stays = self.staying()
        held: set[Address] = set()
        while True:
            new = {
                address: holder
                for address, refer in holders.items()
                if address not in held and (holder := _first(refer, stays | (held & going)))
            }
            if not new:
                break
            held |= new.keys()
            blocked |= {a: f"{holder} still refers to it" for a, holder in new.items()}
        kept = []
        for change in self.removals:
            note = blocked.get(change.address)
            if note is None:
                kept.append(change)
            elif change.action is not Action.DISCARD:
                kept.append(replace(change, blocked=note))
        return kept

    def staying(self) -> set[Address]:
        """The resources that keep the references they have now."""
        going = {c.address for c in self.removals if c.action is not Action.DISCARD}
        stays = set()
        for stored, recorded in self.view.world.recorded.items():
            address = next((n for n, o in self.view.moves.items() if o == stored), stored)
            change = self.built.get(address)
            if change is not None:
                if change.blocked is not None:
                    stays.add(address)
            elif address not in going:
                settled = address in self.view.world.desired and address in self.selected
                ended = recorded.removed and recorded.attempted is None
                if not settled and not ended:
                    stays.add(address)
        return stays


def hold(
    view: View, changes: Iterable[Change], blocked: AbstractSet[Address]
) -> dict[Key, Change | None]:
    """Say what becomes of removals of what *blocked* ones still refer to; None: it is put off."""
    ending = [c for c in changes if c.removes and c.blocked is None]
    holders = _holders(view, {c.address for c in ending})
    outcome: dict[Key, Change | None] = {}
    stays = set(blocked)
    while True:
        found = len(outcome)
        for change in ending:
            holder = _first(holders[change.address], stays)
            if holder is None or change.key in outcome:
                continue
            if change.action is Action.DISCARD:
                outcome[change.key] = None
            else:
                note = f"{holder}, whose removal is blocked, still refers to it"
                outcome[change.key] = replace(change, blocked=note, guard=Guard.HELD)
                stays.add(change.address)
        if len(outcome) == found:
            return outcome


def _holders(view: View, held: Iterable[Address]) -> dict[Address, frozenset[Address]]:
    found: dict[Address, set[Address]] = {address: set() for address in held}
    for holder, refers in view.holds.items() if found else ():
        for address in refers:
            if address in found:
                found[address].add(holder)
    return {address: frozenset(who) for address, who in found.items()}


def _first(addresses: AbstractSet[Address], among: AbstractSet[Address]) -> Address | None:
    return min(addresses & among, default=None)
