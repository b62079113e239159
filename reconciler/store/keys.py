"""Where the vault's wrapped data keys are kept; their content is the vault's business."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.store.database import Database

_LOAD = b"""
SELECT id, organization_id, wrapped, state = 'active' FROM reconciler.encryption_keys
WHERE organization_id = %(organization)s
ORDER BY created_at DESC, id
"""

_SAVE = b"""
INSERT INTO reconciler.encryption_keys (id, organization_id, wrapped, state, retired_at)
VALUES (%(id)s, %(organization)s, %(wrapped)s,
        CASE WHEN %(active)s THEN 'active' ELSE 'retired' END,
        CASE WHEN %(active)s THEN NULL ELSE clock_timestamp() END)
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A data key, wrapped; *organization* is the id of the organization's row."""

    id: str
    organization: str
    wrapped: str
    active: bool = True


class KeyStore:
    """`reconciler.encryption_keys`: at most one active key per organization."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, organization: str) -> list[StoredKey]:
        """Load all keys of an organization, newest first."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(_LOAD, {"organization": organization})
            return [
                StoredKey(id=row[0], organization=row[1], wrapped=row[2], active=row[3])
                async for row in cursor
            ]

    async def save(self, key: StoredKey) -> None:
        """Add a key; an active key that is already there stays, and the new one is dropped."""
        async with self._database.transaction() as connection:
            values = {"id": key.id, "organization": key.organization}
            await connection.execute(
                _SAVE, {**values, "wrapped": key.wrapped, "active": key.active}
            )
