"""JSON that PostgreSQL keeps and Python can't read: its place is taken by a text that says why.

Another application may have stored a number of ten thousand digits, or lists in lists in lists.
Such a value must stop neither those who read many rows nor the rows beside it. Not here: reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Self

MAX_DEPTH: Final = 100  # of what is compared with specs, which go half as deep


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
    layer = [value]
    for _ in range(MAX_DEPTH):
        layer = [child for one in layer for child in _children(one)]
        if not layer:
            return value
    return Unreadable("it is nested too deeply")


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
