"""Carry out one change: intent, call, outcome.

The order is the whole point. The intent is committed before n8n hears of it;
the id of a new object is committed as soon as it is known; the seed's row, the
inventory and the outcome are committed together at the end. A run that is
killed in between leaves an intent, and the next plan finds by it, through the
marker in the object, what the lost run achieved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from reconciler.clock import Clock
from reconciler.engine.identities import Identities
from reconciler.engine.ports import Ledger, RowWrite, Step
from reconciler.errors import DatabaseUnreachable, N8nUnreachable, ReconcilerError
from reconciler.kinds.kind import AnyKind, Kinds, Known, Tools, Written
from reconciler.plan.change import Action, Change, Reason
from reconciler.plan.diff import MISSING, remember
from reconciler.plan.moves import rename
from reconciler.plan.state import Desired, Observed, Recorded
from reconciler.resource.address import Address
from reconciler.resource.api import Api
from reconciler.resource.payload import Object, Payload, Sealed, Side, flatten, references, wire
from reconciler.resource.stamp import Stamp


class Secrets(Protocol):
    """The vault as apply needs it."""

    async def prepare(self, organization: str, row_id: str) -> None:
        """Get ready to encrypt for *organization*."""
        raise NotImplementedError

    def reveal(self, address: Address, sealed: Sealed, field: str) -> str:
        """Give the plain text behind *sealed*, the value of *field*.

        Raises ReconcilerError when it is not set, or is not the one that *sealed* means.
        """
        raise NotImplementedError

    def encrypt(self, address: Address, row_id: str, text: str) -> str:
        """Put *text* into the envelope of one credential row."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepper:
    """Carries out single changes; shared by all changes of one apply."""

    kinds: Kinds
    api: Api | None
    ledger: Ledger
    secrets: Secrets
    identities: Identities
    revision: str | None
    label: str
    clock: Clock
    slots: asyncio.Semaphore
    # n8n serves in the order in which it published: a hundred that ask at once only slow it down.
    confirming: asyncio.Semaphore
    records: dict[Address, Recorded]  # as they are now: the plan's are from before

    async def run(self, change: Change, proceed: Callable[[], Awaitable[bool]]) -> bool:
        """Carry out *change*; raises a ReconcilerError when it could not be done.

        *proceed* is asked when it is its turn; False: nothing was attempted.
        """
        kind = self.kinds[change.address.kind]
        step_id: str | None = None
        try:
            async with self.slots:
                if not await proceed():
                    return False
                step_id, intent = await self._intend(change)
                finish = await self._carry_out(kind, change, step_id, intent)
            await finish()
        except DatabaseUnreachable:
            raise
        except ReconcilerError as error:
            if step_id is not None:
                await self.ledger.failed(step_id, str(error))
            raise
        return True

    async def note(self, changes: Sequence[Change]) -> None:
        """Write down what needs no call to n8n, before anything runs side by side.

        Records get their new addresses, and what is as desired already is recorded as such.
        """
        for change in changes:
            if change.moved_from in self.records:
                await self._move(change.moved_from, change.address)
        entries = [
            self._settled(change.desired, self.records[change.address], change.observed)
            for change in changes
            if change.action is Action.RECORD and change.desired is not None
        ]
        await self.ledger.refresh(entries)
        self.records.update({entry.address: entry for entry in entries})

    async def _move(self, old: Address, new: Address) -> None:
        """Move a record to its new address, with all that refers to it."""
        names = {old: new}
        others = [
            replace(
                entry,
                payload=rename(entry.payload, names),
                attempted=None if entry.attempted is None else rename(entry.attempted, names),
            )
            for address, entry in self.records.items()
            if address != old and _refers(entry, old)
        ]
        before = self.records[old]
        moved = replace(
            before,
            address=new,
            payload=rename(before.payload, names),  # it refers to itself, too
            attempted=None if before.attempted is None else rename(before.attempted, names),
        )
        await self.ledger.moved(old, new, [moved, *others])
        del self.records[old]
        self.records.update({entry.address: entry for entry in (moved, *others)})
        self.identities.bind(new, before.row_id, self.identities.object(old))

    async def _intend(self, change: Change) -> tuple[str, Recorded]:
        address = change.address
        before = self.records.get(address)
        intent = before or Recorded(address=address, row_id=self.identities.row(address))
        deposed = (*intent.deposed, *(d for d in change.deposes if d not in intent.deposed))
        intent = replace(intent, deposed=deposed)
        if change.desired is not None:
            intent = replace(intent, attempted=change.desired.payload, removed=False)
        if change.action in {Action.CREATE, Action.REPLACE}:
            intent = replace(intent, object_id=None)
        elif change.action is Action.ADOPT and change.observed is not None:
            intent = replace(intent, object_id=change.observed.object_id)
        if change.renews and before is not None:
            await self._distrust(address)
        step = Step(address=address, action=change.action.value, reason=change.reason.value)
        step_id = await self.ledger.intend(intent, step)
        self.records[address] = intent
        return step_id, intent

    async def _distrust(self, address: Address) -> None:
        """Have everything looked at closely that refers to an id which is about to change."""
        holders = [
            holder
            for holder, entry in self.records.items()
            if holder != address and entry.stamp is not None and _refers(entry, address, Side.N8N)
        ]
        if holders:
            await self.ledger.distrust(holders)
            for holder in holders:  # others may have written theirs meanwhile
                self.records[holder] = replace(self.records[holder], stamp=None)

    async def _carry_out(
        self, kind: AnyKind, change: Change, step_id: str, intent: Recorded
    ) -> _Finish:
        match change:
            case Change(action=Action.DISCARD, observed=Observed(object_id=str(old))):
                await kind.discard(self._n8n(), old)
                left = tuple(d for d in intent.deposed if d != old)
                entry = replace(intent, deposed=left, attempted=intent.attempted)
                return self._finish(step_id, entry, ())
            case Change(action=Action.REMOVE | Action.FORGET):
                return await self._remove(kind, change, step_id, intent)
            case Change(desired=Desired() as desired):
                return await self._write(kind, change, desired, (step_id, intent))
            case _:
                message = f"impossible change: {change.action} of {change.address}"
                raise ReconcilerError(message)

    async def _remove(
        self, kind: AnyKind, change: Change, step_id: str, intent: Recorded
    ) -> _Finish:
        object_id = change.observed.object_id if change.observed else None
        last = intent.payload if intent.attempted is None else intent.attempted
        owned = kind.traits.has_object and not _existing(last)  # else a person made it
        if owned and object_id is not None:
            await kind.remove(self._n8n(), object_id)
        kept = object_id if kind.keeps_removed else None
        gone = replace(intent, removed=True, object_id=kept, stamp=None, attempted=None)
        self.identities.bind(change.address, intent.row_id, kept)
        has_row = change.observed is not None and "row" in change.observed.payload
        columns = kind.retire(intent.row_id, intent.payload)
        row = RowWrite(table=kind.tables[0], row_id=intent.row_id, columns=columns)
        return self._finish(step_id, gone, (row,) if has_row and columns else ())

    async def _write(
        self, kind: AnyKind, change: Change, desired: Desired, intended: tuple[str, Recorded]
    ) -> _Finish:
        step_id, intent = intended
        self.identities.bind(
            change.address, intent.row_id, change.observed.object_id if change.observed else None
        )
        if change.action is Action.REPLACE:
            self.identities.bind(change.address, intent.row_id, None)
        object_: Object | None = None
        body: Object = {}
        if "n8n" in desired.payload and not _existing(desired.payload) and _object_side(change):
            body = self._wired(change.address, desired.payload, "n8n")
            written = await self._object(kind, change, body, (step_id, intent))
            object_ = await kind.publish(self._n8n(), written, body, self.label)
        entry = self._settled(desired, intent, change.observed)
        if object_ is not None:
            entry = replace(entry, object_id=str(object_["id"]), stamp=Stamp.of(object_))
        rows = await self._rows(kind, change.address, desired)
        if object_ is None:
            return self._finish(step_id, entry, rows)
        served, settle = object_, self._finish(step_id, entry, rows)

        async def confirmed() -> None:
            async with self.confirming:
                await kind.confirm(self._n8n(), served, body)
            await settle()

        return confirmed

    async def _object(
        self, kind: AnyKind, change: Change, body: Object, intended: tuple[str, Recorded]
    ) -> Written:
        """Create or update the object in n8n; a new one's id is recorded at once."""
        step_id, intent = intended
        known = None if change.action is Action.REPLACE else self.identities.object(change.address)
        if known is not None:
            stamp = change.observed.stamp if change.observed else None
            seen = Known(address=change.address, id=known, stamp=stamp, unset=_unset(change))
            return await kind.update(self._n8n(), seen, body)
        try:
            created = await kind.create(self._n8n(), change.address, body)
        except N8nUnreachable as error:
            error.hint = error.hint or "the next apply finds out whether it was created"
            raise
        object_id = str(created["id"])
        self.identities.bind(change.address, intent.row_id, object_id)
        known_now = replace(intent, object_id=object_id)
        await self.ledger.object_created(step_id, known_now)
        self.records[change.address] = known_now
        return Written(created)

    async def _rows(
        self, kind: AnyKind, address: Address, desired: Desired
    ) -> tuple[RowWrite, ...]:
        if "row" not in desired.payload:
            return ()
        row_id = self.identities.row(address)
        if kind.encrypts:
            home = Address(address.organization, "Organization", address.organization)
            await self.secrets.prepare(home.name, self.identities.row(home))
        tools = Tools(
            encrypt=lambda text: self.secrets.encrypt(address, row_id, text),
            now=self.clock.now(),
        )
        tables = kind.columns(self._wired(address, desired.payload, "row"), tools)
        return tuple(
            RowWrite(table=table, row_id=row_id, columns=tables[table])
            for table in kind.tables
            if table in tables
        )

    def _wired(self, address: Address, payload: Payload, side: str) -> Object:
        flat = flatten(payload[side])
        fields = {leaf: path[-1] for path, leaf in flat.items() if isinstance(leaf, Sealed)}
        body = wire(
            payload[side],
            self.identities.identify,
            lambda sealed: self.secrets.reveal(address, sealed, fields[sealed]),
        )
        assert isinstance(body, dict)
        return body

    def _settled(self, desired: Desired, before: Recorded, seen: Observed | None) -> Recorded:
        return replace(
            before,
            address=desired.address,
            payload=remember(desired.payload, before.payload),
            attempted=None,
            protected=desired.protected,
            removed=False,
            revision=self.revision,
            object_id=seen.object_id if seen and seen.object_id else before.object_id,
            stamp=seen.stamp if seen else before.stamp,
        )

    def _finish(self, step_id: str, entry: Recorded, rows: Sequence[RowWrite]) -> _Finish:
        async def settle() -> None:
            await self.ledger.settle(step_id, entry, rows)
            self.records[entry.address] = entry

        return settle

    def _n8n(self) -> Api:
        if self.api is None:
            message = "no n8n is configured"
            raise N8nUnreachable(message, hint="set N8N_URL and N8N_API_KEY")
        return self.api


def _unset(change: Change) -> tuple[tuple[str, ...], ...]:
    """Fields of n8n's side that we applied once and that are declared no more."""
    return tuple(f.path[1:] for f in change.fields if f.path[:1] == ("n8n",) and f.after is MISSING)


class _Finish(Protocol):
    async def __call__(self) -> None: ...


def _existing(payload: Payload) -> bool:
    side = payload.get("n8n")
    return isinstance(side, dict) and "existing" in side


def _refers(entry: Recorded, address: Address, side: Side | None = None) -> bool:
    found = (r for payload in (entry.payload, entry.attempted or {}) for r in references(payload))
    return any(ref.address == address and side in {None, ref.side} for ref in found)


def _object_side(change: Change) -> bool:
    """Whether n8n has to hear of *change* at all."""
    if change.observed is None or "n8n" not in change.observed.payload:
        return True
    if change.action in {Action.REPLACE, Action.ADOPT} or change.reason is Reason.RELINKED:
        return True
    return any(f.path[:1] == ("n8n",) for f in change.fields)
