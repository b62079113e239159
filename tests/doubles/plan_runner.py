"""Carries out plans on the servers in memory, by the same rules as the engine.

Intent before effect, the id of a new object at once, the record last; what
needs something that failed is not attempted.
"""

from __future__ import annotations

import random
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from reconciler.plan.change import Action, Change, Plan
from reconciler.plan.state import Recorded, Stamp
from reconciler.resource.address import Address
from tests.doubles.plan_servers import STAYS, Refusal, Servers


@dataclass
class Runner:
    """One apply; *refused* are the addresses whose changes the servers refuse."""

    servers: Servers
    order: random.Random
    refused: AbstractSet[Address] = frozenset()
    failed: set[Address] = field(default_factory=set)

    def apply(self, plan: Plan) -> None:
        for wave in plan.waves:
            changes = list(wave)
            assert len({c.address for c in changes}) == len(changes), "one at a time per address"
            self.order.shuffle(changes)
            for change in changes:
                self.one(change)

    def one(self, change: Change) -> None:
        if change.blocked is not None or not self.failed.isdisjoint(change.needs):
            self.failed.add(change.address)
            return
        try:
            self.carry_out(change)
        except Refusal:
            self.failed.add(change.address)

    def carry_out(self, change: Change) -> None:
        match change.action:
            case Action.RECORD:
                self.servers.put(self.settled(change, self.current(change)))
            case Action.DISCARD:
                self.discard(change)
            case Action.REMOVE | Action.FORGET:
                self.remove(change)
            case _:
                self.write(change)

    def current(self, change: Change) -> Recorded:
        entry = self.servers.inventory.get(change.address)
        if entry is None and change.moved_from:
            entry = self.servers.inventory[change.moved_from]
        if entry is None:
            entry = Recorded(address=change.address, row_id=self.servers.fresh("row"))
        return replace(entry, address=change.address)

    def write(self, change: Change) -> None:
        assert change.desired is not None
        intent = self.intend(change)
        if change.address in self.refused:
            raise Refusal
        payload = change.desired.payload
        row = self.servers.wired(payload, "row") if "row" in payload else None
        if row is not None and self.touches(change, "row"):
            self.servers.write_row(intent.row_id, change.address.kind, row)
        if "n8n" in payload and self.touches(change, "n8n"):
            body = self.servers.wired(payload, "n8n")
            if intent.object_id is None:
                created = self.servers.create(change.address.kind, intent.row_id, body)
                intent = replace(intent, object_id=created)
            else:
                self.servers.update(intent.object_id, body)
        self.servers.put(self.settled(change, intent))

    def intend(self, change: Change) -> Recorded:
        assert change.desired is not None
        before = self.current(change)
        object_id = before.object_id
        if change.action in {Action.CREATE, Action.REPLACE}:
            object_id = None
        elif change.action is Action.ADOPT and change.observed:
            object_id = change.observed.object_id
        intent = replace(
            before,
            attempted=change.desired.payload,
            removed=False,
            object_id=object_id,
            deposed=(*before.deposed, *change.deposes),
        )
        if change.moved_from:
            self.servers.move(change.moved_from, intent)
        else:
            self.servers.put(intent)
        return intent

    def touches(self, change: Change, side: str) -> bool:
        if change.action in {Action.CREATE, Action.REPLACE}:
            return True
        return any(f.path[0] == side for f in change.fields)

    def settled(self, change: Change, entry: Recorded) -> Recorded:
        assert change.desired is not None
        thing = self.servers.things.get(entry.object_id or "")
        return replace(
            entry,
            payload=change.desired.payload,
            attempted=None,
            removed=False,
            protected=change.desired.protected,
            stamp=Stamp(version=str(thing.version)) if thing else None,
        )

    def discard(self, change: Change) -> None:
        assert change.observed is not None
        assert change.observed.object_id is not None
        old = change.observed.object_id
        if change.address in self.refused:
            raise Refusal
        self.servers.delete(old)
        entry = self.current(change)
        self.servers.put(replace(entry, deposed=tuple(d for d in entry.deposed if d != old)))

    def remove(self, change: Change) -> None:
        if change.address in self.refused:
            raise Refusal
        entry = self.current(change)
        object_id = change.observed.object_id if change.observed else None
        keeps = change.address.kind in STAYS
        if object_id is not None:
            if keeps:
                self.servers.archive(object_id)
            else:
                self.servers.delete(object_id)
        self.servers.retire_row(entry.row_id)
        kept = object_id if keeps else None
        self.servers.put(replace(entry, removed=True, attempted=None, object_id=kept))
