"""Columns of text: as wide as they need to be, and on a terminal no wider than that."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import click

from reconciler.cli.output import is_terminal

_GAP = 2
_SHORTEST = 12  # of a column that is cut in the middle


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One way to show something; *room* is what its last column should have, if it needs that."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    room: int = 20
    cut: int = 0  # the column that is cut in the middle where all of it is too wide

    def widths(self) -> list[int]:
        """Give the width that each column needs; colour codes do not count."""
        lines = [self.head, *self.rows]
        return [max(_width(line[n]) for line in lines) for n in range(len(self.head))]

    def needs(self) -> int:
        """Give the width that it should have."""
        *before, last = self.widths()
        return sum(before) + _GAP * len(before) + min(last, self.room)

    def trimmed(self) -> Layout:
        """Leave the last column out if it says nothing."""
        if any(row[-1] for row in self.rows):
            return self
        return replace(self, head=self.head[:-1], rows=[row[:-1] for row in self.rows])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out *rows* below *head*; on a terminal the last column is cut."""
    return _written(Layout(head=head, rows=rows), _columns())


def fitting(*layouts: Layout) -> str:
    """Lay out the first of *layouts* that the terminal is wide enough for, or cut the last one.

    Where no terminal is, the first one: all of it.
    """
    width = _columns()
    if width is None:
        return _written(layouts[0], None)
    trimmed = [one.trimmed() for one in layouts]
    fits = next((one for one in trimmed if one.needs() <= width), None)
    return _written(fits or _narrowed(trimmed[-1], width), width)


def _narrowed(layout: Layout, width: int) -> Layout:
    most = max(_SHORTEST, layout.widths()[layout.cut] - (layout.needs() - width))
    rows = []
    for row in layout.rows:
        cells = list(row)
        cells[layout.cut] = _shortened(cells[layout.cut], most)
        rows.append(cells)
    return replace(layout, rows=rows)


def _shortened(text: str, most: int) -> str:
    """Cut the middle out of *text*: names differ in their beginnings, and in their ends."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[-end:]}"


def _written(layout: Layout, width: int | None) -> str:
    widths = layout.widths()
    return "\n".join(_line(line, widths, width) for line in (layout.head, *layout.rows))


def _line(cells: Sequence[str], widths: Sequence[int], width: int | None) -> str:
    padded = [cell + " " * (widths[n] - _width(cell)) for n, cell in enumerate(cells[:-1])]
    start = (" " * _GAP).join(padded)
    last = cells[-1]
    room = None if width is None else width - _width(start) - _GAP
    if room is not None and _width(last) > room:
        last = "" if room < 4 else last[: room - 1] + "…"
    return f"{start}{' ' * _GAP}{last}".rstrip()


def _columns() -> int | None:
    return shutil.get_terminal_size((80, 24)).columns if is_terminal(sys.stdout) else None


def _width(text: str) -> int:
    return len(click.unstyle(text))
