"""The mark in the name of an n8n object that tells whose it is: short, and made of a row id."""

from __future__ import annotations

import hashlib
import re

LENGTH = 8
_RANDOM = re.compile(r"[a-z][a-z0-9]{23}")  # as we make them ourselves: 41 bits in 8 characters


def short_mark(row_id: str) -> str:
    """Give 8 letters and digits that stand for *row_id*.

    Ids of a host application may be long, short, or begin all alike: those are hashed.
    """
    if _RANDOM.fullmatch(row_id):
        return row_id[:LENGTH]
    return hashlib.sha256(row_id.encode()).hexdigest()[:LENGTH]
