"""The vault's port on the store's table of wrapped data keys."""

from __future__ import annotations

from reconciler.store.keys import KeyStore, StoredKey
from reconciler.vault.data_keys import DataKeys, WrappedKey


class StoreDataKeys(DataKeys):
    """Keeps the wrapped data keys of organizations in PostgreSQL."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys

    async def load(self, organization: str) -> list[WrappedKey]:
        """Load all keys of *organization*."""
        stored = await self._keys.load(organization)
        return [
            WrappedKey(id=k.id, organization=k.organization, wrapped=k.wrapped, active=k.active)
            for k in stored
        ]

    async def save(self, key: WrappedKey) -> None:
        """Add a key."""
        await self._keys.save(
            StoredKey(
                id=key.id, organization=key.organization, wrapped=key.wrapped, active=key.active
            )
        )
