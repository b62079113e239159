"""Holds: who lets what wait, why, and until when. Not here: what they mean for a plan."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from reconciler.plan.restraint import EVERYTHING, Hold, Place, What
from reconciler.store.database import Connection, Database

_COLUMNS = """id, organization, kind, name, held, reason, created_by, created_at, until, pinned,
       rolled_back_from"""

_OPEN = f"""
SELECT {_COLUMNS} FROM reconciler.holds
WHERE released_at IS NULL AND (until IS NULL OR until > clock_timestamp())
ORDER BY created_at, id
""".encode()

_PLACE = f"""
INSERT INTO reconciler.holds (
    id, organization, kind, name, held, reason, created_by, until, pinned, rolled_back_from
) VALUES (
    %(id)s, %(organization)s, %(kind)s, %(name)s, %(held)s, %(reason)s, %(by)s,
    clock_timestamp() + %(lasts)s::interval, %(pinned)s, %(rolled_back_from)s
)
RETURNING {_COLUMNS}
""".encode()

_RELEASE = f"""
UPDATE reconciler.holds SET released_at = clock_timestamp(), released_by = %(by)s
WHERE released_at IS NULL AND (until IS NULL OR until > clock_timestamp())
    AND organization = %(organization)s AND kind IS NOT DISTINCT FROM %(kind)s
    AND name IS NOT DISTINCT FROM %(name)s
    AND CASE WHEN pinned IS NULL THEN held <@ %(what)s::text[] ELSE %(rollback)s END
RETURNING {_COLUMNS}
""".encode()

# A hold of more than that goes on with the rest; what is returned is what ended.
_NARROW = f"""
WITH narrowed AS (
    UPDATE reconciler.holds
    SET held = ARRAY(SELECT unnest(held) EXCEPT SELECT unnest(%(what)s::text[]))
    WHERE released_at IS NULL AND (until IS NULL OR until > clock_timestamp())
        AND organization = %(organization)s AND kind IS NOT DISTINCT FROM %(kind)s
        AND name IS NOT DISTINCT FROM %(name)s AND pinned IS NULL AND held && %(what)s::text[]
    RETURNING id
)
SELECT {_COLUMNS} FROM reconciler.holds WHERE id IN (SELECT id FROM narrowed)
""".encode()

# A resource that is renamed stays held.
FOLLOW = b"""
UPDATE reconciler.holds SET name = %(new_name)s
WHERE released_at IS NULL AND organization = %(organization)s AND kind = %(kind)s
    AND name = %(name)s
"""

_RELEASE_PIN = b"""
UPDATE reconciler.holds SET released_at = clock_timestamp(), released_by = %(by)s
WHERE released_at IS NULL AND pinned IS NOT NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What `unhold` ends: which words of holds, and whether a rollback."""

    what: frozenset[What] = frozenset(What)
    rollback: bool = True


class Holds:
    """`reconciler.holds`; times are the database's."""

    def __init__(self, database: Database, *, new_id: Callable[[], str]) -> None:
        self._database = database
        self._new_id = new_id

    async def open(self) -> tuple[Hold, ...]:
        """Load the holds that count now, oldest first."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(_OPEN)
            return tuple(_hold(row) for row in await cursor.fetchall())

    async def place(
        self,
        place: Place,
        what: Collection[What],
        *,
        by: str,
        reason: str,
        lasts: timedelta | None,
    ) -> Hold:
        """Hold *what* at *place*; *lasts* None: until it is taken back."""
        values = {**_where(place), "held": sorted(what), "by": by, "reason": reason, "lasts": lasts}
        async with self._database.transaction() as connection:
            return await self._insert(connection, values)

    async def pin(
        self,
        revision: str,
        *,
        instead_of: str | None,
        by: str,
        reason: str,
        lasts: timedelta | None,
    ) -> Hold:
        """Let *revision* apply instead of newer ones; it takes the place of an earlier rollback."""
        values = {**_where(Place()), "held": [What.APPLY], "by": by, "reason": reason}
        values |= {"lasts": lasts, "pinned": revision, "rolled_back_from": instead_of}
        async with self._database.transaction() as connection:
            await connection.execute(_RELEASE_PIN, {"by": by})
            return await self._insert(connection, values)

    async def release(self, place: Place, ends: Ends | None = None, *, by: str) -> tuple[Hold, ...]:
        """End what *ends* names (None: all) of the open holds of exactly *place*; returns that."""
        ends = ends or Ends()
        values = {**_where(place), "by": by, "what": sorted(ends.what), "rollback": ends.rollback}
        async with self._database.transaction() as connection:
            cursor = await connection.execute(_RELEASE, values)
            ended = [_hold(row) for row in await cursor.fetchall()]
            cursor = await connection.execute(_NARROW, values)
            partly = [_hold(row) for row in await cursor.fetchall()]
        return (*ended, *(replace(hold, what=hold.what & ends.what) for hold in partly))

    async def _insert(self, connection: Connection, values: dict[str, Any]) -> Hold:
        nothing = {"pinned": None, "rolled_back_from": None, "id": self._new_id()}
        cursor = await connection.execute(_PLACE, {**nothing, **values})
        row = await cursor.fetchone()
        assert row is not None
        return _hold(row)


def _where(place: Place) -> dict[str, Any]:
    organization = EVERYTHING if place.organization is None else place.organization
    return {"organization": organization, "kind": place.kind, "name": place.name}


def _hold(row: tuple[Any, ...]) -> Hold:
    return Hold(
        id=row[0],
        place=Place(
            organization=None if row[1] == EVERYTHING else row[1], kind=row[2], name=row[3]
        ),
        what=frozenset(What(word) for word in row[4]),
        reason=row[5],
        by=row[6],
        since=row[7],
        until=row[8],
        pinned=row[9],
        rolled_back_from=row[10],
    )
