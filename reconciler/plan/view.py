"""The world under the names that the specs use now, and who refers to whom in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from reconciler.plan.moves import rename, settle_moves
from reconciler.plan.state import Desired, Observed, Recorded, World
from reconciler.plan.traits import PLAIN, Traits
from reconciler.resource.address import Address
from reconciler.resource.payload import Payload, references


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One resource in its three states; payloads are renamed, *recorded* is as it is stored."""

    address: Address
    desired: Desired | None
    recorded: Recorded | None
    observed: Observed | None
    before: Payload = field(default_factory=dict)  # last applied
    attempted: Payload | None = None

    @property
    def moves(self) -> bool:
        """Whether the record is still stored under another address."""
        return self.recorded is not None and self.recorded.address != self.address


class View:
    """Looks at a world through its moves."""

    def __init__(self, world: World, traits: Mapping[str, Traits]) -> None:
        self.world = world
        self._traits = traits
        self.moves = settle_moves(world)
        self._names = {old: new for new, old in self.moves.items()}

    def traits(self, address: Address) -> Traits:
        """Give the traits of the kind of *address*."""
        return self._traits.get(address.kind, PLAIN)

    def case(self, address: Address) -> Case:
        """Collect the three states of *address*."""
        source = self.moves.get(address, address)
        recorded = self.world.recorded.get(source)
        if source == address and address in self._names:
            recorded = None  # its record moves away
        observed = self.world.observed.get(source) if recorded else self._unrecorded(address)
        if observed is not None and self._names:
            payload = rename(observed.payload, self._names)
            observed = replace(observed, address=address, payload=payload)
        desired = self.world.desired.get(address)
        if recorded is None:
            return Case(address=address, desired=desired, recorded=None, observed=observed)
        attempted = recorded.attempted
        return Case(
            address=address,
            desired=desired,
            recorded=recorded,
            observed=observed,
            before=rename(recorded.payload, self._names),
            attempted=None if attempted is None else rename(attempted, self._names),
        )

    def _unrecorded(self, address: Address) -> Observed | None:
        return None if address in self._names else self.world.observed.get(address)

    @cached_property
    def undeclared(self) -> tuple[Address, ...]:
        """The recorded addresses in scope that no document declares or renames."""
        world = self.world
        return tuple(
            address
            for address in sorted(world.recorded.keys() - world.desired.keys() - self._names.keys())
            if address.organization in world.organizations
        )

    @cached_property
    def holds(self) -> Mapping[Address, frozenset[Address]]:
        """Who refers to what according to any witness: applied, attempted or observed."""
        found: dict[Address, frozenset[Address]] = {}
        for stored in self.world.recorded:
            address = self._names.get(stored, stored)
            case = self.case(address)
            seen = case.observed.payload if case.observed else {}
            found[address] = frozenset(_others(address, (case.before, case.attempted or {}, seen)))
        return found

    @cached_property
    def makes_room(self) -> Mapping[Address, Address]:
        """In a chain of renames: who takes the record of an address that is itself taken over."""
        return {new: self._names[new] for new in self.moves if new in self._names}

    def wanted(self, address: Address) -> frozenset[Address]:
        """What *address* shall refer to, itself excepted."""
        desired = self.world.desired.get(address)
        return frozenset(_others(address, (desired.payload,) if desired else ()))


def _others(address: Address, payloads: Iterable[Payload]) -> Iterator[Address]:
    for payload in payloads:
        for reference in references(payload):
            if reference.address != address:
                yield reference.address
