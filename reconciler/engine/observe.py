"""Read PostgreSQL's rows and n8n's objects, and bind what is found to addresses.

Reading only. An object is bound by the id we recorded or, after a lost answer,
by the marker we put into it; whatever is neither is a stranger's and is never
touched. An object whose version marks are as we recorded them is not looked at
again: n8n changes them with every write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from reconciler.engine.ports import Ledger
from reconciler.engine.together import together
from reconciler.errors import N8nNotFound
from reconciler.kinds.kind import AnyKind, Kinds, Reader, Row, Seen
from reconciler.plan.state import Desired, Observed, Recorded, World
from reconciler.resource.address import Address
from reconciler.resource.api import Api
from reconciler.resource.marker import short_mark
from reconciler.resource.payload import Object, Payload, Ref, Side, Value
from reconciler.resource.stamp import Stamp

Readers = Callable[[Address, str], Reader | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Everything that was read, before it is bound to addresses."""

    recorded: Mapping[Address, Recorded]
    rows: Mapping[str, Mapping[str, Row]] = field(default_factory=dict)  # table -> id -> row
    objects: Mapping[str, tuple[Object, ...]] = field(default_factory=dict)  # by collection


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Reads PostgreSQL and n8n; both are ports."""

    kinds: Kinds
    api: Api | None  # None: there is no n8n to ask, rows only
    ledger: Ledger

    async def read(self) -> Reading:
        """Read the inventory, its rows, and all objects in n8n."""
        names = sorted({k.collection for k in self.kinds.values() if k.collection})
        recording = asyncio.ensure_future(self._recorded())
        try:
            listed = await together(self._list(name) for name in names)
            recorded, rows = await recording
        finally:
            recording.cancel()
        objects = dict(zip(names, listed, strict=True))
        objects = await self._complete(recorded, objects)
        return Reading(recorded=recorded, rows=rows, objects=objects)

    async def _recorded(
        self,
    ) -> tuple[Mapping[Address, Recorded], Mapping[str, Mapping[str, Row]]]:
        recorded = await self.ledger.recorded()
        return recorded, await self._rows(recorded)

    async def _list(self, collection: str) -> tuple[Object, ...]:
        if self.api is None:
            return ()
        options = {"excludePinnedData": "true"} if collection == "workflows" else {}
        return tuple([_once(item) async for item in self.api.pages(f"/{collection}", **options)])

    async def _complete(
        self, recorded: Mapping[Address, Recorded], objects: dict[str, tuple[Object, ...]]
    ) -> dict[str, tuple[Object, ...]]:
        """Ask again for what a listing lacks: n8n pages by offset, a deletion hides a neighbour."""
        if self.api is None:
            return objects
        complete = dict(objects)
        for collection, items in objects.items():
            seen = {str(item["id"]) for item in items}
            entries = [
                entry
                for address, entry in recorded.items()
                if (kind := self.kinds.get(address.kind)) and kind.collection == collection
            ]
            late: tuple[Object, ...] = ()
            lost = {e.object_id for e in entries if e.object_id and e.object_id not in seen}
            if any(e.object_id is None and e.attempted is not None for e in entries):
                again = await self._list(collection)
                late = tuple(o for o in again if str(o["id"]) not in seen)
                lost -= {str(o["id"]) for o in again}
            limit = asyncio.Semaphore(8)
            found = await together(self._one(collection, i, limit) for i in sorted(lost))
            there = tuple(o for o in found if o is not None)
            complete[collection] = (*items, *late, *there)
        return complete

    async def _one(self, collection: str, id_: str, limit: asyncio.Semaphore) -> Object | None:
        assert self.api is not None
        async with limit:
            try:
                return await self.api.get(f"/{collection}/{id_}")
            except N8nNotFound:
                return None

    async def _rows(self, recorded: Mapping[Address, Recorded]) -> dict[str, Mapping[str, Row]]:
        wanted: dict[str, list[str]] = {}
        for address, entry in recorded.items():
            kind = self.kinds.get(address.kind)
            if kind is not None:
                for table in kind.tables:
                    wanted.setdefault(table, []).append(entry.row_id)
        found = await together(self.ledger.rows(table, ids) for table, ids in wanted.items())
        return dict(zip(wanted, found, strict=True))


def bind(
    reading: Reading,
    desired: Mapping[Address, Desired],
    kinds: Kinds,
    *,
    readers: Readers,
    organizations: frozenset[str],
) -> World:
    """Put the three states of all resources side by side."""
    recorded = dict(reading.recorded)
    bound = _bind(recorded, reading.objects, kinds)
    look = _Look(reading=reading, kinds=kinds, unref=_unref(recorded, bound), readers=readers)
    observed: dict[Address, Observed] = {}
    for address, entry in recorded.items():
        seen = look.at(entry, bound.get(address))
        if seen is not None:
            observed[address] = seen
    for address, want in desired.items():
        known = look.existing(want, observed.get(address))
        if known is not None:
            recorded |= _with_twin(recorded.get(address), bound.get(address))
            observed[address] = known
    return World(desired=desired, recorded=recorded, observed=observed, organizations=organizations)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """Brings what was read into canonical form, one resource at a time."""

    reading: Reading
    kinds: Kinds
    unref: _Unref
    readers: Readers

    def at(self, entry: Recorded, object_: Object | None) -> Observed | None:
        """Look at one recorded resource; None when nothing is left of it."""
        kind = self.kinds.get(entry.address.kind)
        if kind is None:
            return None
        rows = self.reading.rows
        own = {t: rows[t][entry.row_id] for t in kind.tables if entry.row_id in rows.get(t, ())}
        if kind.tables[0] not in own and object_ is None:
            return None
        stamp = None if object_ is None else Stamp.of(object_)
        settled = entry.attempted is None and entry.stamp is not None and not entry.removed
        unchanged = object_ is not None and settled and stamp == entry.stamp
        payload = kind.canonical(
            Seen(
                address=entry.address,
                row_id=entry.row_id,
                rows=own,
                object=None if unchanged else object_,
                unref=self.unref,
                reader=self.readers(entry.address, entry.row_id),
                recorded=entry.payload,
                edited=settled and stamp != entry.stamp,
            )
        )
        loan = _loan(entry.payload if entry.attempted is None else entry.attempted)
        if object_ is not None and loan is not None and _is_existing(loan, object_):
            payload["n8n"] = {"existing": loan}
        elif unchanged and "n8n" in entry.payload:
            payload["n8n"] = entry.payload["n8n"]
        id_ = None if object_ is None else str(object_["id"])
        return Observed(address=entry.address, payload=payload, object_id=id_, stamp=stamp)

    def existing(self, want: Desired, seen: Observed | None) -> Observed | None:
        """Find the hand-made object that a document refers to instead of declaring its own."""
        loan = _loan(want.payload)
        if loan is None:
            return None
        kind = self.kinds[want.address.kind]
        for object_ in self.reading.objects.get(kind.collection or "", ()):
            if _is_existing(loan, object_):
                rows: Payload = seen.payload if seen else {}
                payload: Payload = {**rows, "n8n": {"existing": loan}}
                id_ = str(object_["id"])
                return Observed(address=want.address, payload=payload, object_id=id_)
        return None


def _loan(payload: Payload) -> dict[str, Value] | None:
    """Tell which hand-made object a payload refers to, if it does."""
    side = payload.get("n8n")
    loan = side.get("existing") if isinstance(side, dict) else None
    return loan if isinstance(loan, dict) else None


def _once(object_: Object) -> Object:
    """Keep nodes and connections once where the published version is the draft: they are alike."""
    active = object_.get("activeVersion")
    if isinstance(active, dict) and object_.get("activeVersionId") == object_.get("versionId"):
        active["nodes"], active["connections"] = object_["nodes"], object_["connections"]
    return object_


def _is_existing(wanted: Mapping[str, Value], object_: Object) -> bool:
    return all(wanted[key] == object_.get(key) for key in ("id", "name", "type") if key in wanted)


def _bind(
    recorded: Mapping[Address, Recorded],
    objects: Mapping[str, tuple[Object, ...]],
    kinds: Kinds,
) -> dict[Address, Object]:
    """Match objects with inventory entries: by id, or by marker where the answer was lost."""
    bound: dict[Address, Object] = {}
    by_id = {(c, str(o["id"])): o for c, items in objects.items() for o in items}
    twins: dict[str, Mapping[str, list[Object]]] = {}
    for address, entry in recorded.items():
        kind = kinds.get(address.kind)
        if kind is None or kind.collection is None:
            continue
        if entry.object_id is not None:
            found = by_id.get((kind.collection, entry.object_id))
        elif entry.attempted is not None:
            if kind.name not in twins:
                twins[kind.name] = _marked(kind, objects.get(kind.collection, ()))
            found = _twin(entry, twins[kind.name])
        else:
            found = None
        if found is not None:
            bound[address] = found
    return bound


def _marked(kind: AnyKind, objects: tuple[Object, ...]) -> Mapping[str, list[Object]]:
    """Index objects by the marker that we put into those we create."""
    marked: dict[str, list[Object]] = {}
    for object_ in objects:
        marker = kind.marker(object_)
        if marker:
            marked.setdefault(marker, []).append(object_)
    return marked


def _twin(entry: Recorded, marked: Mapping[str, list[Object]]) -> Object | None:
    """Find what an interrupted creation left behind; a replaced object bears the marker, too."""
    for marker in (entry.row_id, short_mark(entry.row_id)):
        for object_ in marked.get(marker, ()):
            if str(object_["id"]) not in entry.deposed:
                return object_
    return None


def _with_twin(entry: Recorded | None, found: Object | None) -> dict[Address, Recorded]:
    """Note what an interrupted creation made before a hand-made object takes its place."""
    if entry is None or found is None or entry.object_id is not None:
        return {}
    return {entry.address: replace(entry, object_id=str(found["id"]))}


@dataclass(frozen=True, slots=True)
class _Unref:
    ids: Mapping[tuple[str, Side, str], Ref]

    def __call__(self, kind: str, side: Side, id_: str) -> Ref | str:
        return self.ids.get((kind, side, id_), id_)


def _unref(recorded: Mapping[Address, Recorded], bound: Mapping[Address, Object]) -> _Unref:
    ids: dict[tuple[str, Side, str], Ref] = {}
    for address, entry in recorded.items():
        for old in entry.deposed:
            ids[address.kind, Side.N8N, old] = Ref(address, Side.N8N, stale=True)
    for address, entry in recorded.items():
        ids[address.kind, Side.ROW, entry.row_id] = Ref(address, Side.ROW)
        object_ = bound.get(address)
        object_id = entry.object_id or (str(object_["id"]) if object_ else None)
        if object_id is not None:
            ids[address.kind, Side.N8N, object_id] = Ref(address, Side.N8N)
    return _Unref(ids)
