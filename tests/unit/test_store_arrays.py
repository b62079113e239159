"""Lists on their way into an array: written as a whole, read back as they were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import Format

from reconciler.store.times import utc_adapters

_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
_awkward = st.sampled_from(['"', "\\", "NULL", "", "{}", ",", " "])
_numbers = st.integers(-(2**31), 2**40)
_times = st.datetimes(
    datetime(1900, 1, 1),  # noqa: DTZ001 - the zone is given beside
    datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)


class _Context:
    connection = None
    adapters = utc_adapters()


def _written(values: list[Any]) -> bytes:
    transformer = Transformer(_Context())
    return bytes(transformer.get_dumper(values, PyFormat.AUTO).dump(values) or b"")


def _read(written: bytes, name: str) -> Any:
    oid = psycopg.adapters.types[name].array_oid
    return Transformer(_Context()).get_loader(oid, Format.TEXT).load(written)


@pytest.mark.parametrize(
    "name, kind",
    [("text", _texts), ("text", _awkward), ("int8", _numbers), ("timestamptz", _times)],
)
@given(data=st.data())
def test_a_list_is_read_back_as_it_was(
    name: str, kind: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    values = data.draw(st.lists(st.one_of(st.none(), kind), min_size=1))

    assert _read(_written(values), name) == values


def test_both_times_of_an_hour_that_comes_twice_are_written() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))

    assert _read(_written([first, first.replace(fold=1)]), "timestamptz") == [
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    ]


def test_lists_in_lists_and_other_types_are_written_as_psycopg_does() -> None:
    assert _written([["a", 'b"'], ["c", "d"]]) == b'{{a,"b\\""},{c,d}}'
    assert _written([True, None, False]) == b"{t,NULL,f}"
    assert _written([]) == b"{}"


def test_text_that_no_column_holds_is_refused() -> None:
    with pytest.raises(psycopg.DataError, match="NUL"):
        _written(["fine", "a\0b", "fine"])


@pytest.mark.parametrize("at", [0, 1, 2])
def test_no_time_without_zone_is_written(at: int) -> None:
    values = [datetime(2026, 1, 1, n, tzinfo=UTC) for n in range(3)]
    values[at] = values[at].replace(tzinfo=None)

    with pytest.raises(ValueError, match="without a zone"):
        _written(values)
