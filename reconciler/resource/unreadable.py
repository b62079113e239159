"""JSON that PostgreSQL keeps and Python can't read: its place is taken by a text that says why.

Another application may have stored a number of ten thousand digits, or lists in lists in lists.
Such a value must stop neither those who read many rows nor the rows beside it. Not here: reading.
"""

from __future__ import annotations

from typing import Self


class Unreadable(str):
    """What is shown instead; *reason* alone may stand in a sentence."""

    __slots__ = ("reason",)
    reason: str

    def __new__(cls, reason: str) -> Self:
        """Make the text of *reason*."""
        made = super().__new__(cls, f"unreadable: {reason}")
        made.reason = reason
        return made
