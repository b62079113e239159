"""A `Ledger` in memory: the inventory, the seed's rows with their keys, the journal.

`tests/integration/test_ledger` holds it against PostgreSQL. Records never change in place,
so whoever keeps one keeps it as it was. Not here: users' own rows; people are
e-mail addresses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.engine.ports import Ledger, RowWrite, Step
from reconciler.errors import ConflictError, DatabaseLost, DatabaseUnreachable, ReconcilerError
from reconciler.kinds.kind import Row
from reconciler.plan.state import Recorded
from reconciler.resource.address import Address
from reconciler.vault.data_keys import DataKeys, WrappedKey
from tests.doubles.fate import Blow, Fate

Tables = dict[str, dict[str, dict[str, Any]]]

# table -> (column, table it refers to, whether a deletion there deletes here)
_KEYS: Mapping[str, tuple[tuple[str, str, bool], ...]] = {
    "memberships": (("organization_id", "organization", True),),
    "automations": (("orgId", "organization", False),),
    "automation_runtime": (("automation_id", "automations", True),),
    "workflow_triggers": (
        ("orgId", "organization", False),
        ("automationId", "automations", True),
    ),
    "integration_credentials": (("orgId", "organization", False),),
}
_UNIQUE: Mapping[str, tuple[str, ...]] = {
    "workflow_triggers": ("automationId", "name"),
    "integration_credentials": ("user", "provider", "credentialName"),
}
_INTEGERS = frozenset({"jitter", "timeout_seconds", "queue_deadline_seconds"})
_OWN_KEY = {"memberships": "organization_id", "automation_runtime": "automation_id"}
_BESIDE: Mapping[str, Mapping[str, Any]] = {
    "automation_runtime": {"running": 0, "breaker": "CLOSED"},
    "workflow_triggers": {"nextFireAt": None},
}  # columns that the kinds do not write


@dataclass(slots=True)
class MemoryLedger(Ledger):
    """One PostgreSQL; *fate* is that of the process that uses it now."""

    fate: Fate = field(default_factory=Fate)
    inventory: dict[Address, Recorded] = field(default_factory=dict)
    tables: Tables = field(default_factory=dict)
    steps: list[tuple[Step, str | None]] = field(default_factory=list)  # None: not ended
    writes: int = 0

    async def recorded(self) -> dict[Address, Recorded]:
        await self.fate.pause()
        return dict(self.inventory)

    async def rows(self, table: str, ids: Collection[str]) -> Mapping[str, Row]:
        await self.fate.pause()
        stored = self.tables.get(table, {})
        if table == "memberships":
            return {id_: {"members": stored[id_]["members"]} for id_ in ids if id_ in stored}
        return {id_: dict(stored[id_]) for id_ in ids if id_ in stored}

    async def intend(self, recorded: Recorded, step: Step) -> str:
        await self.fate.pause()
        with self._effect():
            self._intend(recorded)
            self.steps.append((step, None))
            return str(len(self.steps))

    async def object_created(self, step_id: str, recorded: Recorded) -> None:
        await self.fate.pause()
        with self._effect():
            entry = self._entry(recorded.address)
            self.inventory[recorded.address] = replace(entry, object_id=recorded.object_id)

    async def settle(self, step_id: str, recorded: Recorded, rows: Sequence[RowWrite]) -> None:
        await self.fate.pause()
        with self._effect():
            for row in rows:
                self._check(row)
            for row in rows:
                self._upsert(row)
            self._put(recorded)
            self._end(step_id, "done")

    async def moved(self, old: Address, new: Address, others: Sequence[Recorded]) -> None:
        await self.fate.pause()
        with self._effect():
            if new in self.inventory:
                raise ConflictError(f"{new} is taken")
            self.inventory[new] = replace(self._entry(old), address=new)
            del self.inventory[old]
            for other in others:
                self._put(other)

    async def refresh(self, recorded: Sequence[Recorded]) -> None:
        await self.fate.pause()
        if recorded:
            with self._effect():
                for entry in recorded:
                    self._put(entry)

    async def distrust(self, addresses: Sequence[Address]) -> None:
        await self.fate.pause()
        with self._effect():
            for address in addresses:
                self.inventory[address] = replace(self._entry(address), stamp=None)

    async def failed(self, step_id: str, error: str) -> None:
        await self.fate.pause()
        with self._effect():
            self._end(step_id, error)

    @contextmanager
    def _effect(self) -> Iterator[None]:
        blow = self.fate.enter()
        if blow is Blow.LOST_BEFORE:
            raise DatabaseUnreachable("PostgreSQL is gone")
        if blow is Blow.REFUSED:
            raise ReconcilerError("PostgreSQL refuses it")
        yield
        self.writes += 1
        self.fate.leave(blow)
        if blow in {Blow.LOST_AFTER, Blow.BROKEN_AFTER}:
            raise DatabaseLost("PostgreSQL is gone during a commit")

    # The inventory.

    def _intend(self, recorded: Recorded) -> None:
        before = self.inventory.get(recorded.address)
        if before is not None:
            recorded = replace(recorded, payload=before.payload, revision=before.revision)
        self._put(recorded)

    def _put(self, recorded: Recorded) -> None:
        before = self.inventory.get(recorded.address)
        if before is not None and before.row_id != recorded.row_id:
            raise ConflictError(f"{recorded.address} is recorded with another id")
        others = (r for a, r in self.inventory.items() if a != recorded.address)
        assert before or all(r.row_id != recorded.row_id for r in others), "row ids are unique"
        self.inventory[recorded.address] = recorded

    def _entry(self, address: Address) -> Recorded:
        if address not in self.inventory:
            raise ConflictError(f"{address} is no longer recorded")
        return self.inventory[address]

    def _end(self, step_id: str, outcome: str) -> None:
        step, before = self.steps[int(step_id) - 1]
        assert before is None, "a step ends once"
        self.steps[int(step_id) - 1] = step, outcome

    # The rows.

    def _check(self, write: RowWrite) -> None:
        stored = self.tables.get(write.table, {})
        row = {**stored.get(write.row_id, {}), **write.columns}
        unique = _UNIQUE.get(write.table, ())
        if unique and any(
            all(None is not other[column] == row[column] for column in unique)
            for id_, other in stored.items()
            if id_ != write.row_id
        ):
            raise ConflictError(f"{write.table} already has a row like this")
        for column, target, _ in _KEYS.get(write.table, ()):
            if column in write.columns and write.columns[column] not in self.tables.get(target, {}):
                raise ConflictError(f"{write.table} refers to a row that is missing ({column})")

    def _upsert(self, write: RowWrite) -> None:
        stored = self.tables.setdefault(write.table, {})
        before = stored.get(write.row_id)
        if before is None:
            key = _OWN_KEY.get(write.table, "id")
            before = {key: write.row_id, **_BESIDE.get(write.table, {})}
        columns = {
            column: round(value) if column in _INTEGERS and value is not None else value
            for column, value in write.columns.items()
        }
        stored[write.row_id] = {**before, **columns}

    def delete(self, table: str, row_id: str) -> bool:
        """Delete a row by hand, with all that PostgreSQL deletes then; False: it is in use."""
        doomed: list[tuple[str, str]] = []
        waiting = [(table, row_id)]
        while waiting:
            at = waiting.pop()
            doomed.append(at)
            for other, keys in _KEYS.items():
                for column, target, cascades in keys:
                    if target != at[0]:
                        continue
                    found = [
                        (other, id_)
                        for id_, row in self.tables.get(other, {}).items()
                        if row[column] == at[1]
                    ]
                    if found and not cascades:
                        return False
                    waiting.extend(item for item in found if item not in doomed)
        for name, id_ in doomed:
            self.tables.get(name, {}).pop(id_, None)
        return True


@dataclass(slots=True)
class MemoryKeys(DataKeys):
    """The organizations' wrapped data keys."""

    keys: dict[str, WrappedKey] = field(default_factory=dict)

    async def load(self, organization: str) -> Sequence[WrappedKey]:
        return [self.keys[organization]] if organization in self.keys else []

    async def save(self, key: WrappedKey) -> None:
        self.keys.setdefault(key.organization, key)
