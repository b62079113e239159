"""How statements reach PostgreSQL: their names for values become numbers, once per statement.

psycopg does that again for each call of a statement of more than 4,096 bytes, which costs more
than the rest of the call. Not here: the connection (`reconciler.store.database`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Self

import psycopg

_PLACEHOLDER = re.compile(rb"%%|%\((\w+)\)s|%s")


class Cursor(psycopg.AsyncRawCursor[tuple[Any, ...]]):
    """Takes values by `%(name)s` or by `%s`, as psycopg's own cursors do."""

    async def execute(
        self,
        query: Any,
        params: Any = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Self:
        """Execute *query* with *params*; raises psycopg.Error, KeyError for a name without value."""
        if params is not None:
            query, names = numbered(query if isinstance(query, bytes) else str(query).encode())
            if isinstance(params, Mapping):
                params = [params[name] for name in names]
        return await super().execute(query, params, prepare=prepare, binary=binary)


@lru_cache(maxsize=1024)
def numbered(query: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Give *query* with `$1`, `$2`... for its places, and the names of these; each name once."""
    names: list[str] = []

    def place(match: re.Match[bytes]) -> bytes:
        if match[0] == b"%%":
            return b"%"
        name = "" if match[1] is None else match[1].decode()
        if not name or name not in names:
            names.append(name)
            return b"$%d" % len(names)
        return b"$%d" % (names.index(name) + 1)

    return _PLACEHOLDER.sub(place, query), tuple(names)
