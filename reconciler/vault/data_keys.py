"""Data keys: each organization has its own, wrapped by a master key.

They are values handed in and out: the `DataKeys` port stores them wrapped, a
`Box` holds them open in memory for one run. Not here: the table (`reconciler.store`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.vault.envelope import (
    EnvelopeError,
    Owner,
    is_seed_form,
    key_id_of,
    seal,
    unseal,
    unseal_seed,
)
from reconciler.vault.keyring import Keyring

_WRAP = "wrap data keys"  # the purpose under which a master key wraps


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """A data key as it is stored: *wrapped* is an envelope, *organization* a row id."""

    id: str
    organization: str
    wrapped: str
    active: bool = True


class DataKeys(Protocol):
    """Where wrapped data keys are kept."""

    async def load(self, organization: str) -> Sequence[WrappedKey]:
        """Give all data keys of *organization*, retired ones too."""
        raise NotImplementedError

    async def save(self, key: WrappedKey) -> None:
        """Store *key*, unless its organization already has an active one: that one stays."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Box:
    """Seals and opens the secrets of one organization."""

    organization: str
    active: str
    keys: Mapping[str, bytes] = field(repr=False)
    masters: tuple[bytes, ...] = field(repr=False)

    def seal(self, credential: str, text: str) -> str:
        """Encrypt *text* for the row *credential*."""
        owner = Owner(self.organization, credential)
        return seal(text.encode(), owner, self.active, self.keys[self.active])

    def open(self, credential: str, sealed: str) -> str:
        """Decrypt what is stored in the row *credential*, in our form or in the seed's.

        Raises EnvelopeError.
        """
        owner = Owner(self.organization, credential)
        if is_seed_form(sealed):
            plain = unseal_seed(sealed, owner, self.masters)
        else:
            plain = unseal(sealed, owner, self.keys)
        try:
            return plain.decode()
        except UnicodeDecodeError:
            message = f"the stored secret of {credential} in {self.organization} is not text"
            raise EnvelopeError(message) from None

    def is_current(self, sealed: str) -> bool:
        """Whether *sealed* is in our form and under the active key; if not, write it again."""
        return key_id_of(sealed) == self.active


async def open_box(keyring: Keyring, data_keys: DataKeys, organization: str) -> Box:
    """Unwrap the data keys of *organization*, making its first one; raises EnvelopeError."""
    stored = await data_keys.load(organization)
    if not any(key.active for key in stored):
        await data_keys.save(new_data_key(keyring, organization))
        # Read again: where two processes were first, the one that was stored is everybody's.
        stored = await data_keys.load(organization)
    keys = {key.id: unwrap(keyring, key) for key in stored}
    active = next(key.id for key in stored if key.active)
    return Box(organization, active, keys, tuple(master.raw for master in keyring.keys))


def new_data_key(keyring: Keyring, organization: str) -> WrappedKey:
    """Make a random data key, wrapped by the current master key."""
    key_id = "d" + os.urandom(6).hex()
    return wrap(keyring, organization, key_id, os.urandom(32))


def wrap(keyring: Keyring, organization: str, key_id: str, key: bytes) -> WrappedKey:
    """Wrap *key* by the current master key."""
    master = keyring.current
    wrapped = seal(key, Owner(organization, key_id), master.id, master.derive(_WRAP))
    return WrappedKey(id=key_id, organization=organization, wrapped=wrapped)


def unwrap(keyring: Keyring, key: WrappedKey) -> bytes:
    """Unwrap *key* with whichever master key wrapped it; raises EnvelopeError."""
    masters = {master.id: master.derive(_WRAP) for master in keyring.keys}
    if key_id_of(key.wrapped) not in masters:
        message = f"the data key {key.id} of {key.organization} was wrapped by another master key"
        hint = "ENCRYPTION_KEY was changed: put the earlier key into ENCRYPTION_KEYS_OLD"
        raise EnvelopeError(message, hint=hint)
    return unseal(key.wrapped, Owner(key.organization, key.id), masters)
