"""The order of a document's outer keys, and where comments stand, line by line.

A comment moves with the key below it, and begins in the same column. Not here: indentation (`format`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import yaml
from yaml._yaml import CParser

from reconciler.spec.parse import ParsedDocument
from reconciler.spec.place import SHIFT, Place

DOCUMENT: Final = ("apiVersion", "kind", "metadata", "spec")
METADATA: Final = ("name", "organization", "movedFrom", "labels")
_COLUMN: Final = (1 << SHIFT) - 1
_MARKER: Final = re.compile(r"(---|\.\.\.)(\s|$)")


def reorder(text: str, documents: Iterable[ParsedDocument]) -> str:
    """Bring the outer keys and those of metadata into their order; line counts stay."""
    lines = text.split("\n")
    for document in documents:
        place = document.place
        if isinstance(place, int) or not isinstance(place[1], dict):
            continue
        metadata = place[1].get("metadata")
        if metadata is not None:  # inner blocks first: the outer move takes them along
            _sort(lines, metadata[1], METADATA)
        _sort(lines, place, DOCUMENT)
    return "\n".join(lines)


def _sort(lines: list[str], place: Place, order: Sequence[str]) -> None:
    """Sort the keys of one block mapping in place."""
    if isinstance(place, int) or not isinstance(place[1], dict):
        return
    keys = {key: at for key, (at, _) in place[1].items()}
    starts = {key: at >> SHIFT for key, at in keys.items()}
    columns = {at & _COLUMN for at in keys.values()}
    is_block = len(columns) == 1 and len(set(starts.values())) == len(starts)
    begins_lines = all(
        lines[line][: keys[key] & _COLUMN].strip() == "" for key, line in starts.items()
    )
    rank = {key: order.index(key) if key in order else len(order) for key in keys}
    wanted = sorted(keys, key=rank.__getitem__)
    if not is_block or not begins_lines or wanted == list(keys):
        return
    column = columns.pop()
    end = _end(lines, max(starts.values()), column)
    blocks = _blocks(lines, starts, column, end)
    first = min(starts.values())
    lines[first:end] = [line for key in wanted for line in blocks[key]]


def _end(lines: list[str], last: int, column: int) -> int:
    """Find where the last block ends: at a marker, or a line that stands further left."""
    for number in range(last + 1, len(lines)):
        line = lines[number]
        indent = len(line) - len(line.lstrip(" "))
        if _MARKER.match(line) or (line.strip() and indent < column):
            return number
    return len(lines) if lines[-1] else len(lines) - 1


def _blocks(
    lines: list[str], starts: dict[str, int], column: int, end: int
) -> dict[str, list[str]]:
    """Cut the lines into one block for each key, with the comments right above it."""
    order = sorted(starts, key=starts.__getitem__)
    begins = [starts[order[0]]]
    for key in order[1:]:
        begin = starts[key]
        while begin > begins[-1] + 1 and lines[begin - 1].startswith(" " * column + "#"):
            begin -= 1
        begins.append(begin)
    return {
        key: lines[begin:stop]
        for key, begin, stop in zip(order, begins, [*begins[1:], end], strict=True)
    }


def align_comments(text: str) -> str:
    """Indent each comment that has a line of its own like the line below it."""
    lines = text.split("\n")
    inside = _text_lines(text)
    below: int | None = None
    for number in range(len(lines) - 1, -1, -1):
        line = lines[number]
        bare = line.lstrip(" ")
        if number in inside:
            below = None
        elif not bare.startswith("#"):
            below = len(line) - len(bare) if bare and not _MARKER.match(line) else below
        elif below is not None:
            lines[number] = " " * below + bare
    return "\n".join(lines)


def _text_lines(text: str) -> set[int]:
    """Find the lines that belong to texts of several lines: a # there is no comment."""
    parser = CParser(text)
    inside: set[int] = set()
    while True:
        event = parser.get_event()
        if isinstance(event, yaml.StreamEndEvent):
            return inside
        if isinstance(event, yaml.ScalarEvent):
            start: Any = event.start_mark
            end: Any = event.end_mark
            inside.update(range(start.line + 1, end.line + 1))
            if event.style in {"|", ">"} and end.column == 0:
                inside.discard(end.line)
