"""Ids of rows: shaped as cuid2 makes them, random, unguessable, safe to publish to one caller.

cuid2 hashes time, counter and host into its letters because browsers may lack good randomness; here
the system's is at hand, and an id costs a tenth of the time.
"""

from __future__ import annotations

import secrets
from typing import Final

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_DIGITS: Final = "0123456789" + _LETTERS
_PAIRS: Final = [first + second for first in _DIGITS for second in _DIGITS]
_BITS: Final = 160  # more than 24 characters hold, so that none is likelier than another


def new_id() -> str:
    """Make an id: a letter, then 23 letters and digits."""
    rest = secrets.randbits(_BITS)
    rest, letter = divmod(rest, len(_LETTERS))
    rest, digit = divmod(rest, len(_DIGITS))
    text = [_LETTERS[letter], _DIGITS[digit]]
    for _ in range(11):
        rest, pair = divmod(rest, len(_PAIRS))
        text.append(_PAIRS[pair])
    return "".join(text)
