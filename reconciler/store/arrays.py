"""How psycopg writes lists as arrays: the usual ones as a whole, not element by element.

A statement for a batch carries a list for each column. psycopg looks at each element on its own,
which costs more than many a statement does in PostgreSQL. Not here: lists as binary arrays.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from psycopg.types.array import ListDumper

if TYPE_CHECKING:
    from psycopg.abc import Buffer
    from psycopg.adapt import AdaptersMap

_NULL = "NULL"


class _Array(ListDumper):
    """Flat lists of text, numbers or times, with or without None; any other as psycopg does."""

    def dump(self, obj: list[Any]) -> Buffer | None:
        kinds = set(map(type, obj)) - {type(None)}
        if len(kinds) == 1 and self.sub_dumper is not None and self.delimiter == b",":
            kind = kinds.pop()
            if kind is str:
                # Through the dumper of text: it knows the connection's encoding, and refuses NUL.
                return self.sub_dumper.dump(_texts(obj))
            if kind is int:
                return _joined([_NULL if one is None else str(one) for one in obj]).encode()
            if kind is datetime:
                return _times(obj).encode()
        return super().dump(obj)


def _joined(elements: list[str]) -> str:
    return f"{{{','.join(elements)}}}"


def _texts(values: list[str | None]) -> str:
    return _joined([_NULL if one is None else _quoted(one) for one in values])


def _quoted(text: str) -> str:
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _times(values: list[datetime | None]) -> str:
    # What is due together is due at the same times: each of them is written once. Two times of an
    # hour that comes twice are equal to Python, though not the same.
    if any(one is not None and one.fold for one in values):
        values = [one.astimezone(UTC) if one and one.tzinfo else one for one in values]
    known: dict[datetime | None, str] = {None: _NULL}
    for one in set(values) - {None}:
        if one is None or one.tzinfo is None:
            message = "a datetime without a zone would be stored as if it were UTC"
            raise ValueError(message)
        known[one] = f'"{one}"'
    return _joined([known[one] for one in values])


def quick_arrays(adapters: AdaptersMap) -> None:
    """Make connections with these *adapters* write lists so."""
    adapters.register_dumper(list, _Array)
