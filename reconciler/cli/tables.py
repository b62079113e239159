"""Columns of text: as wide as they need to be, the last one cut to the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

import click

from reconciler.cli.output import is_terminal


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out *rows* below *head*; colour codes do not count."""
    lines = [head, *rows]
    widths = [max(len(click.unstyle(line[n])) for line in lines) for n in range(len(head))]
    width = shutil.get_terminal_size((80, 24)).columns if is_terminal(sys.stdout) else None
    return "\n".join(_line(line, widths, width) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int], width: int | None) -> str:
    padded = [
        cell + " " * (widths[n] - len(click.unstyle(cell))) for n, cell in enumerate(cells[:-1])
    ]
    start = "  ".join(padded)
    last = cells[-1]
    room = None if width is None else width - len(click.unstyle(start)) - 2
    if room is not None and len(last) > room:
        last = "" if room < 4 else last[: room - 1] + "…"
    return f"{start}  {last}".rstrip()
