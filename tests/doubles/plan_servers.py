"""Two servers and an inventory in memory, as small as the planner's laws allow.

Not an n8n: `fake_n8n` is. This one only keeps rows, objects and who refers to
whom, refuses what would break a reference, and dies on request before or after
any effect. It exists so that thousands of histories run in a second.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.plan.moves import rename
from reconciler.plan.state import Desired, Observed, Recorded, Stamp, World
from reconciler.plan.traits import Traits
from reconciler.resource.address import Address
from reconciler.resource.payload import Payload, Ref, Sealed, Side, flatten, wire

TRAITS = {
    "Organization": Traits(has_object=False),
    "Credential": Traits(immutable=frozenset({("n8n", "type")}), write_only=(("n8n", "data"),)),
    "Automation": Traits(closed=(("n8n", "nodes"),)),
    "Trigger": Traits(has_object=False),
}
STAYS = frozenset({"Automation"})  # n8n keeps the removed ones: archived
SECRETS = {"s1": "hunter2-plain", "s2": "correct-horse-plain", "s3": "battery-staple-plain"}
STRANGER = "stranger"


class Crash(Exception):
    """The process died here."""


class Refusal(Exception):
    """The server said no to this one change."""


def seal(name: str) -> Sealed:
    return Sealed(name, hashlib.sha256(SECRETS[name].encode()).hexdigest()[:8])


@dataclass
class Row:
    kind: str
    data: dict[str, Any]


@dataclass
class Thing:
    """An object in n8n; *marker* is the row id that its creator put into it."""

    kind: str
    marker: str
    data: dict[str, Any]
    version: int = 0


@dataclass
class Servers:
    """PostgreSQL's rows, n8n's objects and our inventory."""

    rows: dict[str, Row] = field(default_factory=dict)
    things: dict[str, Thing] = field(default_factory=dict)
    inventory: dict[Address, Recorded] = field(default_factory=dict)
    crash_in: int | None = None  # effects until the crash
    crash_after: bool = False
    ids: Any = field(default_factory=lambda: itertools.count(1))

    def effect(self, what: str) -> _Effect:
        return _Effect(self, what)

    def fresh(self, prefix: str) -> str:
        return f"{prefix}{next(self.ids)}"

    # PostgreSQL

    def put(self, entry: Recorded) -> None:
        with self.effect("inventory"):
            self.inventory[entry.address] = entry

    def move(self, old: Address, entry: Recorded) -> None:
        assert entry.address not in self.inventory, "two records would have one address"
        names = {old: entry.address}
        with self.effect("move"):
            del self.inventory[old]
            self.inventory[entry.address] = entry
            for address, other in self.inventory.items():
                self.inventory[address] = replace(
                    other,
                    payload=rename(other.payload, names),
                    attempted=None if other.attempted is None else rename(other.attempted, names),
                )

    def write_row(self, row_id: str, kind: str, data: dict[str, Any]) -> None:
        for value in flatten(data).values():
            if isinstance(value, str) and value.startswith("row"):
                assert value in self.rows or value == row_id, f"foreign key: no row {value}"
        with self.effect("row"):
            kept = self.rows[row_id].data if row_id in self.rows else {}
            self.rows[row_id] = Row(kind, {**kept, **copy.deepcopy(data)})

    def retire_row(self, row_id: str) -> None:
        with self.effect("retire"):
            if row_id in self.rows:
                self.rows[row_id].data["active"] = False

    # n8n

    def create(self, kind: str, marker: str, data: dict[str, Any]) -> str:
        self._check_ids(data)
        id_ = self.fresh("obj")
        with self.effect("create"):
            self.things[id_] = Thing(kind, marker, copy.deepcopy(data))
        return id_

    def update(self, id_: str, data: dict[str, Any]) -> None:
        self._check_ids(data)
        thing = self.things[id_]
        with self.effect("draft"):  # the draft first, what is live later
            live = thing.data.get("live")
            thing.data = {**_merged(thing.data, data), "live": "other" if live else None}
            thing.version += 1
        with self.effect("publish"):
            thing.data["live"] = data.get("live")

    def archive(self, id_: str) -> None:
        with self.effect("archive"):
            if id_ in self.things:
                self.things[id_].data |= {"archived": True, "live": "none"}

    def delete(self, id_: str) -> None:
        for other in self.things.values():
            if not other.data.get("archived") and other.marker != STRANGER:
                assert id_ not in _ids(other.data), f"{id_} is in use"
        with self.effect("delete"):
            self.things.pop(id_, None)

    def _check_ids(self, data: dict[str, Any]) -> None:
        for id_ in _ids(data):
            assert id_ in self.things, f"unknown object {id_}"

    # Looking

    def observe(self, desired: dict[Address, Desired], organizations: frozenset[str]) -> World:
        refs: dict[str, Ref] = {}
        for address, entry in self.inventory.items():
            refs |= {old: Ref(address, Side.N8N, stale=True) for old in entry.deposed}
        bound = {a: id_ for a, entry in self.inventory.items() if (id_ := self._bound(entry))}
        for address, entry in self.inventory.items():
            refs[entry.row_id] = Ref(address, Side.ROW)
            if address in bound:
                refs[bound[address]] = Ref(address, Side.N8N)
        observed = {}
        for address, entry in self.inventory.items():
            payload: Payload = {}
            if entry.row_id in self.rows:
                payload["row"] = _unwired(self.rows[entry.row_id].data, refs)
            thing = self.things[bound[address]] if address in bound else None
            if thing is not None:
                shown = {k: v for k, v in thing.data.items() if k != "data"}
                payload["n8n"] = _unwired(shown, refs)
            if payload:
                stamp = Stamp(version=str(thing.version)) if thing else None
                observed[address] = Observed(
                    address=address, payload=payload, object_id=bound.get(address), stamp=stamp
                )
        return World(
            desired=desired,
            recorded=dict(self.inventory),
            observed=observed,
            organizations=organizations,
        )

    def _bound(self, entry: Recorded) -> str | None:
        if entry.object_id is not None:
            return entry.object_id if entry.object_id in self.things else None
        if entry.attempted is None:
            return None
        for id_, thing in self.things.items():
            if thing.marker == entry.row_id and id_ not in entry.deposed:
                return id_
        return None

    def wired(self, payload: Payload, side: str) -> dict[str, Any]:
        """Say what *side* of *payload* looks like on the servers; raises KeyError without an id."""

        def identify(ref: Ref) -> str:
            entry = self.inventory[ref.address]
            id_ = entry.row_id if ref.side is Side.ROW else entry.object_id
            assert id_ is not None, f"{ref.address} has no object"
            return id_

        body = wire(payload[side], identify, lambda sealed: SECRETS[sealed.name])
        assert isinstance(body, dict)
        return body


class _Effect:
    """Surrounds one effect, so that the process can die right before or right after it."""

    def __init__(self, servers: Servers, what: str) -> None:
        self.servers, self.what = servers, what

    def __enter__(self) -> None:
        self._tick(after=False)

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._tick(after=True)

    def _tick(self, *, after: bool) -> None:
        if self.servers.crash_in is None or after != self.servers.crash_after:
            return
        self.servers.crash_in -= 1
        if self.servers.crash_in <= 0:
            self.servers.crash_in = None
            raise Crash(self.what)


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Settings are merged as n8n does, everything else is replaced."""
    settings = {**old.get("settings", {}), **new.get("settings", {})}
    merged = {**copy.deepcopy(new)}
    return merged | {"settings": settings} if "settings" in old or "settings" in new else merged


def _ids(data: Any) -> set[str]:
    return {v for v in flatten(data).values() if isinstance(v, str) and v.startswith("obj")}


def _unwired(data: Any, refs: dict[str, Ref]) -> Any:
    match data:
        case dict():
            return {key: _unwired(value, refs) for key, value in data.items()}
        case str():
            return refs.get(data, data)
        case _:
            return data
