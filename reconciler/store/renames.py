"""Which names records had before: the journal tells, for a way back over a renaming and forth again."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.resource.address import Address
from reconciler.store.database import Database
from reconciler.store.operations import IS_WHOLE, WHOLE
from reconciler.store.writes import StepIntent

ACTION = "move"

_SINCE = f"""
SELECT DISTINCT ON (detail->>'row_id')
    detail->>'row_id', organization, kind, detail->>'from'
FROM reconciler.operation_steps
WHERE action = 'move' AND detail IS NOT NULL AND intended_at > (
    SELECT finished_at FROM reconciler.operations
    WHERE git_revision = %(revision)s AND {IS_WHOLE} ORDER BY started_at DESC LIMIT 1
)
ORDER BY detail->>'row_id', intended_at, ordinal
""".encode()

# Ways back are rare, and most are over: newer specs have been applied to their organization.
_BACK = b"""
WITH back AS MATERIALIZED (
    SELECT s.detail->>'row_id' AS row_id, min(s.intended_at) AS since
    FROM reconciler.operation_steps AS s
    WHERE s.action = 'move' AND s.detail->>'back' = 'true' AND NOT EXISTS (
        SELECT FROM reconciler.operations AS w
        WHERE w.started_at > s.intended_at AND w.summary->'forward' ? s.organization
    )
    GROUP BY s.detail->>'row_id'
)
SELECT b.row_id, s.organization, s.kind, s.detail->>'from', s.detail->>'back' = 'true'
FROM back AS b JOIN reconciler.operation_steps AS s ON s.intended_at >= b.since
WHERE s.action = 'move' AND s.detail->>'row_id' = b.row_id
ORDER BY s.intended_at DESC, s.ordinal DESC
"""


def step(
    operation: str, ordinal: int, old: Address, new: Address, row_id: str, *, back: bool
) -> StepIntent:
    """Say in the journal that the entry of *row_id* gets another name; its kind stays.

    *back*: it is one of those that earlier specs know it by.
    """
    return StepIntent(
        operation=operation,
        ordinal=ordinal,
        address=new,
        action=ACTION,
        reason=f"renamed from {old.name}",
        detail={"from": old.name, "row_id": row_id, **({"back": True} if back else {})},
    )


async def names_at(database: Database, revision: str | None) -> Mapping[str, Address]:
    """Tell how records were called when *revision* was applied last, by row id.

    Only those that were renamed since; none when it was never applied.
    """
    async with database.transaction() as connection:
        values = {"revision": revision, "whole": list(WHOLE)}
        cursor = await connection.execute(_SINCE, values)
        return {row[0]: Address(*row[1:]) async for row in cursor}


async def names_before_rollback(database: Database) -> Mapping[str, Address]:
    """Tell how the newest specs that were applied call what a rollback renamed, by row id.

    Operations that lead forward say so in their summary, with the organizations that they are of.
    """
    found: dict[str, Address] = {}
    ended: set[str] = set()
    async with database.transaction() as connection:
        cursor = await connection.execute(_BACK)
        async for row_id, organization, kind, name, back in cursor:
            if not back:
                ended.add(row_id)
            elif row_id not in ended:  # of several ways back the first one tells
                found[row_id] = Address(organization, kind, name)
    return found
