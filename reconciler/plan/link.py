"""What the changes of a plan mean for each other: new ids are passed on, blocks are passed on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from reconciler.plan.change import Action, Change, Reason
from reconciler.plan.diff import Cause, FieldChange
from reconciler.plan.order import layers
from reconciler.plan.view import View
from reconciler.resource.address import Address
from reconciler.resource.payload import Ref, Sealed, Side, Value, flatten, references

_WRITES_ALL = frozenset({Action.CREATE, Action.REPLACE})


def link(
    view: View, decided: Mapping[Address, Change], in_sync: Iterable[Address]
) -> list[list[Change]]:
    """Put what is built in order; update what refers to something that gets a new id."""
    run = _Linking(view=view, decided=dict(decided))
    return run.waves(in_sync)


@dataclass(slots=True)
class _Linking:
    view: View
    decided: dict[Address, Change]
    active: dict[Address, Change] = field(default_factory=dict)  # that people see, so far
    renewed: dict[Address, frozenset[Side]] = field(default_factory=dict)

    def waves(self, in_sync: Iterable[Address]) -> list[list[Change]]:
        wanted = self.graph(in_sync)
        found: list[list[Change]] = []
        self.make_room(wanted)
        for layer in layers(wanted):
            wave = [c for address in layer if (c := self.settle(address, wanted[address]))]
            if wave:
                found.append(wave)
        return found

    def graph(self, in_sync: Iterable[Address]) -> dict[Address, frozenset[Address]]:
        wanted = {address: self.view.wanted(address) for address in self.decided}
        renewing = {address for address, change in self.decided.items() if change.renews}
        if renewing:
            for address in in_sync:
                refers = self.view.wanted(address)
                if not renewing.isdisjoint(refers):
                    wanted[address] = refers
        return wanted

    def make_room(self, wanted: dict[Address, frozenset[Address]]) -> None:
        """Let the record that is in the place of another one go first.

        When that one refers to its successor the two can't be ordered: it would
        have to be renamed before and written after it.
        """
        for address in sorted(self.view.makes_room.keys() & self.decided.keys()):
            first, change = self.view.makes_room[address], self.decided[address]
            if address in _reachable(first, wanted):
                note = f"can't take this name from {first}, which needs it: rename in two commits"
                self.decided[address] = replace(change, blocked=change.blocked or note)
            else:
                wanted[address] |= {first}

    def settle(self, address: Address, wanted: frozenset[Address]) -> Change | None:
        """Finish the change of *address*, now that all it refers to are finished."""
        change = self.relinked(address)
        if change is None or change.is_silent:
            return change
        needs = tuple(sorted(wanted & self.active.keys()))
        change = replace(
            change, needs=needs, blocked=change.blocked or self.hindrance(change, needs)
        )
        self.active[address] = change
        if change.blocked is None and change.renews:
            both = change.recorded is None
            self.renewed[address] = frozenset(Side) if both else frozenset({Side.N8N})
        return change

    def relinked(self, address: Address) -> Change | None:
        change = self.decided.get(address)
        if not self.renewed or (change and change.action in _WRITES_ALL):
            return change
        case = self.view.case(address)
        if case.desired is None:
            return change
        known = {f.path for f in change.fields} if change else set()
        fields: list[FieldChange] = []
        because: Address | None = None
        for path, leaf in flatten(case.desired.payload).items():
            found = [r.address for r in references(leaf) if self.renews(r, address)]
            if found and path not in known:
                because = because or found[0]
                fields.append(FieldChange(path, self.worn(leaf), leaf, Cause.SPEC))
        if because is None:
            return change
        if change is None:
            change = Change(
                address=address,
                action=Action.UPDATE,
                reason=Reason.RELINKED,
                desired=case.desired,
                recorded=case.recorded,
                observed=case.observed,
            )
        if change.action is Action.RECORD:
            change = replace(change, action=Action.UPDATE, reason=Reason.RELINKED)
        both = tuple(sorted((*change.fields, *fields), key=lambda f: f.path))
        return replace(change, fields=both, because=because)

    def renews(self, reference: Ref, of: Address) -> bool:
        sides = self.renewed.get(reference.address, frozenset())
        return reference.address != of and reference.side in sides

    def worn(self, leaf: Value) -> Value:
        """Show *leaf* as it is now: it refers to objects that are about to be replaced."""
        match leaf:
            case Ref(address, side) if side in self.renewed.get(address, frozenset()):
                return replace(leaf, stale=True)
            case list():
                return [self.worn(item) for item in leaf]
            case dict():
                return {key: self.worn(item) for key, item in leaf.items()}
            case _:
                return leaf

    def hindrance(self, change: Change, needs: Iterable[Address]) -> str | None:
        """Say why *change* can't be made now, if so."""
        if change.desired is None:
            return None
        if change.desired.blocked is not None:
            return change.desired.blocked
        unknown = _unknown_secret(change.desired.payload)
        if unknown is not None:
            return f"the secret {unknown.name} is not available here"
        for address in needs:
            if self.active[address].blocked is not None:
                return f"needs {address}, which is blocked"
        return None


def _reachable(start: Address, wanted: Mapping[Address, frozenset[Address]]) -> frozenset[Address]:
    found: set[Address] = set()
    waiting = [start]
    while waiting:
        new = wanted.get(waiting.pop(), frozenset()) - found
        found |= new
        waiting.extend(new)
    return frozenset(found)


def _unknown_secret(value: Value) -> Sealed | None:
    match value:
        case Sealed(_, None):
            return value
        case dict():
            return next((s for v in value.values() if (s := _unknown_secret(v))), None)
        case list():
            return next((s for v in value if (s := _unknown_secret(v))), None)
        case _:
            return None
