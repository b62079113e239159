"""What the engine needs from PostgreSQL, declared where it is used.

`reconciler.store` implements it; the property tests use one in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from reconciler.kinds.kind import Row
from reconciler.plan.state import Recorded
from reconciler.resource.address import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class RowWrite:
    """One row of the seed's tables to be written: only *columns* change."""

    table: str
    row_id: str
    columns: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of an operation, as it is recorded before the call to n8n."""

    address: Address
    action: str
    reason: str
    detail: Mapping[str, Any] = field(default_factory=dict)


class Ledger(Protocol):
    """The inventory, the seed's rows and the journal, each method one transaction."""

    async def recorded(self) -> dict[Address, Recorded]:
        """Load the inventory, tombstones included."""
        raise NotImplementedError

    async def rows(self, table: str, ids: Collection[str]) -> Mapping[str, Row]:
        """Load the rows of *table* with these ids, in the columns the kinds know."""
        raise NotImplementedError

    async def intend(self, recorded: Recorded, step: Step) -> str:
        """Write down what is about to be tried; return the step's id."""
        raise NotImplementedError

    async def object_created(self, step_id: str, recorded: Recorded) -> None:
        """Remember the id that n8n gave to a new object."""
        raise NotImplementedError

    async def settle(self, step_id: str, recorded: Recorded, rows: Sequence[RowWrite]) -> None:
        """Record the outcome: the rows, the inventory and the step in one transaction."""
        raise NotImplementedError

    async def moved(self, old: Address, new: Address, others: Sequence[Recorded]) -> None:
        """Give an inventory entry its new address and rewrite *others*, which refer to it.

        The moved entry is among them, at its new address.
        """
        raise NotImplementedError

    async def refresh(self, recorded: Sequence[Recorded]) -> None:
        """Bring inventory entries up to date though nothing had to be changed."""
        raise NotImplementedError

    async def distrust(self, addresses: Sequence[Address]) -> None:
        """Forget the version marks of entries, so that they are looked at closely next time."""
        raise NotImplementedError

    async def failed(self, step_id: str, error: str) -> None:
        """Record that a step failed, and why."""
        raise NotImplementedError
