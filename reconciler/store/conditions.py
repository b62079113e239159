"""The conditions of resources, all of a turn in one statement. Not here: what they say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from reconciler.resource.address import Address
from reconciler.resource.payload import Object
from reconciler.store.database import Database

_SAVE = b"""
UPDATE reconciler.resources AS r SET conditions = n.conditions
FROM (
    SELECT * FROM unnest(
        %(organizations)s::text[], %(kinds)s::text[], %(names)s::text[], %(conditions)s::jsonb[]
    )
) AS n (organization, kind, name, conditions)
WHERE r.organization = n.organization AND r.kind = n.kind AND r.name = n.name
    AND r.conditions IS DISTINCT FROM n.conditions
RETURNING 1
"""

_LOAD = b"""
SELECT organization, kind, name, conditions FROM reconciler.resources WHERE conditions <> '[]'
"""


class Conditions:
    """`reconciler.resources.conditions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> dict[Address, list[Object]]:
        """Load the conditions of all entries that have any."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(_LOAD)
            return {Address(*row[:3]): row[3] for row in await cursor.fetchall()}

    async def save(self, conditions: Mapping[Address, Sequence[Object]]) -> int:
        """Replace the conditions of these entries; returns how many were others before."""
        if not conditions:
            return 0
        values = {
            "organizations": [address.organization for address in conditions],
            "kinds": [address.kind for address in conditions],
            "names": [address.name for address in conditions],
            "conditions": [json.dumps(list(found)) for found in conditions.values()],
        }
        return len(await self._database.execute(_SAVE, values))
