"""Decide what to do with every resource, and in which order; the one place where plans are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from reconciler.plan.change import Change, Drift, Only, Plan, Scope
from reconciler.plan.decide import decide
from reconciler.plan.held import GONE, only_drift
from reconciler.plan.link import link
from reconciler.plan.moves import blocked_move
from reconciler.plan.removal import Ending, discards, remove
from reconciler.plan.repair import repair_world
from reconciler.plan.state import World
from reconciler.plan.traits import Traits
from reconciler.plan.view import View
from reconciler.resource.address import Address
from reconciler.resource.payload import references


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What the caller wants of a plan."""

    prune: bool = False  # remove what the specs do not declare any more
    targets: frozenset[Address] | None = None  # only these, and what they refer to
    only: Only = Only.ALL
    undeclared: frozenset[Address] = frozenset()  # what a repair leaves alone; else the world tells
    revision: str | None = None  # of the specs


def make_plan(
    world: World, traits: Mapping[str, Traits], options: PlanOptions | None = None
) -> Plan:
    """Compare the three states of *world* and plan the way to the desired one.

    A plan first builds, what is referred to first, and then ends things, what
    is referred to last: nothing ever refers to something that is not there.
    Traits are by kind name. Removals still have to pass `guard`.
    """
    options = options or PlanOptions()
    if options.only is Only.DRIFT:
        world = repair_world(world, options.undeclared)
        options = replace(options, prune=False)
    return _Planning(View(world, traits), options).plan()


@dataclass(slots=True)
class _Planning:
    """One plan in the making."""

    view: View
    options: PlanOptions
    decided: dict[Address, Change] = field(default_factory=dict)
    in_sync: list[Address] = field(default_factory=list)
    skipped: set[Address] = field(default_factory=set)  # they only drifted, and shall stay so
    drift: list[Drift] = field(default_factory=list)

    def plan(self) -> Plan:
        selected = self.selection()
        for address in sorted(selected):
            self.decide(address)
        if self.options.only is Only.INTENT:
            self.leave_drift()
        building = link(self.view, self.decided, self.in_sync)
        built = {c.address: c for wave in building for c in wave if not c.is_silent}
        settled = selected - self.skipped
        undeclared = [a for a in self.view.undeclared if self.is_target(a)]
        ending = Ending(
            view=self.view,
            removals=tuple(self.removals(settled, undeclared, built)),
            built=built,
            selected=settled,
        )
        left_alone = self.left_alone(undeclared)
        waves = tuple(tuple(wave) for wave in (*building, *ending.waves()) if wave)
        return Plan(
            waves=waves,
            drift=tuple(sorted(self.drift, key=lambda d: d.address)),
            undeclared=left_alone,
            unchanged=tuple(a for a in self.in_sync if a not in built),
            scope=Scope(
                organizations=self.view.world.organizations,
                targets=self.options.targets,
                prune=self.options.prune,
                only=self.options.only,
            ),
            revision=self.options.revision,
        )

    def is_target(self, address: Address) -> bool:
        return self.options.targets is None or address in self.options.targets

    def selection(self) -> set[Address]:
        """The declared resources that the plan is about: targets and all they refer to."""
        desired = self.view.world.desired
        if self.options.targets is None:
            return set(desired)
        selected: set[Address] = set()
        waiting = [
            a for a in desired if self.is_target(self.view.moves.get(a, a)) or self.is_target(a)
        ]
        while waiting:
            address = waiting.pop()
            if address in desired and address not in selected:
                selected.add(address)
                waiting.extend(r.address for r in references(desired[address].payload))
                waiting.append(self.view.makes_room.get(address, address))
        return selected

    def decide(self, address: Address) -> None:
        decision = decide(self.view.case(address), self.view.traits(address))
        if decision.drift is not None:
            self.drift.append(decision.drift)
        if decision.change is None:
            self.in_sync.append(address)
            return
        change = decision.change
        note = blocked_move(self.view.world, address)
        if note is not None:
            change = replace(change, blocked=note)
        self.decided[address] = change

    def leave_drift(self) -> None:
        """Drop what only drifted, but not what a change that stays could not do without."""
        only = {a for a, change in self.decided.items() if only_drift(change)}
        needed: set[Address] = set()
        waiting = [a for a in self.decided if a not in only]
        while waiting:
            wanted = self.view.wanted(waiting.pop()) & only - needed
            gone = {a for a in wanted if self.decided[a].reason in GONE}
            needed |= gone
            waiting.extend(gone)
        self.skipped = only - needed
        for address in self.skipped:
            del self.decided[address]

    def removals(
        self,
        settled: AbstractSet[Address],
        undeclared: Iterable[Address],
        built: Mapping[Address, Change],
    ) -> Iterable[Change]:
        deposed = {a for a in settled if (r := self.view.case(a).recorded) and r.deposed}
        for address in sorted(deposed | (built.keys() & settled)):
            change = built.get(address)
            if change is None or change.blocked is None:
                yield from discards(self.view.case(address), change)
        for address in undeclared:
            case = self.view.case(address)
            ends = remove(self.view, address)
            if ends is None or self.options.prune:
                yield from discards(case, None)
            if ends is not None and self.options.prune:
                yield ends

    def left_alone(self, undeclared: Iterable[Address]) -> tuple[Address, ...]:
        """Note what is recorded but not declared; nobody says how it should be, so it can't drift."""
        if self.options.only is Only.DRIFT:
            undeclared = (a for a in undeclared if a in self.options.undeclared)
        if self.options.prune:
            return ()
        return tuple(a for a in undeclared if remove(self.view, a) is not None)
