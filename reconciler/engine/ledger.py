"""The engine's `Ledger` on PostgreSQL: binds inventory, rows and journal to one operation."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence

from reconciler.clock import Clock
from reconciler.engine.ports import Ledger, RowWrite, Step
from reconciler.kinds.kind import Row
from reconciler.plan.state import Recorded
from reconciler.resource.address import Address
from reconciler.store import renames, writes
from reconciler.store.inventory import Inventory
from reconciler.store.operations import Operations
from reconciler.store.rows import Rows


class StoreLedger(Ledger):
    """Writes what the engine does under one operation; None reads only."""

    def __init__(
        self,
        inventory: Inventory,
        rows: Rows,
        operations: Operations,
        clock: Clock,
        operation: str | None = None,
        *,
        back: bool = False,
    ) -> None:
        """*back*: the operation leads to earlier specs, which may know things by other names."""
        self._inventory = inventory
        self._rows = rows
        self._operations = operations
        self._clock = clock
        self._operation = operation
        self._back = back
        self._ordinals = itertools.count(1)

    async def recorded(self) -> dict[Address, Recorded]:
        """Load the inventory, tombstones included."""
        return await self._inventory.load()

    async def rows(self, table: str, ids: Collection[str]) -> Mapping[str, Row]:
        """Load the rows of *table* with these ids."""
        return await self._rows.select_rows(table, ids)

    async def intend(self, recorded: Recorded, step: Step) -> str:
        """Write down what is about to be tried; return the step's id."""
        ordinal = next(self._ordinals)
        intent = writes.StepIntent(
            operation=self._running(),
            ordinal=ordinal,
            address=step.address,
            action=step.action,
            reason=step.reason,
        )
        await self._inventory.intend(recorded, intent)
        return str(ordinal)

    async def object_created(self, step_id: str, recorded: Recorded) -> None:
        """Remember the id that n8n gave to a new object."""
        del step_id  # the inventory finds the entry by its address
        assert recorded.object_id is not None
        await self._inventory.object_created(recorded.address, recorded.object_id)

    async def settle(self, step_id: str, recorded: Recorded, rows: Sequence[RowWrite]) -> None:
        """Record the outcome: the rows, the inventory and the step in one transaction."""
        outcome = writes.StepOutcome(operation=self._running(), ordinal=int(step_id))
        await self._inventory.settle(
            recorded,
            [writes.RowWrite(table=r.table, row_id=r.row_id, columns=r.columns) for r in rows],
            outcome,
            now=self._clock.now(),
        )

    async def moved(self, old: Address, new: Address, others: Sequence[Recorded]) -> None:
        """Give an inventory entry its new address, and rewrite those that refer to it."""
        row_id = next(entry.row_id for entry in others if entry.address == new)
        ordinal = next(self._ordinals)
        step = renames.step(self._running(), ordinal, old, new, row_id, back=self._back)
        await self._inventory.move(old, new, others, step, now=self._clock.now())

    async def refresh(self, recorded: Sequence[Recorded]) -> None:
        """Bring inventory entries up to date though nothing had to be changed."""
        if recorded:
            await self._inventory.settle_all(recorded, now=self._clock.now())

    async def distrust(self, addresses: Sequence[Address]) -> None:
        """Forget the version marks of entries, so that they are looked at closely next time."""
        await self._inventory.distrust(addresses)

    async def failed(self, step_id: str, error: str) -> None:
        """Record that a step failed, and why."""
        await self._operations.step_failed(self._running(), int(step_id), error)

    def _running(self) -> str:
        assert self._operation is not None, "reading only"
        return self._operation
