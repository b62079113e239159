"""Listings while the world moves: nothing that was there all the time is missed."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import N8nUnavailable
from reconciler.n8n import paging
from reconciler.resource.payload import Object


class Listing:
    """A listing of *ids* that changes before chosen reads."""

    def __init__(
        self, ids: list[str], limit: int, moves: dict[int, tuple[set[str], set[str]]]
    ) -> None:
        self.ids = sorted(ids)
        self.limit = limit
        self.moves = moves
        self.reads = 0

    async def fetch(self, cursor: str | None) -> Object:
        gone, new = self.moves.get(self.reads, (set(), set()))
        self.ids = sorted((set(self.ids) - gone) | new)
        self.reads += 1
        limit, offset = self.limit, 0
        if cursor is not None:
            inner = json.loads(base64.b64decode(cursor))
            limit, offset = inner["limit"], inner["offset"]
        rows: list[Any] = [{"id": id_} for id_ in self.ids[offset : offset + limit]]
        text = json.dumps({"limit": limit, "offset": offset + limit})
        more = offset + limit < len(self.ids)
        return {
            "data": rows,
            "nextCursor": base64.b64encode(text.encode()).decode() if more else None,
        }


def names(count: int) -> list[str]:
    return [f"w{number:05d}" for number in range(count)]


async def listed(listing: Listing) -> list[str]:
    return [str(row["id"]) async for row in paging.rows(listing.fetch)]


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 19, 20, 100, 101])
async def test_every_row_comes_once(count: int) -> None:
    assert names(count) == await listed(Listing(names(count), 10, {}))


async def test_one_page_is_one_read() -> None:
    listing = Listing(names(10), 10, {})
    await listed(listing)
    assert listing.reads == 1


async def test_pages_are_read_ahead_but_not_without_end() -> None:
    listing = Listing(names(100), 10, {})
    await listed(listing)
    assert listing.reads <= 11 + 3


async def test_a_row_deleted_between_two_pages_hides_no_other() -> None:
    everything = names(30)
    for few in (everything[:1], everything[2:5], everything[:9]):
        assert everything == await listed(Listing(everything, 10, {1: (set(few), set())}))


async def test_a_whole_page_deleted_hides_no_other() -> None:
    everything = names(45)
    found = await listed(Listing(everything, 10, {1: (set(everything[:10]), set())}))
    assert everything == found


async def test_leaving_early_leaves_no_task_behind() -> None:
    rows = paging.rows(Listing(names(100), 10, {}).fetch)
    async for row in rows:
        if row["id"] == "w00015":
            break
    await rows.aclose()  # type: ignore[attr-defined]  # it is a generator


@given(
    st.integers(3, 8),
    st.integers(0, 60),
    st.dictionaries(
        st.integers(1, 12),
        st.tuples(
            st.sets(st.integers(0, 60), max_size=12), st.sets(st.integers(0, 60), max_size=5)
        ),
        min_size=1,
    ),
)
@settings(max_examples=300, deadline=None)
async def test_what_was_there_all_the_time_is_found(
    limit: int, count: int, moves: dict[int, tuple[set[int], set[int]]]
) -> None:
    changes = {
        at: ({f"w{n:05d}" for n in gone}, {f"w{n:05d}" for n in new})
        for at, (gone, new) in moves.items()
    }
    found = await listed(Listing(names(count), limit, changes))
    ever_gone = set().union(*(gone for gone, _ in changes.values()))
    ever_there = set(names(count)).union(*(new for _, new in changes.values()))
    assert len(found) == len(set(found))
    assert set(names(count)) - ever_gone <= set(found) <= ever_there


async def test_cursors_that_name_the_last_row_are_followed() -> None:
    def cursor(last: int) -> str:
        return base64.b64encode(json.dumps({"lastId": last, "limit": 2}).encode()).decode()

    answers: dict[str | None, Object] = {
        None: {"data": [{"id": "9"}, {"id": "8"}], "nextCursor": cursor(8)},
        cursor(8): {"data": [{"id": "7"}, {"id": "6"}], "nextCursor": cursor(6)},
        cursor(6): {"data": [{"id": "5"}], "nextCursor": None},
    }

    async def fetch(asked: str | None) -> Object:
        return answers[asked]

    assert ["9", "8", "7", "6", "5"] == [row["id"] async for row in paging.rows(fetch)]


@pytest.mark.parametrize("answer", [{}, {"data": None}, {"data": [1]}, {"data": {"id": "x"}}])
async def test_an_answer_that_is_no_listing_is_an_error(answer: Any) -> None:
    async def fetch(_: str | None) -> Object:
        return dict(answer)

    with pytest.raises(N8nUnavailable):
        await anext(paging.rows(fetch))
