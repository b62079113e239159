"""JSON that PostgreSQL keeps and Python can't read: its place is taken by a text that says why.

Another application may have stored a number of ten thousand digits, or lists in lists in lists.
Such a value must stop neither those who read many rows nor the rows beside it. Not here: reading.
"""

from __future__ import annotations

from typing import Any, Final, Self

from reconciler.resource.json_text import is_deeper

_MAX_LEVELS: Final = 99  # of what is compared with specs, which go half as deep


class Unreadable(str):
    """What is shown instead; *reason* alone may stand in a sentence."""

    __slots__ = ("reason",)
    reason: str

    def __new__(cls, reason: str) -> Self:
        """Make the text of *reason*."""
        made = super().__new__(cls, f"unreadable: {reason}")
        made.reason = reason
        return made


def bounded(value: Any) -> Any:
    """Give *value*, or why not where it goes deeper than those go who compare and show it."""
    return Unreadable("it is nested too deeply") if is_deeper(value, _MAX_LEVELS) else value
