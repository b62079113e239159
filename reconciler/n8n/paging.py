"""Reading a whole listing of n8n page by page, without missing a row that moved meanwhile.

n8n pages by offset. A row deleted before the next page is read moves all later rows
up by one, and one of them is never seen. So each page begins with the last row of
the page before: if it doesn't, rows have moved, and we go back until we find rows
that we know. What was there all the time is thereby always found. Cursors are base64
of limit and offset, so that the next pages are asked for while one is being read.

Not here: retries and errors (`reconciler.n8n.client`).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.errors import N8nUnavailable
from reconciler.resource.payload import Object

LIMIT = 250  # n8n gives no more at once
_AHEAD = 3  # pages asked for in advance; n8n is one thread, more gains nothing
_OVERLAP = 1

Fetch: TypeAlias = Callable[[str | None], Awaitable[Object]]


@dataclass(frozen=True, slots=True)
class _Page:
    rows: list[Object]
    cursor: str | None

    def begins_with(self, known: Object) -> bool:
        return bool(self.rows) and self.rows[0].get("id") == known.get("id")


async def rows(fetch: Fetch) -> AsyncIterator[Object]:
    """Yield each row once; *fetch* takes a cursor (None: the first page) and gives n8n's answer."""
    page = _page(await fetch(None))
    for row in page.rows:
        yield row
    if page.cursor is None:
        return
    limit = _limit_of_offset_cursor(page.cursor)
    rest = _follow(fetch, page) if limit is None else _Walk(fetch, limit, page.rows).rest()
    async for row in rest:
        yield row


async def _follow(fetch: Fetch, page: _Page) -> AsyncIterator[Object]:
    """Follow cursors that name the last row: those can't slip."""
    seen = {row.get("id") for row in page.rows}
    while page.cursor is not None:
        page = _page(await fetch(page.cursor))
        for row in page.rows:
            if row.get("id") not in seen:
                seen.add(row.get("id"))
                yield row


class _Walk:
    """A walk over pages that overlap by a row."""

    def __init__(self, fetch: Fetch, limit: int, first: list[Object]) -> None:
        self._fetch = fetch
        self._limit = limit
        self._seen = {row.get("id") for row in first}
        self._last = first[-1]
        self._offset = len(first) - _OVERLAP
        self._ahead: deque[asyncio.Task[_Page]] = deque()

    async def rest(self) -> AsyncIterator[Object]:
        """Yield the rows after the first page."""
        try:
            while True:
                page = await self._next()
                for row in page.rows:
                    if row.get("id") not in self._seen:
                        self._seen.add(row.get("id"))
                        yield row
                if page.cursor is None:
                    return
                self._last = page.rows[-1]
                self._offset += len(page.rows) - _OVERLAP
        finally:
            await self._drop()

    async def _next(self) -> _Page:
        step = self._limit - _OVERLAP
        while len(self._ahead) < _AHEAD:
            offset = self._offset + step * len(self._ahead)
            self._ahead.append(asyncio.create_task(self._read(offset)))
        page = await self._ahead.popleft()
        if page.begins_with(self._last) and (len(page.rows) == self._limit or not page.cursor):
            return page
        await self._drop()
        return page if page.begins_with(self._last) else await self._step_back()

    async def _step_back(self) -> _Page:
        """Read again from further ahead, until a page begins with a row we know."""
        stride = _OVERLAP
        while True:
            stride *= 8
            self._offset = max(0, self._offset - stride)
            page = await self._read(self._offset)
            known = bool(page.rows) and page.rows[0].get("id") in self._seen
            if known or self._offset == 0:
                return page

    async def _read(self, offset: int) -> _Page:
        text = json.dumps({"limit": self._limit, "offset": offset})
        return _page(await self._fetch(base64.b64encode(text.encode()).decode()))

    async def _drop(self) -> None:
        for task in self._ahead:
            task.cancel()
        await asyncio.gather(*self._ahead, return_exceptions=True)
        self._ahead.clear()


def _page(answer: Object) -> _Page:
    data, cursor = answer.get("data"), answer.get("nextCursor")
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise N8nUnavailable("n8n answered a listing with something else", status=200)
    found = [row for row in data if isinstance(row, dict)]
    return _Page(found, cursor if isinstance(cursor, str) and found else None)


def _limit_of_offset_cursor(cursor: str) -> int | None:
    try:
        inner = json.loads(base64.b64decode(cursor, validate=True))
    except (binascii.Error, ValueError):
        return None
    if not isinstance(inner, dict) or "offset" not in inner:
        return None
    limit = inner.get("limit")
    return limit if isinstance(limit, int) and limit > _OVERLAP else None
