"""Ids of rows: shaped as cuid2 makes them, random, unguessable, safe to publish to one caller.

cuid2 hashes time, counter and host into its letters because browsers may lack good randomness; here
the system's is at hand, and an id costs a tenth of the time.
"""

from __future__ import annotations

from os import urandom
from typing import Final

_LETTERS: Final = b"abcdefghijklmnopqrstuvwxyz"
_DIGITS: Final = b"0123456789" + _LETTERS
_LENGTH: Final = 24


def _table(signs: bytes) -> tuple[bytes, bytes]:
    """Say which sign a random byte becomes, and which bytes none of them, so that all are equal."""
    fair = 256 // len(signs) * len(signs)
    return bytes(signs[byte % len(signs)] for byte in range(256)), bytes(range(fair, 256))


_FIRST: Final = _table(_LETTERS)
_REST: Final = _table(_DIGITS)


def new_id() -> str:
    """Make an id: a letter, then 23 letters and digits."""
    while True:  # more bytes than needed, so that it is hardly ever done twice
        noise = urandom(48)
        first, rest = noise[:8].translate(*_FIRST), noise[8:].translate(*_REST)
        if first and len(rest) >= _LENGTH - 1:
            return (first[:1] + rest[: _LENGTH - 1]).decode()
