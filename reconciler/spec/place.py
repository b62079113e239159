"""Where each value of a document stands in its text.

A tree beside the values: a scalar's place is one number (line and column packed
together), a container's place also knows those of its parts. Made for speed: a
run over thousands of good files builds these trees and never looks at them.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from reconciler.diagnostics import Mark

Path: TypeAlias = tuple[str | int, ...]
Position: TypeAlias = int  # line << _SHIFT | column, both from 0
Place: TypeAlias = (
    "Position | tuple[Position, dict[str, tuple[Position, Place]]] | tuple[Position, list[Place]]"
)

SHIFT: Final = 24  # a column fits: no file is larger than 16 MiB
_COLUMN: Final = (1 << SHIFT) - 1


def position(place: Place) -> Position:
    """Tell where the value at *place* begins."""
    return place if isinstance(place, int) else place[0]


def mark(path: str, at: Position) -> Mark:
    """Turn a position into a mark in the file *path*."""
    return Mark(path, (at >> SHIFT) + 1, (at & _COLUMN) + 1)


def find(place: Place, path: Path, *, key: bool = False) -> Position:
    """Follow *path* as far as it leads; with *key*, to the last key and not to its value."""
    at = position(place)
    for index, step in enumerate(path):
        if isinstance(place, int):
            return at
        _, parts = place
        if isinstance(parts, dict):
            entry = parts.get(str(step))
            if entry is None:
                return at
            at_key, place = entry
            at = at_key if key and index == len(path) - 1 else position(place)
        elif isinstance(step, int) and 0 <= step < len(parts):
            place = parts[step]
            at = position(place)
        else:
            return at
    return at
