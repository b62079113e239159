"""The master keys: ENCRYPTION_KEY and its predecessors.

A master key encrypts nothing but data keys; everything else is derived from it
with HKDF, one purpose each. Only the seed's own form uses it directly, because
the seed does. Not here: reading settings (`reconciler.settings`), and the data
keys of the organizations (`reconciler.vault.data_keys`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from reconciler.errors import ConfigError

_FORM = re.compile(r"[0-9a-f]{64}")
_MIN_DISTINCT = 16  # of 32 bytes; random keys have about 30, fewer than 16 in 1 of 10^13
_HINT = "make one with: openssl rand -hex 32"


@dataclass(frozen=True, slots=True)
class MasterKey:
    """One master key; *id* is derived from it and may be shown."""

    id: str
    raw: bytes = field(repr=False)

    @classmethod
    def of(cls, raw: bytes) -> Self:
        """Name the 32 bytes *raw*."""
        return cls("m" + _expand(raw, "key id", 6).hex(), raw)

    def derive(self, purpose: str, length: int = 32) -> bytes:
        """Derive *length* bytes for one *purpose*; other purposes tell nothing about them."""
        return _expand(self.raw, purpose, length)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The current master key and the earlier ones that are still read."""

    current: MasterKey
    old: tuple[MasterKey, ...] = ()

    @classmethod
    def parse(cls, key: str, old: str = "") -> Self:
        """Read ENCRYPTION_KEY and ENCRYPTION_KEYS_OLD; raises ConfigError without showing them."""
        current = _parse(key, "ENCRYPTION_KEY")
        parts = [part.strip() for part in old.split(",")] if old.strip() else []
        earlier = (_parse(part, "ENCRYPTION_KEYS_OLD") for part in parts)
        return cls(current, tuple(key for key in earlier if key != current))

    @property
    def keys(self) -> tuple[MasterKey, ...]:
        """All keys, the current one first."""
        return (self.current, *self.old)


def _parse(text: str, setting: str) -> MasterKey:
    if _FORM.fullmatch(text) is None:
        message = f"{setting} is not a key: exactly 64 hex digits in lower case are needed"
        raise ConfigError(message, hint=_HINT)
    raw = bytes.fromhex(text)
    weakness = _weakness(raw)
    if weakness is not None:
        message = f"{setting} is not a random key: {weakness}"
        raise ConfigError(message, hint=_HINT)
    return MasterKey.of(raw)


def _weakness(raw: bytes) -> str | None:
    """Say why *raw* can't be the outcome of a random generator, if it can't."""
    if len(set(raw)) < _MIN_DISTINCT:
        return "its bytes repeat"
    steps = {(after - before) % 256 for before, after in pairwise(raw)}
    return "its bytes follow a pattern" if len(steps) == 1 else None


def _expand(raw: bytes, purpose: str, length: int) -> bytes:
    info = f"reconciler/v1/{purpose}".encode()
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(raw)
