"""Which names records had before: the journal tells, for a way back over a renaming and forth again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import LiteralString

from reconciler.resource.address import Address
from reconciler.store.database import Database
from reconciler.store.operations import IS_WHOLE, WHOLE
from reconciler.store.writes import StepIntent

ACTION = "move"

_SINCE = f"""
SELECT DISTINCT ON (detail->>'row_id')
    detail->>'row_id', organization, kind, detail->>'from'
FROM reconciler.operation_steps
WHERE action = 'move' AND intended_at > (
    SELECT finished_at FROM reconciler.operations
    WHERE git_revision = %(revision)s AND {IS_WHOLE} ORDER BY started_at DESC LIMIT 1
)
ORDER BY detail->>'row_id', intended_at, ordinal
""".encode()


def _goes_back(alias: LiteralString) -> LiteralString:
    """Write the condition that an operation was a rollback, or worked under one."""
    return f"""({alias}.kind = 'rollback' OR EXISTS (
        SELECT FROM reconciler.holds AS h
        WHERE h.pinned IS NOT NULL AND h.created_at <= {alias}.started_at
            AND (h.released_at IS NULL OR h.released_at > {alias}.started_at)
            AND (h.until IS NULL OR h.until > {alias}.started_at)
    ))"""


# What newer specs have been applied over needs no other names any more.
_BACK = f"""
SELECT s.detail->>'row_id', s.organization, s.kind, s.detail->>'from', {_goes_back("o")}
FROM reconciler.operation_steps AS s JOIN reconciler.operations AS o ON o.id = s.operation_id
WHERE s.action = 'move' AND NOT EXISTS (
    SELECT FROM reconciler.operations AS w
    WHERE w.started_at > s.intended_at AND {IS_WHOLE} AND NOT {_goes_back("w")}
        AND (w.organizations = '{{}}' OR s.organization = ANY(w.organizations))
)
ORDER BY s.intended_at DESC, s.ordinal DESC
""".encode()


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


async def names_at(database: Database, revision: str | None) -> Mapping[str, Address]:
    """Tell how records were called when *revision* was applied last, by row id.

    Only those that were renamed since; none when it was never applied.
    """
    async with database.transaction() as connection:
        values = {"revision": revision, "whole": list(WHOLE)}
        cursor = await connection.execute(_SINCE, values)
        return {row[0]: Address(*row[1:]) async for row in cursor}


async def names_before_rollback(database: Database) -> Mapping[str, Address]:
    """Tell how the newest specs that were applied call what a rollback renamed, by row id."""
    found: dict[str, Address] = {}
    ended: set[str] = set()
    async with database.transaction() as connection:
        cursor = await connection.execute(_BACK, {"whole": list(WHOLE)})
        async for row_id, organization, kind, name, back in cursor:
            if not back:
                ended.add(row_id)
            elif row_id not in ended:  # of several ways back the first one tells
                found[row_id] = Address(organization, kind, name)
    return found
