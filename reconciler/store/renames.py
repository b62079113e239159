"""Which names a resource had before: the journal tells, for a way back over a renaming."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from reconciler.resource.address import Address
from reconciler.store.database import Database
from reconciler.store.writes import StepIntent

ACTION = "move"

_FORMER = b"""
SELECT detail->>'row_id', organization, kind, detail->>'from'
FROM reconciler.operation_steps
WHERE organization = ANY(%(organizations)s) AND kind = ANY(%(kinds)s) AND action = %(action)s
    AND detail->>'row_id' = ANY(%(rows)s)
ORDER BY intended_at DESC, ordinal DESC
"""


def step(operation: str, ordinal: int, old: Address, new: Address, row_id: str) -> StepIntent:
    """Say in the journal that the entry of *row_id* gets another name; its kind stays."""
    return StepIntent(
        operation=operation,
        ordinal=ordinal,
        address=new,
        action=ACTION,
        reason=f"renamed from {old.name}",
        detail={"from": old.name, "row_id": row_id},
    )


async def former_names(
    database: Database, entries: Mapping[Address, str]
) -> Mapping[str, Sequence[Address]]:
    """Tell which addresses *entries* (address to row id) had before, by row id, the last first."""
    if not entries:
        return {}
    values: dict[str, Collection[str]] = {
        "organizations": sorted({address.organization for address in entries}),
        "kinds": sorted({address.kind for address in entries}),
        "rows": sorted(entries.values()),
    }
    found: dict[str, list[Address]] = {}
    async with database.transaction() as connection:
        cursor = await connection.execute(_FORMER, {**values, "action": ACTION})
        async for row_id, organization, kind, name in cursor:
            found.setdefault(row_id, []).append(Address(organization, kind, name))
    return found
